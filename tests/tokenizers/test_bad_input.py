"""Wrong arguments: each message says what was expected, what was found and what to do."""

import numpy as np
import pytest

from bert4keras_ext.tokenizers import Tokenizer, load_vocab, save_vocab
from tests.tokenizers.common import TOKEN_DICT, small_tokenizer

WITHOUT = {
    role: {k: v for k, v in TOKEN_DICT.items() if k != name}
    for role, name in (("unk", "[UNK]"), ("start", "[CLS]"), ("end", "[SEP]"))
}


@pytest.mark.parametrize("role, name", [("unk", "UNK"), ("start", "CLS"), ("end", "SEP")])
def test_missing_special_token(role, name):
    message = rf"token_{role}: expected '\[{name}\]' in the vocabulary, found it missing among"
    with pytest.raises(ValueError, match=message) as caught:
        Tokenizer(WITHOUT[role])
    assert f"Pass token_{role}=" in str(caught.value)
    if role != "unk":
        Tokenizer(WITHOUT[role], **{f"token_{role}": None})


@pytest.mark.parametrize(
    "token_dict, kind, message",
    [
        ({}, ValueError, "expected tokens, found an empty dict"),
        (["a"], TypeError, "expected a dict from token to id or the path .* found list"),
        (None, TypeError, "found NoneType"),
        (({"a": 0}, [0]), TypeError, "returns token_dict and keep_tokens: pass the first"),
        ({"a": 0, "b": 0}, ValueError, "found id 0 of both 'a' and 'b'"),
        ({"a": "5"}, TypeError, "expected a dict from str to int, found 'a': '5'"),
        ({"a": 5.0}, TypeError, "found 'a': 5.0"),
        ({"a": None}, TypeError, "found 'a': None"),
        ({"a": True}, TypeError, "found 'a': True"),
        ({0: "a"}, TypeError, "found 0: 'a'.*turn a dict from id to token round"),
        ({"a": -1}, ValueError, "expected ids from 0 to 2147483647, found -1 of 'a'"),
        ({"a": 2**31}, ValueError, "found 2147483648 of 'a'"),
        ("no/such/file", FileNotFoundError, "expected a vocabulary file"),
    ],
)
def test_bad_token_dict(token_dict, kind, message):
    with pytest.raises(kind, match=message):
        Tokenizer(token_dict)


def test_ids_of_numpy_become_python_integers():
    tokenizer = Tokenizer({token: np.int64(i) for token, i in TOKEN_DICT.items()})
    assert {type(i) for i in tokenizer.encode("ab")[0]} == {int}


@pytest.mark.parametrize(
    "text, fix",
    [
        (None, "found NoneType .None.. Leave out rows"),
        (b"ab", "found bytes .*text.decode"),
        (12, "found int .12.. Convert it with str"),
        (1.5, "found float"),
    ],
)
def test_text_that_is_no_str(text, fix):
    tokenizer = small_tokenizer()
    for call in (tokenizer.tokenize, tokenizer.encode, lambda t: tokenizer.encode("a", t or 0)):
        with pytest.raises(TypeError, match="text: expected str, found"):
            call(text)
    with pytest.raises(TypeError, match=fix):
        tokenizer.encode(text)


def test_lists_in_place_of_text():
    tokenizer = small_tokenizer()
    with pytest.raises(TypeError, match="found list .*encode_batch"):
        tokenizer.tokenize(["你好"])
    with pytest.raises(TypeError, match="a list with int .2.. Pass tokens, not ids"):
        tokenizer.encode([2, 6, 3])


@pytest.mark.parametrize("kwargs", [{}, {"pre_tokenize": list}, {"token_translate": {"a": "b"}}])
def test_the_slow_paths_check_too(kwargs):
    with pytest.raises(TypeError, match="text: expected str"):
        small_tokenizer(**kwargs).encode(None)


@pytest.mark.parametrize("ids", [[2, 99999], [-1], [len(TOKEN_DICT)]])
def test_ids_out_of_range(ids):
    tokenizer = small_tokenizer()
    for call in (tokenizer.decode, tokenizer.ids_to_tokens):
        with pytest.raises(ValueError, match=rf"\(0 to {len(TOKEN_DICT) - 1}\), found {ids[-1]}\."):
            call(ids)


