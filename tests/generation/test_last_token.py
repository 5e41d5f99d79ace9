"""What predicts the last position: the model's own numbers, without tracing and without leaks."""

import gc
import weakref

import keras
import numpy as np
import pytest
from keras import ops

from bert4keras_ext.backend import set_xla
from bert4keras_ext.generation import AutoRegressiveDecoder, last_token
from bert4keras_ext.layers import Dense
from tests.generation.models import batch, counting_model, model_of, segments_of

BACKEND = keras.backend.backend()


def wanted(model, arrays):
    return ops.convert_to_numpy(model(arrays))[:, -1]


def check(found, expected):
    assert isinstance(found, np.ndarray) and found.dtype == "float32"
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("xla", [False, True])
def test_it_is_the_model_s_last_position(xla, capfd):
    set_xla(xla)
    model = model_of().model
    for rows, length in ((1, 4), (3, 5)):
        ids = batch(rows, length)
        arrays = [ids, segments_of(ids)]
        check(last_token(model).predict(arrays), wanted(model, arrays))
    if xla and BACKEND != "torch":
        assert last_token(model)._padding.is_harmless
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    "name, xla", [("gpt", False), ("t5", False), ("t5", True), ("t5_decoder", False)]
)
def test_other_models(name, xla):
    set_xla(xla)
    builder = model_of(name.partition("_")[0], application="lm" if name == "gpt" else "encoder")
    for rows, length in ((3, 6),) if xla else ((1, 1), (3, 6)):
        ids, source = batch(rows, length), batch(rows, 5)
        source[:, 4:] = 0
        if name == "gpt":
            segments = np.zeros_like(ids)
            model, arrays = builder.model, [ids, segments]
        elif name == "t5":
            model, arrays = builder.model, [source, ids]
        else:
            states = builder.encoder.predict(source, verbose=0)
            model, arrays = builder.decoder, [states, ids]
        check(last_token(model).predict(arrays), wanted(model, arrays))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="a trace for all shapes is TensorFlow's")
def test_growing_inputs_are_traced_once():
    model, traces = counting_model(ops.tanh)
    for length in range(1, 12):
        for rows in (1, 3, 2):
            last_token(model).predict(batch(rows, length))
    assert traces == [(None, None, 4)]


def test_changed_weights_are_seen():
    model = model_of().model
    ids = batch(2, 6)
    arrays = [ids, segments_of(ids)]
    before = last_token(model).predict(arrays)
    for variable in model.trainable_variables:
        variable.assign(variable * 0.5)
    after = last_token(model).predict(arrays)
    check(after, wanted(model, arrays))
    assert np.abs(after - before).max() > 0.01


def test_lora_and_quantization_are_seen():
    tokens = keras.Input((None,), dtype="int32")
    dense = Dense(5)
    model = keras.Model(tokens, dense(keras.layers.Embedding(30, 4)(tokens)))
    ids = batch(2, 6)
    before = last_token(model).predict(ids)
    dense.enable_lora(2)
    dense.lora_kernel_b.assign(np.ones((2, 5)))
    found = last_token(model).predict(ids)
    check(found, wanted(model, ids))
    assert np.abs(found - before).max() > 1e-4


def test_what_scripts_pass_as_inputs():
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    one = keras.Model(tokens, keras.layers.Embedding(30, 4)(tokens))
    ids = batch(2, 5)
    expected = wanted(one, ids)
    for inputs in (ids, [ids], (ids,), ids.tolist(), [ids.tolist()], {"tokens": ids},
                   ids.astype("float64"), ops.convert_to_tensor(ids.astype("int32"))):  # fmt: skip
        check(last_token(one).predict(inputs), expected)
    check(last_token(one).predict([ids[0].tolist()]), expected[:1])
    check(last_token(one).predict(ids, batch_size=1, verbose=1), expected)
    two = model_of().model
    lists = [ids.tolist(), segments_of(ids).tolist()]
    named = {tensor.name: x for tensor, x in zip(two.inputs, lists)}
    for inputs in (lists, tuple(map(np.array, lists)), np.array(lists), named):
        check(last_token(two).predict(inputs), wanted(two, [ids, segments_of(ids)]))


