"""keep_tokens and compound_tokens, applied once and only once."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert4keras_ext.checkpoints import (
    CheckpointError,
    load_checkpoint,
    open_checkpoint,
    save_checkpoint,
)
from bert4keras_ext.checkpoints.vocabulary import VocabularyEdit
from tests.checkpoints.fake import FakeBuilder, assert_same, bert_shapes, published
from tests.models.families import build, randomize
from tests.shared import oracle

TABLE = np.random.default_rng(0).normal(size=(11, 3)).astype(np.float32)


def test_keep_then_compound():
    edit = VocabularyEdit(11, 6, [9, 0, 3, 4], [[0, 1], ([2, 3], [1, 3])])
    found = edit.apply(TABLE, 0)
    kept = TABLE[[9, 0, 3, 4]]
    expected = [*kept, (kept[0] + kept[1]) / 2, (kept[2] + 3 * kept[3]) / 4]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert edit.rows == 6 and edit.note is None and found.dtype == np.float32


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_axes(axis):
    table = np.moveaxis(TABLE, 0, axis)
    edit = VocabularyEdit(11, 4, [9, 0, 3], [[0, 1]])
    found = np.moveaxis(edit.apply(table, axis), axis, 0)
    np.testing.assert_allclose(found, [*TABLE[[9, 0, 3]], TABLE[[9, 0]].mean(0)], rtol=1e-6)
    edit = VocabularyEdit(11, 4, [9, 0, 3], {2: [10, 1]})
    found = np.moveaxis(edit.apply(table, axis), axis, 0)
    expected = [*TABLE[[9, 0]], TABLE[[10, 1]].mean(0), TABLE[3]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("rows, compound, expected", [
    (9, [[0, 1]], [*range(9), 0.5]),
    (9, {2: [0, 10]}, None),  # 10 is cut off
    (13, [[0, 1]], [*range(11), -1, -1, 0.5]),
    (13, {1: [3, 4]}, [0, 3.5, *range(1, 11), -1, -1]),
    (13, {13: [3, 4]}, [*range(11), -1, -1, 3.5]),
    (13, [[0, 12]], None),
])  # fmt: skip
def test_compound_tokens_of_a_resized_table(rows, compound, expected):
    def edit():
        return VocabularyEdit(11, rows + 1, None, compound, original_rows=rows, resize=True)

    if expected is None:
        with pytest.raises(CheckpointError, match="expected ids from 0 to"):
            edit()
        return
    found = edit().apply(np.arange(11.0), 0)
    np.testing.assert_array_equal(np.where(edit().unknown(), -1, found), expected)
    assert f"11 rows, vocab_size={rows}" in edit().note


def test_ids_may_repeat():
    """As T5-PEGASUS' do: 106 special tokens start from <unk>, "x" and "##x" from one piece."""
    edit = VocabularyEdit(11, 6, [2, 2, 2, 7, 7], [[0, 0, 3]])
    expected = [*TABLE[[2, 2, 2, 7, 7]], (TABLE[2] * 2 + TABLE[7]) / 3]
    np.testing.assert_allclose(edit.apply(TABLE, 0), expected, rtol=1e-6)
    assert edit.note is None


@given(st.data())
def test_any_vocabulary_in_any_order(data):
    """compound_tokens as a dict: ids of the checkpoint, each average under its own new id."""
    ids = st.integers(0, 10)
    wanted = data.draw(st.lists(st.lists(ids, min_size=1, max_size=4), min_size=1, max_size=9))
    keep_tokens = [row[0] for row in wanted if len(row) == 1]
    compound_tokens = {i: row for i, row in enumerate(wanted) if len(row) > 1}
    edit = VocabularyEdit(11, len(wanted), keep_tokens, compound_tokens)
    assert edit.rows == len(wanted) and edit.note is None
    expected = [TABLE[row].astype("float64").mean(0) for row in wanted]
    np.testing.assert_allclose(edit.apply(TABLE, 0), expected, rtol=1e-6, atol=1e-7)