@pytest.mark.parametrize(
    "ids, message",
    [
        ([[2, 3]], "expected one row of integers, found rows inside"),
        ([1.5], "expected integers, found float"),
        (["a"], "expected integers, found str"),
        ("ab", "expected a list of integers, found str"),
        (5, "expected a list of integers, found int"),
    ],
)
def test_ids_that_are_none(ids, message):
    with pytest.raises(TypeError, match=message):
        small_tokenizer().decode(ids)


@pytest.mark.parametrize("pattern", ["S*E", "", None, "s*e*e"])
def test_pattern(pattern):
    with pytest.raises(ValueError, match=r"pattern: expected one of \('S\*E\*E', 'S\*ES\*E'\)"):
        small_tokenizer().encode("a", "b", pattern=pattern)


@pytest.mark.parametrize("truncate_from", ["middle", None, 1.5, True])
def test_truncate_from(truncate_from):
    with pytest.raises(ValueError, match="truncate_from: expected 'right', 'left' or the index"):
        small_tokenizer().encode("你好你好", maxlen=4, truncate_from=truncate_from)


@pytest.mark.parametrize("index", [9, -9])
def test_truncate_from_beyond_the_text(index):
    with pytest.raises(ValueError, match=f"cannot drop 2 of 6 tokens at position {index}"):
        small_tokenizer().encode("你好你好", maxlen=4, truncate_from=index)


@pytest.mark.parametrize(
    "arguments, minimum",
    [((), 2), (("a",), 3), (("a", "S*ES*E"), 4)],
)
def test_maxlen_too_small(arguments, minimum):
    tokenizer = small_tokenizer()
    second, pattern = (*arguments, None, "S*E*E")[:2] if len(arguments) != 2 else arguments
    pattern = pattern or "S*E*E"
    assert len(tokenizer.encode("ab ab", second, minimum, pattern)[0]) == minimum
    for maxlen in (minimum - 1, 0, -3):
        with pytest.raises(ValueError, match=f"maxlen: expected at least {minimum} .*found"):
            tokenizer.encode("ab ab", second, maxlen, pattern)
    with pytest.raises(ValueError, match="maxlen: expected at least 2"):
        tokenizer.tokenize("ab", maxlen=1)


@pytest.mark.parametrize("maxlen", ["8", 8.0, True, [8]])
def test_maxlen_no_integer(maxlen):
    with pytest.raises(TypeError, match="maxlen: expected an integer or None, found"):
        small_tokenizer().encode("a", maxlen=maxlen)


@pytest.mark.parametrize("texts", [["你好", "hello"], ["hello", "x y"], ["你", "xyz!"], ("你好",)])
@pytest.mark.parametrize("pre_tokenize", [None, list])
def test_texts_in_place_of_tokens(texts, pre_tokenize):
    tokenizer = small_tokenizer(pre_tokenize=pre_tokenize)
    for arguments in [(texts,), ("你", texts), (texts, texts)]:
        with pytest.raises(TypeError, match="is several tokens. For two texts use encode.first"):
            tokenizer.encode(*arguments)


def test_unknown_tokens_are_no_texts():
    tokenizer = small_tokenizer(token_translate={"你": "x y"})
    for text in ("xyz 你 qqqq", "hello zzzz", "q" * 300):
        tokens = tokenizer.tokenize(text)
        assert tokenizer.encode(tokens) == tokenizer.encode(text)
    assert tokenizer.encode(["[CLS]", "[unused9]", "##zz", "[SEP]"])[0] == [2, 1, 1, 3]


def test_a_simplified_vocabulary_without_its_special_tokens(tmp_path):
    save_vocab(tmp_path / "vocab.txt", TOKEN_DICT)
    token_dict, _ = load_vocab(tmp_path / "vocab.txt", simplified=True)
    with pytest.raises(ValueError, match="token_unk.*simplified=True.*startswith="):
        Tokenizer(token_dict)