def test_several_outputs():
    tokens = keras.Input((None,), dtype="int32")
    states = keras.layers.Embedding(30, 4)(tokens)
    model = keras.Model(tokens, [states, keras.layers.Dense(3)(states)])
    ids = batch(2, 5)
    found = last_token(model).predict(ids)
    assert isinstance(found, list)
    for x, y in zip(found, model.predict(ids, verbose=0)):
        check(x, y[:, -1])


@pytest.mark.parametrize(
    "inputs, message",
    [
        ([batch(2, 5)], "an array for each of the inputs"),
        ([batch(2, 5)] * 3, "an array for each of the inputs"),
        ([batch(2, 5), batch(3, 5)], r"as many rows each.*\(2, 5\), \(3, 5\)"),
        ([batch(2, 0), batch(2, 0)], "one position at least.*give the decoder a start_id"),
        ([[[1, 2], [1]], [[0, 0], [0]]], "in rows of one length|inhomogeneous"),
        ([["你好"], ["好"]], "expected numbers"),
        ([[1, 2, 3], [0, 0, 0]], r"expected the shape \(None, None\)"),
    ],
)
def test_errors(inputs, message):
    predictor = last_token(model_of().model)
    with pytest.raises(ValueError, match=message):
        predictor.predict(inputs)


def test_errors_of_models():
    builder = model_of()
    with pytest.raises(TypeError, match="functional Keras model.*pass its .model"):
        last_token(builder)
    tokens = keras.Input((None,))
    flat = keras.Model(tokens, ops.sum(tokens, axis=1))
    with pytest.raises(ValueError, match=r"outputs \(batch, length, ...\)"):
        last_token(flat).predict(batch(2, 3))


def test_the_same_object_each_time_which_leaves_the_model_free(tmp_path):
    model = model_of().model
    decoder = AutoRegressiveDecoder(None, 3, 4)
    ids = batch(2, 5)
    expected = decoder.last_token(model).predict([ids, segments_of(ids)])
    assert decoder.last_token(model) is last_token(model) is AutoRegressiveDecoder.last_token(model)
    path = tmp_path / "model.keras"
    model.save(path)  # and it is in nobody's way
    loaded = keras.models.load_model(path)
    assert last_token(loaded) is not last_token(model)
    check(last_token(loaded).predict([ids, segments_of(ids)]), expected)
    gone = [weakref.ref(model), weakref.ref(last_token(model))]
    del model
    keras.utils.clear_session()
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="graphs are TensorFlow's")
def test_no_graph_is_left():
    from tests.test_memory import graphs_alive

    def use():
        model = model_of().model
        ids = batch(2, 5)
        last_token(model).predict([ids, segments_of(ids)])
        assert sum_of_graphs() > before

    def sum_of_graphs():
        return sum(type(x).__name__ == "FuncGraph" for x in gc.get_objects())

    before = graphs_alive()
    use()
    assert graphs_alive() <= before


def test_decoder_over_a_model_is_the_loop_over_its_predict():
    model = model_of(with_mlm=True).model

    class Title(AutoRegressiveDecoder):
        @AutoRegressiveDecoder.wraps(default_rtype="probas")
        def predict(self, inputs, output_ids, states):
            token_ids = np.concatenate([inputs[0], output_ids], 1)
            segment_ids = np.concatenate([inputs[1], np.ones_like(output_ids)], 1)
            return self.read(model, [token_ids, segment_ids])

        def read(self, model, arrays):
            return self.last_token(model).predict(arrays)

    class Slow(Title):
        def read(self, model, arrays):
            return ops.convert_to_numpy(model(arrays))[:, -1]

    ids, segments = [5, 6, 7], [0, 0, 0]
    for topk in (1, 3):
        found = Title(None, 3, 6).beam_search([ids, segments], topk)
        assert found.tolist() == Slow(None, 3, 6).beam_search([ids, segments], topk).tolist()
    np.random.seed(1)
    found = Title(None, 3, 6).random_sample([ids, segments], 3, topp=0.9)
    np.random.seed(1)
    assert [x.tolist() for x in found] == [
        x.tolist() for x in Slow(None, 3, 6).random_sample([ids, segments], 3, topp=0.9)
    ]
