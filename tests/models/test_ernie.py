"""ERNIE: the task embedding, names, configs, and BERTs that are called otherwise."""

import json

import numpy as np
import pytest

from bert4keras_ext.checkpoints import open_checkpoint, save_checkpoint
from bert4keras_ext.models import BERT, build_transformer_model
from bert4keras_ext.models.ernie import TaskEmbedding
from tests import peers
from tests.harness import check_layer
from tests.models.families import BASE, build, inputs_of, predict, randomize

TASK = "Embedding-Task/embeddings"


def copied(source, target):
    for name, variable in target.named_weights().items():
        variable.assign(source.named_weights()[name])
    return target


def test_task_embedding_is_a_table_added_to_the_inputs():
    rng = np.random.default_rng(0)
    x, ids = rng.normal(size=(2, 5, 4)).astype("float32"), rng.integers(0, 3, (2, 5))
    layer = TaskEmbedding(3, task_id=2)
    layer.build(x.shape)
    table = rng.normal(size=(3, 4)).astype("float32")
    layer.embeddings.assign(table)
    np.testing.assert_allclose(layer(x, task_ids=ids), x + table[ids], atol=1e-6)
    np.testing.assert_allclose(layer(x), x + table[2], atol=1e-6)


@pytest.mark.parametrize("call", [{}, {"task_ids": np.array([[0, 1, 2], [2, 2, 0]])}])
def test_task_embedding_is_a_keras_layer(call):
    x = np.random.default_rng(1).normal(size=(2, 3, 4)).astype("float32")
    mask = np.array([[1, 1, 0], [1, 1, 1]], bool)
    check_layer(
        TaskEmbedding, {"input_dim": 3, "task_id": 1}, x, [mask], call,
        expected_shape=(2, 3, 4), expected_weights=1, expected_mask=mask,
    )  # fmt: skip


@pytest.mark.parametrize("task_id", [0, 2])
def test_a_task_for_all_tokens_is_the_same_as_other_segments(task_id):
    """The task's vector might as well stand in every row of the segment table."""
    ernie = build("ernie", task_id=task_id)
    randomize(ernie)
    bert = copied(ernie, build("bert"))
    row = ernie.named_weights()[TASK].numpy()[task_id]
    segments = bert.named_weights()["Embedding-Segment/embeddings"]
    segments.assign(segments.numpy() + row)
    arrays = inputs_of(ernie)
    assert np.abs(row).max() > 0.1
    # float32 eps times two layers, logits up to about 10
    np.testing.assert_allclose(predict(ernie, arrays)[0], predict(bert, arrays)[0], atol=2e-5)


def test_task_ids_are_the_last_input():
    fixed = build("ernie", task_id=1, custom_position_ids=True)
    randomize(fixed)
    free = copied(fixed, build("ernie", custom_position_ids=True, custom_task_ids=True))
    names = ["Input-Token", "Input-Segment", "Input-Position", "Input-Task"]
    assert [x.name for x in free.inputs] == names
    arrays = inputs_of(fixed)
    ids = np.ones_like(arrays[0])
    np.testing.assert_allclose(
        predict(free, [*arrays, ids])[0], predict(fixed, arrays)[0], atol=2e-5
    )
    other = predict(free, [*arrays, ids * 2])[0]
    assert np.abs(other - predict(fixed, arrays)[0]).max() > 1e-3


def test_without_tasks_it_is_a_bert():
    ernie = build("ernie", use_task_id=False)
    randomize(ernie)
    bert = copied(ernie, build("bert"))
    assert list(bert.layers) == list(ernie.layers)
    arrays = inputs_of(ernie)
    np.testing.assert_array_equal(predict(ernie, arrays)[0], predict(bert, arrays)[0])


@pytest.mark.parametrize("application", ["lm", "unilm"])
def test_language_models_have_tasks_too(application):
    builder = build("ernie", application=application)
    assert "Embedding-Task" in builder.layers and builder.model.output.shape == (None, None, 40)