def test_dict_forms():
    expected = [TABLE[0], (TABLE[1] + 3 * TABLE[2]) / 4, *TABLE[1:]]
    for compound in ({1: ([1, 2], [1, 3])}, json.loads('{"1": [[1, 2], [1, 3]]}')):
        # Without keep_tokens all rows stay, in their order.
        edit = VocabularyEdit(11, 12, None, compound)
        np.testing.assert_allclose(edit.apply(TABLE, 0), expected, rtol=1e-6)
    assert VocabularyEdit(11, 3, [0, 1, 2], {}).apply(TABLE, 0).shape == (3, 3)


def test_many_averages():
    """More than are computed at a time, of different lengths."""
    rng = np.random.default_rng(1)
    compound = [rng.integers(0, 11, n).tolist() for n in rng.integers(1, 6, 2500)]
    found = VocabularyEdit(11, 2511, None, compound).apply(TABLE, 0)
    expected = [np.mean([TABLE[i].astype("float64") for i in ids], axis=0) for ids in compound]
    np.testing.assert_allclose(found[11:], expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(found[:11], TABLE)


def test_vectors_and_half_precision():
    bias = np.array([1, 2, 3, 60_000], np.float16)
    found = VocabularyEdit(4, 5, None, [[3, 3, 3]]).apply(bias, 0)
    assert found.tolist() == [1, 2, 3, 60_000, 60_000]  # the sum does not fit into float16


@pytest.mark.parametrize("name", ["bert_keep_tokens", "bert_compound_tokens"])
def test_recorded_cases(name):
    cases = json.loads(oracle("bert4keras", "models", "index.json").read_text())
    case = next(case for case in cases if case["name"] == name)
    path = oracle("bert4keras", "models", case["checkpoint"]) / "model.ckpt"
    with open_checkpoint(path) as reader:
        table = reader.read("bert/embeddings/word_embeddings")
        bias = reader.read("cls/predictions/output_bias")
    shapes = {
        "Embedding-Token/embeddings": tuple(case["layer_weights"]["Embedding-Token"][0]),
        "MLM-Bias/beta": tuple(case["layer_weights"]["MLM-Bias"][0]),
    }
    options = {key: case["kwargs"].get(key) for key in ("keep_tokens", "compound_tokens")}
    builder = FakeBuilder(shapes, **options)
    load_checkpoint(builder, path)
    for weight, whole in (("Embedding-Token/embeddings", table), ("MLM-Bias/beta", bias)):
        kept = whole if options["keep_tokens"] is None else whole[options["keep_tokens"]]
        added = []
        for item in options["compound_tokens"] or []:
            ids, weights = item if isinstance(item[0], list) else (item, None)
            added.append(np.average(kept[ids], axis=0, weights=weights))
        expected = np.concatenate([kept, np.array(added)]) if added else kept
        np.testing.assert_allclose(builder.values()[weight], expected, rtol=1e-6)


@pytest.mark.parametrize(
    "keep, compound, message",
    [
        ([0, 11], None, "ids from 0 to 10, since the table has 11 rows, found 0 to 11"),
        ([-1, 3], None, "found -1 to 3"),
        ([0, 5], [[0, 2]], "ids from 0 to 1"),
        (None, [[11]], "compound_tokens"),
        (None, [[]], "compound_tokens: expected lists of ids"),
        (None, [([1, 2], [1])], "equal length"),
        (None, [([1, 2], [1, -1])], "sum to zero"),
        (None, [[-1]], "compound_tokens .*found -1 to -1"),
        ([0, 1], {1: [11]}, "compound_tokens .*from 0 to 10, since the table has 11 rows"),
        ([0, 1], {3: [1]}, "different new ids from 0 to 2, since 2 kept and 1 new .*found 3 to 3"),
        ([0, 1], {-1: [1]}, "found -1 to -1"),
        ([0, 1], {1: [1], "1": [2]}, "different new ids"),
        ([0, 1], {"a": [1]}, "a key that is no integer"),
        ([0, 11], None, "leave keep_tokens out"),
    ],
)
def test_wrong_ids(keep, compound, message):
    with pytest.raises(CheckpointError, match=message):
        VocabularyEdit(11, 99, keep, compound)


@pytest.mark.parametrize(
    "rows, expected_rows, keep, compound, result_rows, noted",
    [
        (3, 3, [0, 7, 9], None, 3, True),  # saved after keep_tokens
        (4, 4, [0, 7, 9], [[0, 1]], 4, True),  # saved after both
        (3, 4, [0, 7, 9], [[0, 1]], 4, True),  # saved after keep_tokens, compound_tokens are new
        (12, 12, None, [[0, 1]], 12, True),  # saved after compound_tokens
        (11, 12, None, [[0, 1]], 12, False),
        (11, 3, [0, 7, 9], None, 3, False),
        (3, 3, [2, 0, 1], None, 3, False),  # a permutation can be applied, so it is
        (4, 4, [0, 7, 9], {1: [0, 1]}, 4, True),  # saved after both
        (4, 4, [0, 1, 1], {1: [8, 9]}, 4, True),  # told by the ids of compound_tokens
        (11, 4, [0, 7, 9], {1: [0, 1]}, 4, False),
        (13_584, 13_584, [*range(13_583), 21_127], None, 13_584, True),
    ],
)
def test_trimmed_tables_are_recognised(rows, expected_rows, keep, compound, result_rows, noted):
    edit = VocabularyEdit(rows, expected_rows, keep, compound, "words")
    assert edit.rows == result_rows and bool(edit.note) is noted
    assert edit.apply(np.ones((rows, 2), np.float32), 0).shape == (result_rows, 2)
    if noted:
        assert "words: " in edit.note and f"{rows} rows" in edit.note
        largest = max([0, *(keep or []), *(compound[1] if isinstance(compound, dict) else [])])
        if keep:
            assert f"of a table of {largest + 1} or more" in edit.note
            done = "keep_tokens and compound_tokens" if compound and rows == 4 else "keep_tokens"
            assert f"say vocab_size={rows} and leave {done} out" in edit.note


def test_loading_a_trimmed_checkpoint_again(caplog):
    options = {"keep_tokens": [0, 7, 9], "compound_tokens": [[0, 1]]}
    saved = FakeBuilder(bert_shapes(vocab=4), seed=1, **options)
    other = FakeBuilder(bert_shapes(vocab=4), seed=2, **options)
    report = load_checkpoint(other, published(saved))
    assert_same(other.values(), saved.values())
    assert len(report.notes) == 2 and all("already been trimmed" in note for note in report.notes)
    assert "already been trimmed" in caplog.text


def test_a_table_trimmed_before_a_dict_of_compound_tokens_is_an_error():
    """Its averages are of rows that are gone."""
    with pytest.raises(CheckpointError, match="has 3 rows, found 0 to 9.*trimmed before"):
        VocabularyEdit(3, 4, [0, 7, 9], {1: [8, 9]})


def test_a_table_trimmed_to_other_tokens_is_an_error():
    builder = FakeBuilder(bert_shapes(vocab=3), keep_tokens=[0, 7, 9])
    before = builder.values()
    with pytest.raises(CheckpointError, match=r"Embedding-Token/embeddings .*trimmed before"):
        load_checkpoint(builder, published(FakeBuilder(bert_shapes(vocab=5))))
    assert_same(builder.values(), before)


# ---- tables whose ids fit before and after the edit: the config's vocab_size tells ----------


@pytest.mark.parametrize(
    "rows, original_rows, keep, compound, same, noted",
    [
        (45, 40, [*range(19), 39], [[1, 2]] * 25, True, "taken as it is"),  # saved after both
        (42, 40, range(40), [[1, 2]] * 2, True, "taken as it is"),
        (42, 40, range(40), {1: [1, 2], 7: [3]}, True, "taken as it is"),
        (4, 9, [1, 0, 3, 2], None, True, "taken as it is"),
        (4, 9, [0, 1, 2, 3], None, True, None),  # either way the same
        (40, 40, [*range(19), 39], [[1, 2]] * 25, False, None),  # the original
        (45, 45, [*range(19), 39], [[1, 2]] * 25, False, "does not tell"),
        (40, 40, [*range(1, 40)], {7: [3]}, False, "does not tell"),
        (4, 4, [1, 0, 3, 2], None, False, "does not tell"),
        (4, 4, [0, 1, 2, 3], None, True, None),
        (45, None, [*range(19), 39], [[1, 2]] * 25, False, None),  # a builder that does not say
        (50, 40, [*range(19), 39], [[1, 2]] * 25, False, None),  # no size that was to be expected
    ],
)
def test_vocab_size_tells_what_the_ids_do_not(rows, original_rows, keep, compound, same, noted):
    table = np.random.default_rng(0).normal(size=(rows, 3)).astype("float32")
    after = len(keep) + len(compound or [])
    edit = VocabularyEdit(rows, after, list(keep), compound, "words", original_rows)
    found = edit.apply(table, 0)
    assert len(found) == edit.rows == after
    assert np.array_equal(found, table) is same
    assert edit.note is None if noted is None else noted in edit.note


def test_tables_trimmed_before_new_tokens_are_recognised_by_vocab_size():
    edit = VocabularyEdit(4, 5, [1, 0, 3, 2], [[0, 1]], original_rows=9)
    np.testing.assert_array_equal(edit.apply(TABLE[:4], 0)[:4], TABLE[:4])
    assert "a table of 9 (vocab_size)" in edit.note
    assert "say vocab_size=4 and leave keep_tokens out" in edit.note


@pytest.mark.parametrize("format", ["tensorflow", "huggingface", "native"])
@pytest.mark.parametrize(
    "model, keep, compound",
    [
        ("bert", [*range(2, 21), 39], [[i % 19, 19] for i in range(25)]),
        ("bert", [*range(40)], [[1, 2], [3, 4]]),
        ("t5.1.1", [*range(40)], {3: [1, 2], 9: [3, 4]}),
        ("gpt2", [*range(9, -1, -1)], None),
    ],
)
def test_saved_and_loaded_with_the_same_tokens(model, keep, compound, format, tmp_path, caplog):
    options = {"keep_tokens": keep, "compound_tokens": compound}
    saved, loaded = build(model, **options), build(model, **options)
    randomize(saved)
    path = tmp_path / ("model.ckpt" if format == "tensorflow" else "model.safetensors")
    save_checkpoint(saved, path, format=format)
    report = load_checkpoint(loaded, path)
    for name, weight in saved.named_weights().items():
        np.testing.assert_array_equal(loaded.named_weights()[name], weight, err_msg=name)
    assert bool(report.notes) is (format != "native")
    assert ("leave keep_tokens" in caplog.text) is (format != "native")


def test_the_original_is_edited_although_the_edit_keeps_its_size(tmp_path, caplog):
    """What a file saved afterwards would look like as well: it is said, and how to avoid it."""
    whole = build("bert")
    randomize(whole)
    save_checkpoint(whole, tmp_path / "whole.ckpt")
    keep = [i for i in range(40) if i != 7]
    cut = build("bert", keep_tokens=keep, compound_tokens={7: [8, 9]})
    cut.load_weights_from_checkpoint(tmp_path / "whole.ckpt")
    table = whole.named_weights()["Embedding-Token/embeddings"].numpy()
    found = cut.named_weights()["Embedding-Token/embeddings"].numpy()
    np.testing.assert_array_equal(found[keep], table[keep])
    np.testing.assert_allclose(found[7], table[8:10].mean(0), rtol=1e-6)
    assert "Embedding-Token/embeddings" in caplog.text and "vocab_size=40" in caplog.text
    assert "leave keep_tokens and compound_tokens out" in caplog.text


def test_a_grown_table_in_a_config_that_says_so_loads_without_a_note(tmp_path):
    saved = build("bert", keep_tokens=[*range(40)], compound_tokens=[[1, 2]] * 2)
    save_checkpoint(saved, tmp_path / "grown.ckpt")
    assert not load_checkpoint(build("bert", vocab_size=42), tmp_path / "grown.ckpt").notes
