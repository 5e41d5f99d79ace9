"""What cannot be generated from is refused before anything is computed; extremes are defined."""

import numpy as np
import pytest

from bert4keras_ext.generation import ExtractiveNgrams
from tests.models.families import build
from tests.models.generation_cases import builder_of

ROWS = [[5, 6, 7], [8, 9]]


@pytest.fixture(scope="module")
def builder():
    return builder_of("bert-unilm", num_hidden_layers=1)


@pytest.mark.parametrize(
    "inputs, message",
    [
        ([[5], []], "row 1 is empty: expected at least one token"),
        ([[5], [6, 40]], r"row 1 has ids outside of the vocabulary of 40: \[40\]"),
        ([[5, -1]], r"outside of the vocabulary of 40: \[-1\]"),
        ([[5.0, 6.0]], "row 0 of 'token': expected a list of whole numbers"),
        ([[True, False]], "expected a list of whole numbers, found .True, False"),
        ([[5, None]], "expected a list of whole numbers"),
        ([["5"]], "expected a list of whole numbers"),
        (5, "expected a list of rows.*received int"),
        (None, "expected a list of rows.*received NoneType"),
        ("text", "texts need the tokenizer"),
        ([[5] * 70], "row 0 has 70 tokens, with max_new_tokens=32 102: the model knows 96"),
        ([([5, 6], [0])], "row 0 has 2 ids and 1 of 'segment'"),
        ([([5, 6], [0, 0]), [7]], "expected every row to be ids, or to be"),
        ([([5, 6], [0, 0], [1, 1])], "expected every row to be ids, or to be"),
        ([([5, 6], [0, 2])], r"row 0: expected segment ids from 0 to 1, found \[2\]"),
        ([([5, 6], [0, -1])], r"row 0: expected segment ids from 0 to 1, found \[-1\]"),
        ({"Input-Token": ROWS, "Foo": ROWS}, r"the model has the inputs .* received \['Foo'"),
        ({"Input-Segment": ROWS}, r"expected rows of 'token' among the inputs, found \['segment'"),
        ({}, r"expected rows of 'token' among the inputs, found \[\]"),
        ({"Input-Token": ROWS, "Input-Segment": [[0]]}, "as many rows of each input, found"),
        (([[5]], [[0]], [[0]]), "expected at most 2 arrays"),
    ],
)
def test_bad_rows(builder, inputs, message):
    with pytest.raises((ValueError, TypeError), match=message):
        builder.generate(inputs)
    with pytest.raises((ValueError, TypeError), match=message):
        builder.stream(inputs)


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(method="best"), r"method expects one of \('greedy', 'beam', 'sample'\)"),
        (dict(max_new_tokens=0), "max_new_tokens expects a whole number of at least 1, received 0"),
        (dict(max_new_tokens=2.0), "max_new_tokens expects a whole number"),
        (dict(max_new_tokens=True), "max_new_tokens expects a whole number"),
        (dict(min_new_tokens=5, max_new_tokens=4), "min_new_tokens <= max_new_tokens, found 5"),
        (dict(topk=0), "topk expects a whole number of at least 1"),
        (dict(topk=3.0), "topk expects a whole number"),
        (dict(topp=1.5), "topp expects a number from 0 to 1"),
        (dict(topp=-0.1), "topp expects a number from 0 to 1"),
        (dict(temperature=-1), "temperature expects a number of at least 0"),
        (dict(temperature=float("nan")), "temperature expects a number"),
        (dict(temperature=0, method="beam"), "temperature=0 leaves no scores to a beam search"),
        (dict(num_return=4, method="beam"), "a beam search with topk=3 finds 3 texts"),
        (dict(num_return=2), "greedy search finds one text"),
        (dict(end_id=40), r"end_id expects ids below 40 \(the vocabulary\)"),
        (dict(end_id=[3, -1]), "end_id expects a whole number of at least 0"),
        (dict(end_id="3"), "end_id expects a whole number"),
        (dict(start_id=40), "start_id expects ids below 40"),
        (dict(batch_size=0), "batch_size expects a whole number of at least 1"),
        (dict(repetition_penalty=0), "repetition_penalty expects a number above 0"),
        (dict(no_repeat_ngram=-1), "no_repeat_ngram expects a whole number"),
        (dict(early_stopping="x"), "early_stopping expects True, False or 'never'"),
        (dict(length_penalty="a"), "length_penalty expects a number"),
        (dict(seed=-3, method="sample"), "seed expects a whole number of at least 0"),
        (dict(seed=1.5, method="sample"), "seed expects a whole number"),
        (dict(processors=[3]), "processors expects functions, received 3"),
        (dict(tokenizer=3), "tokenizer expects one with encode and decode"),
        (dict(votes=[1]), r"votes expects the number of rows of each group.*found \[1\], 1"),
        (dict(votes=[3, -1]), "votes expects the number of rows of each group"),
        (dict(votes=2), "votes expects a list of numbers of rows, received 2"),
        (dict(foo=1), "unexpected keyword argument 'foo'"),
    ],
)
def test_bad_settings(builder, settings, message):
    with pytest.raises((ValueError, TypeError), match=message):
        builder.generate(ROWS, **settings)


