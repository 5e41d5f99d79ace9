"""Reading and writing vocabulary files: one token a line, the line number is the id."""

import os

from bert4keras_ext.tokenizers.characters import is_redundant
from bert4keras_ext.tokenizers.checks import checked_vocabulary

# Published vocabularies have lines of white space only (Google's Chinese BERT: U+2028, also after
# "##"). No text produces them, but their rows in the embedding table exist.
UNNAMEABLE = ("", "##")


def load_vocab(dict_path, encoding="utf-8", simplified=False, startswith=None):
    """Reads a vocabulary file into a dict from token to id.

    A token is the first field of its line (columns after it, such as counts, are ignored) and its
    id the number of the line from 0. A line of white space only keeps its id under the name "" or,
    from the second one on, "[blank-<line>]"; blank lines at the end of the file are no tokens.

    Args:
        dict_path: path of the file.
        encoding: its encoding; a byte order mark is skipped.
        simplified: drop the tokens that the tokenizer never produces (ideographs after "##",
            several characters with an ideograph or a punctuation mark among them).
        startswith: tokens that come first, in this order, when simplified; by default none.

    Returns:
        The dict; if simplified, the dict and keep_tokens, the list of the old ids of the tokens
        kept (for `build_transformer_model(keep_tokens=...)`).

    Raises:
        FileNotFoundError: no such file.
        ValueError: an empty file, another encoding, the same token in two lines, or a token of
            startswith that is not in the file.

    Example:
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "vocab.txt")
        >>> save_vocab(path, {"[PAD]": 0, "[UNK]": 1, "好": 2, "##好": 3})
        >>> load_vocab(path)["好"]
        2
        >>> load_vocab(path, simplified=True, startswith=["[PAD]", "[UNK]"])
        ({'[PAD]': 0, '[UNK]': 1, '好': 2}, [0, 1, 2])
    """
    lines = _read_lines(dict_path, encoding)
    token_dict, repeated = {}, []
    for number, line in enumerate(lines):
        token = (line.split() or [""])[0]
        if token in token_dict and token in UNNAMEABLE:
            token = f"[blank-{number + 1}]"
        if token in token_dict:
            repeated.append((token, token_dict[token] + 1, number + 1))
        token_dict.setdefault(token, number)
    if repeated:
        raise ValueError(_repeated_message(dict_path, repeated))
    return _simplify(token_dict, startswith, dict_path) if simplified else token_dict


def save_vocab(dict_path, token_dict, encoding="utf-8"):
    """Writes a dict from token to id as a vocabulary file that `load_vocab` reads back.

    The file appears whole or not at all: it is written beside its place and then moved there.
    Missing folders are made.

    Args:
        dict_path: path of the file; an existing one is replaced.
        token_dict: dict from token to id, the ids being 0, 1, 2, ... in any order.
        encoding: the file's encoding.

    Raises:
        TypeError: no dict from str to int.
        ValueError: no tokens, ids with a gap or used twice, or a token that a line cannot hold
            (white space, or a byte order mark in the first one).

    Example:
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "vocab.txt")
        >>> save_vocab(path, {"[UNK]": 1, "[PAD]": 0})
        >>> open(path).read().split()
        ['[PAD]', '[UNK]']
    """
    token_dict = checked_vocabulary(token_dict)
    tokens = sorted(token_dict, key=token_dict.get)
    _check_writable(tokens, token_dict)
    os.makedirs(os.path.dirname(os.path.abspath(dict_path)), exist_ok=True)
    temporary = f"{os.fspath(dict_path)}.{os.getpid()}.tmp"
    try:
        with open(temporary, "w", encoding=encoding, newline="\n") as file:
            file.writelines(f"{token}\n" for token in tokens)
        os.replace(temporary, dict_path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def _read_lines(dict_path, encoding):
    if os.path.isdir(dict_path):
        raise IsADirectoryError(f"expected a vocabulary file, found the folder {dict_path!r}")
    try:
        with open(dict_path, encoding=encoding) as file:
            lines = file.read().removeprefix("\ufeff").split("\n")
    except FileNotFoundError:
        raise FileNotFoundError(
            f"expected a vocabulary file (one token a line), found no file {str(dict_path)!r} "
            f"(looked from {os.getcwd()!r}). Check the path"
        ) from None
    except UnicodeDecodeError as error:
        raise ValueError(_encoding_message(dict_path, encoding, error)) from error
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise ValueError(
            f"{str(dict_path)!r}: expected one token a line, found an empty file. "
            "Get the vocabulary file again"
        )
    return lines


def _encoding_message(dict_path, encoding, error):
    with open(dict_path, "rb") as file:
        before = file.read()[: error.start]
    return (
        f"{str(dict_path)!r}: expected text in {encoding}, found byte 0x"
        f"{error.object[error.start]:02x} in line {before.count(bytes([10])) + 1}. Give the "
        "file's encoding (often encoding='gb18030' for Chinese files), or check that this is "
        "the vocabulary"
    )


def _repeated_message(dict_path, repeated):
    shown = ", ".join(f"{token!r} in lines {a} and {b}" for token, a, b in repeated[:10])
    return (
        f"{str(dict_path)!r}: expected each token once, found {len(repeated)} repeated: {shown}"
        f"{', ...' if len(repeated) > 10 else ''}. Each line is a row of the model's embedding "
        "table, so rename the later one (for example to [duplicate-1]), do not delete it"
    )


def _simplify(token_dict, startswith, dict_path):
    first = list(startswith or [])
    missing = [token for token in first if token not in token_dict]
    if missing:
        raise ValueError(
            f"startswith: expected tokens of {str(dict_path)!r}, found {missing} which are not in "
            "it. Leave them out or add them to the file"
        )
    rest = [token for token in token_dict if token not in first and not is_redundant(token)]
    kept = list(dict.fromkeys(first)) + rest
    return {token: i for i, token in enumerate(kept)}, [token_dict[token] for token in kept]


def _check_writable(tokens, token_dict):
    if tokens[0].startswith("\ufeff"):
        raise ValueError(
            f"token_dict: expected a first token without a byte order mark, found {tokens[0]!r}, "
            "which would be read back without it. Rename it"
        )
    for number, token in enumerate(tokens):
        if token_dict[token] != number:
            raise ValueError(
                f"token_dict: expected the ids 0 to {len(tokens) - 1}, each once, found id "
                f"{token_dict[token]!r} of {token!r} where {number} was due. Renumber the ids"
            )
        if token.split() != [token] and (token != "" or number == len(tokens) - 1):
            raise ValueError(
                f"token_dict: expected tokens without white space, found {token!r} (id {number}), "
                "which would not read back from a line. Rename it"
            )