@pytest.mark.parametrize("prefix", ["ernie.", "bert.", "", "module.ernie."])
def test_folders_of_hugging_face(prefix, tmp_path):
    """ERNIE 3.0 as it is found: under its own name, or BERT's, or none."""
    config = {
        **BASE, "model_type": "ernie", "use_task_id": True, "task_type_vocab_size": 3,
        "type_vocab_size": 4, "hidden_act": "relu", "layer_norm_eps": 1e-5,
    }  # fmt: skip
    first = build_transformer_model(
        config, return_keras_model=False, with_mlm="linear", with_nsp="linear"
    )
    assert first.layer_norm_epsilon == first.embedding_norm_epsilon == 1e-5
    randomize(first)
    save_checkpoint(first, tmp_path, format="huggingface")
    with open_checkpoint(tmp_path) as reader:
        names = {n: n.replace("ernie.", prefix, 1) for n in reader.names()}
        file = {names[n]: reader.read(n) for n in reader.names()}
    if prefix.startswith("module."):
        file = {n if n.startswith("module.") else f"module.{n}": x for n, x in file.items()}
    assert "ernie.embeddings.task_type_embeddings.weight" in names
    second = build_transformer_model(
        config, return_keras_model=False, with_mlm="linear", with_nsp="linear"
    )
    loaded = second.load_weights_from_checkpoint(file)
    assert not (loaded.unused or loaded.missing or loaded.unnamed)
    arrays = inputs_of(first)
    for a, b in zip(predict(first, arrays), predict(second, arrays)):
        np.testing.assert_array_equal(a, b)


def test_a_table_of_tasks_that_the_config_does_not_use_is_reported():
    ernie = build("ernie")
    file = {
        names[i]: variable.numpy()
        for layer, names in ernie.variable_mapping().items()
        for i, variable in enumerate(getattr(ernie.layers[layer], "weights", ()))
    }
    loaded = build("ernie", use_task_id=False).load_weights_from_checkpoint(file)
    assert loaded.unused == ["bert/embeddings/task_type_embeddings"]


def test_chinese_roberta_says_bert_and_is_one(tmp_path):
    """As hfl/chinese-roberta-wwm-ext has it: old spellings, a pooler, keys that mean nothing."""
    config = {
        **BASE, "architectures": ["BertForMaskedLM"], "model_type": "bert", "directionality":
        "bidi", "pooler_fc_size": 16, "pooler_type": "first_token_transform", "layer_norm_eps":
        1e-12, "output_past": True, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0,
    }  # fmt: skip
    first = build("bert", with_nsp="linear")
    randomize(first)
    save_checkpoint(first, tmp_path, format="huggingface")
    (tmp_path / "config.json").write_text(json.dumps(config))
    arrays = inputs_of(first)
    for model in (None, "roberta"):
        second = build_transformer_model(
            tmp_path, model=model, return_keras_model=False, with_nsp="linear", with_mlm="linear"
        )
        assert type(second) is BERT
        for a, b in zip(predict(first, arrays), predict(second, arrays)):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"task_id": 3}, "task_id expects one of the 3 tasks.*received 3"),
        ({"task_type_vocab_size": 0}, "task_type_vocab_size expects a positive integer"),
        ({"use_task_id": False, "task_id": 1}, "use_task_id is false"),
        ({"use_task_id": False, "custom_task_ids": True}, "use_task_id is false"),
        ({"position_embedding_type": "relative_key_query"}, "'relative_key_query'.*'absolute'"),
    ],
)
def test_bad_configs(change, message):
    with pytest.raises(ValueError, match=message):
        build("ernie", **change)


@pytest.mark.parametrize(
    "change", [{"type_vocab_size": 4}, {"hidden_size": 24, "num_hidden_layers": 3}]
)
@pytest.mark.parametrize("custom", [False, True])
def test_transformers_loads_what_is_written(change, custom, tmp_path):
    config = {**BASE, **change, "use_task_id": True, "task_type_vocab_size": 3,
              "layer_norm_eps": 1e-5, "model_type": "ernie"}  # fmt: skip
    builder = build_transformer_model(
        config, custom_task_ids=custom, with_nsp="linear", with_mlm="linear",
        return_keras_model=False,
    )  # fmt: skip
    peers.fill(builder)
    save_checkpoint(builder, tmp_path, format="huggingface")
    (tmp_path / "config.json").write_text(json.dumps(config))
    tokens, segments, *tasks = arrays = inputs_of(builder)
    more = {"task_type_ids": tasks[0]} if tasks else {}

    def theirs():
        model = peers.loaded("ErnieForPreTraining", tmp_path)
        return peers.logits(model, tokens, segments, **more)

    wanted = peers.answer(f"ernie_{len(change)}_{len(arrays)}", tmp_path, theirs)
    order, logits = predict(builder, arrays)
    real = tokens != 0
    np.testing.assert_allclose(order, wanted["seq_relationship_logits"], atol=2e-5)
    np.testing.assert_allclose(logits[real], wanted["prediction_logits"][real], atol=2e-5)
