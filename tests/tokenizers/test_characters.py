"""What a character is: the recorded predicates, and the class the fast path relies on."""

import json
import re
import unicodedata

import pytest

from bert4keras_ext.tokenizers import Tokenizer
from bert4keras_ext.tokenizers.characters import SpacingTable, lower_and_strip_accents
from bert4keras_ext.tokenizers.word_cache import MARK, SOLITARY
from tests.shared import oracle

# Recorded with Unicode 11.0 (Python 3.7). Later editions added these characters ...
ADDED = {
    "_is_control": "\u0890\u0891",  # ARABIC POUND MARK ABOVE, PIASTRE MARK ABOVE (14)
    "_is_punctuation": (
        "\u061d"  # ARABIC END OF TEXT MARK (14)
        "\u0c77"  # TELUGU SIGN SIDDHAM (12)
        "\u1b7d\u1b7e"  # BALINESE PANTI LANTANG, PAMADA LANTANG (14)
        "\u1b4e\u1b4f\u1b7f"  # BALINESE INVERTED CARIK SIKI, PAREREN and PANTI BAWAK (16)
        "\u2e4f"  # CORNISH VERSE DIVIDER (12)
        "\u2e52"  # TIRONIAN SIGN CAPITAL ET (13)
        "\u2e53\u2e54\u2e55\u2e56\u2e57\u2e58\u2e59\u2e5a\u2e5b\u2e5c\u2e5d"  # medieval marks (14)
    ),
}
# ... and made this one, once punctuation, a symbol.
REMOVED = {"_is_punctuation": "\u166d"}  # CANADIAN SYLLABICS CHI SIGN (12)
NAMES = ("_is_space", "_is_punctuation", "_is_cjk_character", "_is_control")


@pytest.mark.parametrize("name", NAMES)
def test_predicate_is_the_recorded_one(name):
    path = oracle("bert4keras", "tokenizer", "tokenizer.json")
    recorded = set(json.loads(path.read_text(encoding="utf-8"))["predicates"][name])
    predicate = getattr(Tokenizer, name)
    ours = {code for code in range(0x3200) if predicate(chr(code))}
    assert ours - recorded <= set(map(ord, ADDED.get(name, "")))
    assert recorded - ours <= set(map(ord, REMOVED.get(name, "")))
    if unicodedata.unidata_version == "14.0.0":
        sixteen = set(map(ord, "\u1b4e\u1b4f\u1b7f"))
        assert ours - recorded == set(map(ord, ADDED.get(name, ""))) - sixteen
        assert recorded - ours == set(map(ord, REMOVED.get(name, "")))


def test_cjk_blocks_by_their_ends():
    for first, last in (("一", "\u9fff"), ("\u3400", "\u4dbf"), ("\U00020000", "\U0002a6df")):
        assert Tokenizer._is_cjk_character(first) and Tokenizer._is_cjk_character(last)
    for ch in "々〇あア한ａ\u33ff\u4dc0\ua000":
        assert not Tokenizer._is_cjk_character(ch)


@pytest.mark.parametrize("lower", [False, True])
def test_solitary_characters_are_single_words(lower):
    """The premise of the word cache, checked for every character of its class."""
    spacing, is_solitary = SpacingTable(Tokenizer), re.compile(f"[{SOLITARY}]").match
    solitary = [chr(code) for code in range(0x110000) if is_solitary(chr(code))]
    assert len(solitary) > 27000 and chr(MARK) not in solitary
    for ch in solitary:
        plain = lower_and_strip_accents(ch) if lower else ch
        spaced = plain.translate(spacing)
        assert plain == ch and spaced == f" {ch} ", hex(ord(ch))
        assert unicodedata.combining(ch) == 0


def test_special_redundant_stem():
    assert Tokenizer._is_special("[MASK]") and Tokenizer._is_special("[]")
    assert not any(map(Tokenizer._is_special, ["", "[", "[a", "a]", "你"]))
    assert all(map(Tokenizer._is_redundant, ["##你", "你好", "[MASK]", "a.", "##."]))
    assert not any(map(Tokenizer._is_redundant, ["", "##", "#", "你", "ab", "##a"]))
    assert Tokenizer.stem("##ab") == "ab" and Tokenizer.stem("ab") == "ab"
