"""Tokenizer beside a slow reference, and the ways users bend it."""

import copy
import functools
import pickle
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert4keras_ext.tokenizers import Tokenizer, TokenizerBase, load_vocab
from bert4keras_ext.tokenizers import wordpiece as wordpiece_module
from bert4keras_ext.tokenizers.characters import SpacingTable
from bert4keras_ext.tokenizers.word_cache import IdCache, WordCache
from tests.shared import shared
from tests.tokenizers.common import AWKWARD, NAMES, TOKEN_DICT, small_tokenizer, texts
from tests.tokenizers.reference import tokenize

TOKENIZERS = {lower: small_tokenizer(do_lower_case=lower) for lower in (False, True)}


@settings(max_examples=400, deadline=None)
@given(texts, st.booleans())
def test_equals_the_definition(text, lower):
    expected = tokenize(text, TOKEN_DICT, lower)
    tokenizer = TOKENIZERS[lower]
    for _ in range(2):  # the second time from the cache
        assert tokenizer.tokenize(text) == expected
        ids = [TOKEN_DICT.get(token, TOKEN_DICT["[UNK]"]) for token in expected]
        assert tokenizer.encode(text) == (ids, [0] * len(ids))
    assert tokenizer._analyse(text) == expected[1:-1]


@pytest.mark.parametrize("lower", [False, True])
def test_every_character_equals_the_definition(lower):
    tokenizer = TOKENIZERS[lower]
    for code in [*range(0x3400), *range(0xA000, 0xD800), *range(0xE000, 0x12000, 3)]:
        text = f"a{chr(code)}b 好{chr(code)}"
        expected = tokenize(text, TOKEN_DICT, lower)
        assert tokenizer.tokenize(text) == expected, hex(code)
        ids = [TOKEN_DICT.get(token, TOKEN_DICT["[UNK]"]) for token in expected]
        assert tokenizer.encode(text)[0] == ids, hex(code)


@given(texts, st.sampled_from([{"token_start": None}, {"token_end": None}]))
def test_without_start_or_end(text, options):
    tokenizer = small_tokenizer(**options)
    ids = TOKENIZERS[False].encode(text)[0]
    assert tokenizer.encode(text)[0] == (ids[1:] if "token_start" in options else ids[:-1])


def test_halves_of_surrogate_pairs_are_unknown_words():
    assert TOKENIZERS[True].encode("你\ud840好\ud83d ab")[0] == [2, 6, 1, 7, 1, TOKEN_DICT["ab"], 3]


@pytest.mark.parametrize("word_maxlen", [0, 1, 3, 200])
def test_word_maxlen(word_maxlen):
    tokenizer = small_tokenizer(word_maxlen=word_maxlen)
    for text in ("ab", "aba", "abab 12", "你好a", "a" * 201):
        expected = tokenize(text, TOKEN_DICT, False, word_maxlen)
        assert tokenizer.tokenize(text) == expected
        assert tokenizer.ids_to_tokens(tokenizer.encode(text)[0]) == [
            token if token in TOKEN_DICT else "[UNK]" for token in expected
        ]


def test_real_vocabulary_on_real_text():
    vocab = load_vocab(shared("data", "vocab", "google_chinese_bert_vocab_21128.txt"))
    tokenizer = Tokenizer(vocab, do_lower_case=True)
    lines = shared("data", "tnews", "train.json").read_text(encoding="utf-8").splitlines()[:2000]
    for line in lines:
        expected = tokenize(line, vocab, True)
        assert tokenizer.tokenize(line) == expected
        assert tokenizer.encode(line)[0] == tokenizer.tokens_to_ids(expected)


@given(texts, texts, st.integers(5, 20), st.sampled_from(["S*E*E", "S*ES*E"]))
@settings(max_examples=150, deadline=None)
def test_maxlen_is_respected_and_special_tokens_stay(first, second, maxlen, pattern):
    tokenizer = TOKENIZERS[True]
    assert len(tokenizer.tokenize(first, maxlen=maxlen)) <= maxlen
    ids, segments = tokenizer.encode(first, second, maxlen=maxlen, pattern=pattern)
    assert len(ids) == len(segments) <= maxlen
    full = tokenizer.encode(first, second, pattern=pattern)[0]
    assert len(ids) == min(maxlen, len(full))
    assert ids[0] == 2 and ids[-1] == 3 and ids.count(3) == 2
    assert ids.count(2) == 1 + (pattern == "S*ES*E")
    assert segments == sorted(segments)


@pytest.mark.parametrize("truncate_from", ["right", "left", 2, -3])
def test_truncation_drops_from_the_longest_one_by_one(truncate_from):
    position = {"right": -2, "left": 1}.get(truncate_from, truncate_from)
    rng = random.Random(0)
    for _ in range(200):
        first, second = ("".join(rng.choices("你好a.", k=rng.randrange(9))) for _ in range(2))
        maxlen = rng.randrange(7, 16)
        rows = [TOKENIZERS[True].encode(text)[0] for text in (first, second)]
        while len(rows[0]) + len(rows[1]) > maxlen:
            del rows[len(rows[1]) > len(rows[0])][position]
        encoded = TOKENIZERS[True].encode(first, second, maxlen, "S*ES*E", truncate_from)
        assert encoded == (rows[0] + rows[1], [0] * len(rows[0]) + [1] * len(rows[1]))