@pytest.mark.parametrize("setting", ["votes", "return_scores", "progress", "foo"])
def test_what_does_not_stream(builder, setting):
    with pytest.raises(TypeError, match=rf"stream expects.*received \['{setting}'\]"):
        builder.stream(ROWS, **{setting: [2]})
    with pytest.raises(ValueError, match="stream expects method='greedy' or 'sample'"):
        builder.stream(ROWS, method="beam")


def test_own_positions_that_run_out():
    own = build("bert", application="lm", custom_position_ids=True)
    rows = [([5, 6], [0, 0], [0, 19])]
    with pytest.raises(ValueError, match="row 0 ends at position 19, with max_new_tokens=5 at 24"):
        own.generate(rows, max_new_tokens=5)
    with pytest.raises(ValueError, match=r"expected position ids from 0 to 23, found \[24\]"):
        own.generate([([5, 6], [0, 0], [0, 24])], max_new_tokens=1)
    image = build("roformer", application="lm", rotary_axes=2)
    with pytest.raises(ValueError, match="positions have several coordinates"):
        image.generate(ROWS)


def test_the_window_is_used_to_its_end(builder):
    assert len(builder.generate([[5] * 90], max_new_tokens=6)[0]) == 6


@pytest.mark.exhaustive
def test_extremes_are_defined(builder):
    greedy = builder.generate(ROWS, max_new_tokens=3)
    one_token = dict(method="sample", max_new_tokens=3)
    for settings in (dict(topp=0), dict(temperature=0), dict(topk=1)):
        assert builder.generate(ROWS, **one_token, **settings) == greedy
    for settings in (dict(topp=1), dict(topk=40), dict(topk=1000)):
        found = builder.generate(ROWS, seed=5, **one_token, **settings)
        assert [len(text) for text in found] == [3, 3]
    wide = builder.generate(ROWS, method="beam", topk=50, num_return=50, max_new_tokens=2)
    assert [len(set(map(tuple, texts))) for texts in wide] == [50, 50]
    never = next(i for i in range(40) if i not in sum(greedy, []))
    assert builder.generate(ROWS, max_new_tokens=3, end_id=never) == greedy
    first = greedy[0][0]
    assert builder.generate(ROWS, max_new_tokens=3, end_id=np.array([first]))[0] == []
    kept = builder.generate(ROWS, max_new_tokens=3, min_new_tokens=3, end_id=first)
    assert [len(text) for text in kept] == [3, 3] and first not in sum(kept, [])


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "settings",
    [{}, dict(method="beam"), dict(method="sample"), dict(cache=False), dict(votes=[1, 1, 1])],
    ids=str,
)
def test_logits_that_are_nan(settings):
    builder = builder_of("gpt", num_hidden_layers=1)
    table = builder.layers["Embedding-Token"].embeddings
    broken = table.numpy()
    broken[7] = np.nan  # what reads it is lost, and so is each logit of token 7
    table.assign(broken)
    with pytest.raises(ValueError, match=r"NaN or infinite for the rows \[.*1.*\] of the inputs"):
        builder.generate([[5, 6], [7], [4, 4, 4]], **settings)


@pytest.mark.exhaustive
def test_nan_of_one_row_is_told_by_its_number():
    builder = builder_of("gpt2-positions", num_hidden_layers=1)
    table = builder.layers["Embedding-Position"].embeddings
    broken = table.numpy()
    broken[40] = np.nan
    table.assign(broken)
    rows = [([5, 6], [0, 1]), ([5, 6, 7], [0, 1, 2]), ([8], [40])]
    with pytest.raises(ValueError, match=r"NaN or infinite for the rows \[2\] of the inputs"):
        builder.generate(rows, max_new_tokens=3)


def test_constraints_of_another_number_of_rows(builder):
    passages = [[[5, 6]], [[7, 8]]]
    with pytest.raises(ValueError, match="made for 2 rows, found 1"):
        builder.generate(ROWS[:1], processors=[ExtractiveNgrams(passages, end_id=3)])
