"""Generation as its users meet it: what streams add up to, and numbers at the edge."""

import numpy as np
import pytest

from bert4keras_ext.models import build_transformer_model, generate, stream
from bert4keras_ext.models.generate import _texts_of
from tests.models.generation_cases import builder_of

CONFIG = {
    "vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 16, "hidden_act": "gelu", "max_position_embeddings": 32,
}  # fmt: skip


class Bytes:
    """Ids are bytes of UTF-8, as pieces of SentencePiece for rare characters are."""

    def decode(self, ids):
        return bytes(ids).decode("utf-8", errors="replace")


def streamed(rows):
    """What the pieces of several rows add up to."""
    longest = max(map(len, rows))
    steps = [[row[i] if i < len(row) else None for row in rows] for i in range(longest)]
    pieces = list(_texts_of(iter(steps), Bytes(), len(rows)))
    return ["".join(piece[i] or "" for piece in pieces) for i in range(len(rows))], pieces


def test_characters_of_several_tokens_stream_whole():
    (text,), pieces = streamed([list("好🙂a".encode())])
    assert text == "好🙂a"
    assert [piece[0] for piece in pieces] == ["", "", "好", "", "", "", "🙂", "a"]


def test_a_cut_character_comes_at_the_end_as_generate_has_it():
    rows = [[*b"a", 240, 159], list(b"abcdef")]
    assert streamed(rows)[0] == [Bytes().decode(row) for row in rows]
    assert streamed([[*b"a", 240, 159]])[0] == [Bytes().decode([*b"a", 240, 159])]


@pytest.fixture(scope="module")
def unilm():
    return build_transformer_model(CONFIG, application="unilm", return_keras_model=False)


def test_stream_takes_the_number_of_tokens_by_place(unilm):
    rows = [[2, 5, 3]]
    assert list(unilm.stream(rows, 3)) == list(stream(unilm, rows, 3)) == unilm.generate(rows, 3)[0]


def test_arrays_of_fractions_are_refused(unilm):
    with pytest.raises(TypeError, match="whole numbers"):
        unilm.generate(np.array([[2.7, 3.0]]), 2)


def test_the_least_temperatures_are_their_limit(unilm):
    rows = [[2, 5, 3], [2, 3]]
    found = unilm.generate(rows, 4, method="sample", temperature=1e-40, seed=1)
    assert found == unilm.generate(rows, 4)


def test_what_a_t5_starts_from_counts_as_text_for_processors():
    t5 = builder_of("t5.1.1")
    rows = [([5, 6, 7], [0, 9, 11]), ([8, 6], [0, 9, 11])]
    for text in t5.generate(rows, max_new_tokens=12, no_repeat_ngram=1):
        assert not {0, 9, 11} & set(text) and len(set(text)) == len(text)


@pytest.mark.parametrize(
    "processor, message",
    [
        (lambda scores, generated: None, "the processor <lambda> .* it returned NoneType"),
        (lambda scores, generated: scores[..., :3], r"it returned the shape \(.*3\)"),
    ],
)
def test_a_processor_that_returns_no_scores_of_all_tokens(processor, message):
    with pytest.raises(ValueError, match=message):
        builder_of("bert-unilm").generate([[5, 6]], max_new_tokens=2, processors=[processor])


def test_what_is_no_model():
    with pytest.raises(TypeError, match="generate expects a model.*received str"):
        generate("model", [[5, 6]])