def test_token_lists_stand_for_texts_and_stay_unchanged():
    tokenizer, tokens = small_tokenizer(), ["[CLS]", "你", "好", "[SEP]"]
    assert tokenizer.encode(tokens, tokens, maxlen=6) == tokenizer.encode("你好", "你好", maxlen=6)
    assert tokens == ["[CLS]", "你", "好", "[SEP]"]
    encoded = tokenizer.encode("你好")[0]
    encoded[1] = 999
    assert tokenizer.encode("你好")[0] == [2, 6, 7, 3], "a result must not be the cache's own list"


def test_decode():
    tokenizer = small_tokenizer(do_lower_case=True)
    assert tokenizer.decode(tokenizer.encode("Hello words，你好 1.2 a'ss b!")[0]) == (
        "hello words，你好1.2 a' ss b!"
    )
    assert tokenizer.decode([2, 1, 3, 0, 0]) == ""
    assert tokenizer.decode([], ["##a", "你"]) == "a你"
    # As in bert4keras one decimal point of "1. 2. 3" is joined: the match takes the 2 with it.
    assert tokenizer.decode([], ["1", ".", "2", ".", "3"]) == "1.2. 3"


@given(st.lists(st.sampled_from(["你", "好", "hello", "words", "ab"]), max_size=8))
def test_decode_undoes_encode(words):
    tokenizer, text = TOKENIZERS[True], " ".join(words)
    decoded = tokenizer.decode(tokenizer.encode(text)[0])
    assert decoded.replace(" ", "") == text.replace(" ", "")
    assert tokenizer.encode(decoded) == tokenizer.encode(text)


def test_arrays_of_ids_are_welcome():
    np = pytest.importorskip("numpy")
    tokenizer = small_tokenizer()
    assert tokenizer.decode(np.array([2, 6, 7, 3], np.int32)) == "你好"
    assert tokenizer.ids_to_tokens(iter([np.int64(6)])) == ["你"]


def test_overridden_methods_are_called():
    class Shouting(Tokenizer):
        def _tokenize(self, text, pre_tokenize=True):
            return [token + "!" for token in super()._tokenize(text, pre_tokenize)]

    class Loose(Tokenizer):
        @staticmethod
        def _is_punctuation(ch):
            return False

    class Printing(Tokenizer):
        _is_control = staticmethod(lambda ch: False)

    class Kana(Tokenizer):
        def _is_cjk_character(self, ch):
            return ch == "a"

    class Letters(Tokenizer):
        def _word_piece_tokenize(self, word):
            return list(word)

    class Ids(Tokenizer):
        def token_to_id(self, token):
            return 7

    assert Shouting(TOKEN_DICT).tokenize("你a") == ["[CLS]", "你!", "a!", "[SEP]"]
    assert Shouting(TOKEN_DICT).encode("你a")[0] == [2, 1, 1, 3]
    assert Loose(TOKEN_DICT).tokenize("a，b") == ["[CLS]", "a，b", "[SEP]"]
    assert Loose(TOKEN_DICT).encode("a，b")[0] == [2, 1, 3]
    assert Printing(TOKEN_DICT).tokenize("a\0\x01") == ["[CLS]", "a\x01", "[SEP]"]
    assert Kana(TOKEN_DICT).tokenize("你aab") == ["[CLS]", "你", "a", "a", "b", "[SEP]"]
    assert Letters(TOKEN_DICT).tokenize("word a") == ["[CLS]", *"worda", "[SEP]"]
    assert Ids(TOKEN_DICT).encode("你好")[0] == [7, 7, 7, 7]


def test_methods_replaced_on_the_object_or_the_class(monkeypatch):
    tokenizer = small_tokenizer()
    assert tokenizer.encode("你好")[0] == [2, 6, 7, 3]
    tokenizer._tokenize = lambda text: ["a"]
    assert tokenizer.encode("你好")[0] == [2, TOKEN_DICT["a"], 3]
    monkeypatch.setattr(Tokenizer, "_is_punctuation", staticmethod(lambda ch: False))
    assert small_tokenizer().tokenize("a.b") == ["[CLS]", "a.b", "[SEP]"]


def test_assigned_attributes_take_effect():
    tokenizer = small_tokenizer()
    assert tokenizer.encode("HELLO 犇")[0] == [2, 1, 1, 3]
    tokenizer._do_lower_case = True
    assert tokenizer.encode("HELLO")[0] == [2, TOKEN_DICT["hello"], 3]
    tokenizer._token_unk_id = 5
    assert tokenizer.encode("犇")[0] == [2, 5, 3]
    tokenizer._token_start = None
    assert tokenizer.encode("犇")[0] == [5, 3]
    tokenizer._token_translate = {"犇": "你"}
    assert tokenizer.encode("犇")[0] == [6, 3]
    tokenizer._pre_tokenize = list
    assert tokenizer.tokenize("ab") == ["a", "b", "[SEP]"]


