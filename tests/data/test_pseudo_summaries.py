"""Pseudo summaries against the definition, written out with the O(nm) table."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert4keras_ext.data import pseudo_summary, summary_chunks, summary_sentences
from tests.shared import shared

SENTENCES = st.lists(st.text("abc", max_size=6), min_size=2, max_size=8)
RATES = st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 1.0, 3.0])


def lcs(a, b):
    """Length of the longest common subsequence, by the table."""
    row = [0] * (len(b) + 1)
    for x in a:
        diagonal = 0
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], diagonal + 1 if x == y else max(row[j], row[j - 1])
    return row[-1]


def by_the_definition(sentences, rate):
    def join(indices):
        return "".join(sentences[i] for i in indices)

    source, target = list(range(len(sentences))), []
    while True:
        scores = [
            lcs(join([j for j in source if j != i]), join(sorted([*target, i]))) for i in source
        ]
        chosen = source[int(np.argmax(scores))]
        source.remove(chosen)
        target = sorted([*target, chosen])
        if len(source) == 1 or (join(target) and not join(source)):
            break
        if join(source) and len(join(target)) / len(join(source)) > rate:
            break
    return (target, source) if len(join(source)) < len(join(target)) else (source, target)


@settings(max_examples=400, deadline=None)
@given(SENTENCES, RATES)
def test_selections_are_those_of_the_definition(sentences, rate):
    source, target = summary_sentences(sentences, rate)
    assert (source, target) == by_the_definition(sentences, rate)
    assert pseudo_summary(sentences, rate) == (
        "".join(sentences[i] for i in source),
        "".join(sentences[i] for i in target),
    )


@settings(max_examples=60, deadline=None)
@given(SENTENCES, RATES)
def test_every_sentence_goes_somewhere(sentences, rate):
    source, target = summary_sentences(iter(sentences), rate)
    assert sorted(source + target) == list(range(len(sentences))) and source and target
    lengths = [sum(len(sentences[i]) for i in part) for part in (source, target)]
    assert lengths[0] >= lengths[1]


def test_real_text():
    path = shared("data", "corpus", "CLUECorpusSmall_sampled.txt")
    lines = path.read_text(encoding="utf-8").split("\n")
    chunks = [chunk for line in lines[:60] for chunk in summary_chunks(line, 20, 200)]
    assert len(chunks) > 50
    for chunk in chunks[:12]:
        assert summary_sentences(chunk) == by_the_definition(chunk, 0.25)
    for chunk in chunks:
        source, target = pseudo_summary(chunk)
        assert len(target) <= len(source)


def test_greedy_by_hand():
    # "abcd" shares four characters with the rest, "abxx" and "cdyy" two each.
    sentences = ["abxx", "cdyy", "abcd"]
    assert summary_sentences(sentences) == ([0, 1], [2])
    # Half as long as the others is not longer than 0.5: the first of the two goes as well, and
    # then the longer part is the source.
    assert summary_sentences(sentences, 0.5) == ([0, 2], [1])
    assert summary_sentences(["ab", "ab", "ab"]) == ([1, 2], [0])  # of equals the first
    # The long one is taken since it shares most; then the two change places.
    assert summary_sentences(["ab", "cdxabxxx", "cd", "b"]) == ([1], [0, 2, 3])


def test_characters_beyond_the_basic_plane():
    assert pseudo_summary(["𠀀𠀁", "😀😀😀", "𠀀😀"]) == ("𠀀𠀁😀😀😀", "𠀀😀")


@pytest.mark.parametrize(
    "sentences, error, message",
    [
        ([], ValueError, "at least two, .* found 0"),
        (["a"], ValueError, "at least two, .* found 1"),
        ("ab", TypeError, "found one str"),
        (["a", 3], TypeError, "found int in it"),
    ],
)
def test_wrong_sentences(sentences, error, message):
    with pytest.raises(error, match=message):
        pseudo_summary(sentences)


CHARACTERS = st.text("ab。\n ", max_size=120)


@settings(max_examples=200, deadline=None)
@given(CHARACTERS, st.integers(1, 12), st.integers(1, 40), st.integers(1, 4))
def test_chunks(text, sentence_length, chunk_length, min_sentences):
    chunks = list(summary_chunks(text, sentence_length, chunk_length, min_sentences))
    for chunk in chunks:
        assert len(chunk) >= min_sentences and all(chunk)
        assert len(chunk) == min_sentences or sum(map(len, chunk)) <= chunk_length
    for chunk, after in zip(chunks, chunks[1:]):
        assert sum(map(len, chunk)) + len(after[0]) > chunk_length
    # In order, nothing twice; what is lost are spaces and a short end.
    joined = "".join(sentence for chunk in chunks for sentence in chunk)
    squeezed = "".join(text.split())
    assert squeezed.startswith("".join(joined.split()))


def test_chunks_by_hand():
    text = "一二三。四五。\n六七八九。十。末"
    assert list(summary_chunks(text, 4, 100, 1)) == [["一二三。", "四五。", "六七八九。", "十。末"]]
    assert list(summary_chunks(text, 4, 8, 1)) == [["一二三。", "四五。"], ["六七八九。", "十。末"]]
    assert list(summary_chunks(text, 4, 8, 3)) == [["一二三。", "四五。", "六七八九。"]]
    assert list(summary_chunks(text, 4, 1, 4)) == [["一二三。", "四五。", "六七八九。", "十。末"]]
    assert list(summary_chunks(text, 4, 1, 5)) == [] == list(summary_chunks("", 4, 1, 0))
    assert list(summary_chunks("a;b;c", 1, 9, 2, seps=";")) == [["a;", "b;", "c"]]


def test_published_sizes():
    """Chunks of at least three sentences, at most 1.5 x 512 characters unless these are longer."""
    path = shared("data", "corpus", "CLUECorpusSmall_sampled.txt")
    chunks = list(summary_chunks(path.read_text(encoding="utf-8")[:200_000]))
    lengths = [sum(map(len, chunk)) for chunk in chunks]
    assert min(map(len, chunks)) >= 3
    assert all(n <= 768 or len(chunk) == 3 for n, chunk in zip(lengths, chunks))
    assert np.median(lengths) > 650
