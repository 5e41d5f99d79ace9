"""Arguments that are what they should be, or a message that says what they are."""

from operator import index as as_index


def checked_text(text):
    if isinstance(text, str):
        return text
    fix = {
        bytes: "Decode it first: text.decode('utf-8')",
        list: "For many texts use encode_batch(texts)",
        tuple: "For many texts use encode_batch(texts)",
        type(None): "Leave out rows without text",
    }.get(type(text), "Convert it with str(text) if its printed form is meant")
    raise TypeError(f"text: expected str, found {type(text).__name__} ({text!r:.60}). {fix}")


def checked_tokens(tokens):
    """A list of tokens that stands in place of a text; a list of texts is a common mistake."""
    if not isinstance(tokens, (list, tuple)):
        return checked_text(tokens)
    for token in tokens:
        if not isinstance(token, str):
            raise TypeError(
                f"expected a text or a list of tokens (str), found a list with "
                f"{type(token).__name__} ({token!r:.60}). Pass tokens, not ids"
            )
    return tokens


def checked_ids(ids):
    """A row of ids as a list of Python ints."""
    ids = ids.tolist() if hasattr(ids, "tolist") else ids
    if isinstance(ids, (str, bytes)) or not hasattr(ids, "__iter__"):
        raise TypeError(
            f"ids: expected a list of integers, found {type(ids).__name__} ({ids!r:.60})"
        )
    return [checked_id(i) for i in ids]


def checked_id(i):
    if isinstance(i, list):
        raise TypeError(
            f"ids: expected one row of integers, found rows inside ({i!r:.60}). "
            "Use [tokenizer.decode(row) for row in ids]"
        )
    if not hasattr(i, "__index__"):
        raise TypeError(f"ids: expected integers, found {type(i).__name__} ({i!r:.60})")
    return i.__index__()


def checked_vocabulary(token_dict):
    """A dict from token to id with ids that are Python ints, each of one token."""
    if isinstance(token_dict, tuple) and len(token_dict) == 2:
        raise TypeError(
            "token_dict: expected a dict, found a pair. load_vocab(simplified=True) returns "
            "token_dict and keep_tokens: pass the first"
        )
    if not isinstance(token_dict, dict):
        raise TypeError(
            "token_dict: expected a dict from token to id or the path of a vocabulary file, found "
            f"{type(token_dict).__name__}. Use {{token: id, ...}} or load_vocab(path)"
        )
    if not token_dict:
        raise ValueError("token_dict: expected tokens, found an empty dict. Use load_vocab(path)")
    checked, owners = {}, {}
    for token, i in token_dict.items():
        checked[token] = i = _checked_entry(token, i)
        if owners.setdefault(i, token) != token:
            raise ValueError(
                f"token_dict: expected one token an id, found id {i} of both {owners[i]!r} and "
                f"{token!r}. Renumber them"
            )
    return checked


def _checked_entry(token, i):
    if not isinstance(token, str) or isinstance(i, bool) or not hasattr(i, "__index__"):
        raise TypeError(
            f"token_dict: expected a dict from str to int, found {token!r:.60}: {i!r:.60}. Make "
            "ids of JSON or a table int, and turn a dict from id to token round"
        )
    i = as_index(i)
    if not 0 <= i < 2**31:
        raise ValueError(
            f"token_dict: expected ids from 0 to {2**31 - 1}, found {i} of {token!r}. Renumber it"
        )
    return i


def checked_pairs(texts, second_texts):
    for name, value in (("texts", texts), ("second_texts", second_texts)):
        if isinstance(value, (str, bytes)):
            raise TypeError(
                f"{name}: expected a list of texts, found one {type(value).__name__}. "
                "Use encode for a single text"
            )
    texts = list(texts)
    if second_texts is None:
        return [(text, None) for text in texts]
    second_texts = list(second_texts)
    if len(second_texts) != len(texts):
        raise ValueError(
            f"second_texts: expected as many as texts ({len(texts)}), found {len(second_texts)}"
        )
    return list(zip(texts, second_texts))


def checked_maxlen(maxlen, minimum):
    """maxlen as an int; raises where it leaves no room for the special tokens."""
    try:
        if isinstance(maxlen, bool):
            raise TypeError
        value = as_index(maxlen)
    except TypeError:
        raise TypeError(
            f"maxlen: expected an integer or None, found {maxlen!r} ({type(maxlen).__name__})"
        ) from None
    if value < max(minimum, 1):
        raise ValueError(
            f"maxlen: expected at least {max(minimum, 1)} (the number of special tokens that "
            f"stay), found {value}. Give a larger maxlen"
        )
    return value