def test_the_dict_is_copied():
    mine = dict(TOKEN_DICT)
    tokenizer = Tokenizer(mine)
    mine["犇"] = 6
    assert tokenizer.encode("犇")[0] == [2, 1, 3]
    assert tokenizer.vocab_size == tokenizer._vocab_size == len(NAMES)


def test_special_tokens():
    tokenizer = small_tokenizer(token_start="ab", token_end=None)
    assert (tokenizer._token_start, tokenizer._token_start_id) == ("ab", TOKEN_DICT["ab"])
    assert (tokenizer._token_pad_id, tokenizer._token_unk_id, tokenizer._token_mask_id) == (0, 1, 4)
    assert tokenizer._token_end is None and tokenizer._token_end_id is None
    no_mask = Tokenizer({"[UNK]": 0, "[CLS]": 1, "[SEP]": 2})
    assert no_mask._token_mask_id is None and no_mask._token_pad_id is None
    renamed = Tokenizer({"<unk>": 0, "a": 1}, token_start=None, token_end=None, token_unk="<unk>")
    assert renamed.encode("ab a")[0] == [0, 1]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_copies(duplicate):
    options = {"token_translate": {"a": "b"}, "pre_tokenize": str.split}
    tokenizer = small_tokenizer(do_lower_case=True, **options)
    tokenizer.encode("hello 你好")
    twin = duplicate(tokenizer)
    assert twin._derived is None, "the cache stays behind"
    for text in ("Hello 你好 a", AWKWARD):
        assert twin.encode(text) == tokenizer.encode(text)
    assert twin._token_dict is not tokenizer._token_dict


def test_threads_share_one_tokenizer(monkeypatch):
    tiny_cache = functools.partial(IdCache, max_words=3)
    monkeypatch.setattr(wordpiece_module, "IdCache", tiny_cache)
    rng = random.Random(1)
    rows = ["".join(rng.choices(AWKWARD, k=30)) for _ in range(2000)]
    expected = [small_tokenizer(do_lower_case=True).encode(row) for row in rows]
    tokenizer = small_tokenizer(do_lower_case=True)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(tokenizer.encode, rows, chunksize=10)) == expected


def test_the_cache_is_bounded():
    cache = WordCache(lambda text: [text], max_words=100, max_length=5)
    for i in range(1000):
        assert cache.items(f"w{i}好phrase of {i}") == [f"w{i}", "好", "phrase", "of", str(i)]
        assert len(cache.words) <= 100
    assert all(len(word) <= 5 for word in cache.words)
    assert cache.items("a b c d e f") == [*"abcdef"], "too long to remember: by its words"
    assert "a b" not in cache.words and cache.items("a b") == ["a b"] and "a b" in cache.words
    tokenizer = small_tokenizer()
    for i in range(70000):
        tokenizer.encode(f"w{i}")
    assert 0 < len(tokenizer._derived.ids.words) <= 1 << 16


def test_the_spacing_table_is_bounded(monkeypatch):
    monkeypatch.setattr(SpacingTable, "LIMIT", 50)
    table = SpacingTable(Tokenizer)
    assert "".join(map(chr, range(65, 400))).translate(table)
    assert len(table) <= 50


def test_base_class_asks_for_its_methods():
    for call in (
        lambda t: t.tokenize("a"),
        lambda t: t.token_to_id("a"),
        lambda t: t.id_to_token(1),
        lambda t: t.decode([1]),
    ):
        with pytest.raises(NotImplementedError, match="TokenizerBase defines no"):
            call(TokenizerBase())


FEW = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "你", "好", "，", "word"]


class Shifted(Tokenizer):
    """Needs an attribute that is not there yet while the base class is being made."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.shift = 10

    def token_to_id(self, token):
        return super().token_to_id(token) + self.shift


def test_a_subclass_may_override_token_to_id():
    tokenizer = Shifted({name: i for i, name in enumerate(FEW)})
    assert tokenizer._token_unk_id == 1 and tokenizer._token_start_id == 2
    assert tokenizer.encode("你 foo")[0] == [12, 14, 11, 13]


def test_a_subclass_may_override_the_full_width_marks():
    class Spaced(Tokenizer):
        def _cjk_punctuation(self):
            return "。"

    token_dict = {name: i for i, name in enumerate(FEW)}
    assert Tokenizer(token_dict).decode([4, 6, 7]) == "你，word"
    assert Spaced(token_dict).decode([4, 6, 7]) == "你， word"
    assert "，" in Tokenizer._cjk_punctuation()


def test_empty_words_are_no_tokens():
    names = {name: i for i, name in enumerate(["", "##", "[UNK]", "[CLS]", "[SEP]", "天", "#"])}
    tokenizer = Tokenizer(names, pre_tokenize=lambda text: ["", *text.split(" "), "", "##"])
    tokens = ["[CLS]", "天", "天", "#", "#", "[SEP]"]
    assert tokenizer.tokenize("天  天") == tokens
    assert tokenizer.encode("天  天")[0] == [3, 5, 5, 6, 6, 4]
    assert tokenizer.rematch("天  天##", tokens) == [[], [0], [3], [4], [5], []]
