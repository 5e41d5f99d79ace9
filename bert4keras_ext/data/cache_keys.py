"""What a cache depends on, in one short text: settings, tokenizers and contents of files."""

import hashlib
import json
from pathlib import Path

import numpy as np

from bert4keras_ext.tokenizers.base import TokenizerBase

PLAIN = (str, int, float, type(None))  # bool is an int


def content_hash(path):
    """A hash of what is in a file (also a `zipfile.Path`), which is read piece by piece.

    Size and time of the last change would be quicker to compare, but a file can change and keep
    both.
    """
    is_plain = not hasattr(path, "open") or isinstance(path, Path)
    with open(path, "rb") if is_plain else path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def digest_of(value):
    """A text of 32 letters that is the same for the same value in every process.

    Args:
        value: plain values, lists, tuples, dicts and arrays of them; a `pathlib.Path`, for the
            content of that file; a tokenizer, for its vocabulary and all its settings; a function
            or class, for its name (what it does is not looked at).

    Raises:
        TypeError: anything else, and functions without a name of their own.

    Example:

    >>> digest_of({"maxlen": 128}) == digest_of({"maxlen": 128})
    True
    >>> digest_of({"maxlen": 128}) == digest_of({"maxlen": "128"})
    False
    """
    text = json.dumps(_plain(value), ensure_ascii=False)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _plain(value):
    """The value in lists, texts and numbers, those of different kinds marked as such."""
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, (list, tuple)):
        return [part if isinstance(part, PLAIN) else _plain(part) for part in value]
    if isinstance(value, dict):
        # No JSON object: in one 1 and "1" would be the same key. And no list of pairs: to make
        # those of a vocabulary sets the garbage collector to work for half a second.
        return ["dict", _plain(list(value)), _plain(list(value.values()))]
    if isinstance(value, (np.ndarray, np.generic)):
        return ["array", str(value.dtype), _plain(value.tolist())]
    if isinstance(value, Path):
        return ["file", content_hash(value)]
    if isinstance(value, TokenizerBase):
        return ["tokenizer", _name(type(value)), _plain(_settings(value))]
    if hasattr(value, "serialized_model_proto"):  # of SentencePiece
        return ["model", hashlib.blake2b(value.serialized_model_proto()).hexdigest()]
    if hasattr(value, "__qualname__"):
        return ["name", _name(value)]
    raise TypeError(
        f"expected plain values, paths, tokenizers and named functions in a key, received "
        f"{type(value).__name__}: {value!r:.80}; fix: say in plain values what it depends on"
    )


def _settings(tokenizer):
    state = dict(vars(tokenizer))
    state.pop("_derived", None)  # caches of words
    state.pop("_token_dict_inv", None)  # says what _token_dict says
    return state


def _name(function):
    name = f"{function.__module__}.{function.__qualname__}"
    if "<lambda>" in name:
        raise TypeError(
            f"expected functions with a name in a key, received {name}: two of them could not be "
            "told apart; fix: def a function, or give the key the path of the vocabulary instead "
            "of the tokenizer, and a name for what else it does"
        )
    return name
