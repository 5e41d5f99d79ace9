"""Filled inputs: few shapes, and the outputs that unfilled ones give."""

import numpy as np
import pytest
from keras import ops

from bert4keras_ext.backend import set_precision
from bert4keras_ext.generation.paddings import Padding
from tests.generation.models import batch, counting_model, model_of, segments_of


class Reader:
    """A program that is not compiled, and notes the shapes it is given."""

    def __init__(self, model):
        self.model, self.padding, self.shapes = model, Padding(model), set()

    def program(self, arrays, padding):
        self.shapes.add(tuple(x.shape for x in arrays))
        outputs = self.model(arrays if len(arrays) > 1 else arrays[0])
        outputs = ops.convert_to_numpy(ops.cast(outputs, "float32"))
        return outputs[:, outputs.shape[1] - 1 - padding]

    def check(self, arrays, tolerance=1e-5):
        found = self.padding.run(self.program, arrays, Reader(self.model).program)
        wanted = Reader(self.model).program(arrays, 0)
        np.testing.assert_allclose(found, wanted, atol=tolerance)


def test_few_shapes():
    reader = Reader(counting_model(lambda x: ops.cumsum(x, axis=1))[0])
    for length in (1, 2, 31, 32, 33, 50, 64):
        for rows in (1, 3, 2):
            reader.check([batch(rows, length)])
    assert reader.shapes == {((rows, length),) for rows in (1, 2, 4) for length in (32, 64)}


@pytest.mark.parametrize("function", [lambda x: x + ops.mean(x, axis=1, keepdims=True),
                                      lambda x: ops.flip(x, axis=1),
                                      lambda x: x[:, ::2],
                                      lambda x: x - ops.mean(x, axis=0)])  # fmt: skip
def test_not_where_outputs_would_change(function):
    reader = Reader(counting_model(function)[0])
    for length in (5, 6):
        reader.check([batch(3, length)])
    assert reader.shapes == {((3, 5),), ((3, 6),)}


def test_a_first_token_alone_tells_it_too():
    reader = Reader(counting_model(lambda x: ops.mean(x, axis=1, keepdims=True) + 0 * x)[0])
    for ids in (np.zeros((1, 1), int), batch(1, 6)):
        reader.check([ids])
    assert reader.padding.is_harmless is False


@pytest.mark.parametrize("name", ["unilm", "lm", "gpt", "t5", "t5_decoder"])
def test_harmless_for_our_models(name):
    family = name.partition("_")[0] if name in ("gpt", "t5", "t5_decoder") else "bert"
    builder = model_of(family, application=name if family == "bert" else "encoder")
    reader = Reader(builder.decoder if name == "t5_decoder" else builder.model)
    ids = batch(3, 6)
    arrays = [ids, segments_of(ids)]
    if name == "t5":
        arrays = [np.pad(batch(3, 5), ((0, 0), (0, 2))), ids]
    elif name == "t5_decoder":
        arrays = [np.random.default_rng(0).normal(size=(3, 5, 8)).astype("float32"), ids]
    reader.check(arrays)
    reader.check([x[:1] for x in arrays])
    source = (5, 8) if name == "t5_decoder" else (32,)
    assert reader.shapes == {((rows, *source), (rows, 32)) for rows in (1, 4)}


def test_segments_hide_what_follows_in_models_without_padding():
    reader = Reader(model_of("bert", "unilm", pad_token_id=-1).model)
    ids = batch(3, 6)
    reader.check([ids, segments_of(ids)])
    assert reader.shapes == {((4, 32), (4, 32))}


def test_padding_of_another_id():
    reader = Reader(model_of("bert", "encoder", pad_token_id=7).model)
    ids = batch(3, 6)
    ids[1, 1:3] = 0
    reader.check([ids, segments_of(ids)])
    assert reader.shapes == {((4, 32), (4, 32))}


def test_not_beyond_the_positions_of_a_model():
    reader = Reader(model_of("bert", "lm").model)  # of 40 positions
    for length in (30, 34, 40):
        ids = batch(2, length)
        reader.check([ids, np.zeros_like(ids)])
    lengths = {shapes[0][1] for shapes in reader.shapes}
    assert lengths == {32, 64, 34, 40}  # 64 was tried in vain
    reader.shapes.clear()
    reader.check([ids, np.zeros_like(ids)])
    assert {shapes[0][1] for shapes in reader.shapes} == {40}


def test_at_the_last_position_of_a_model():
    reader = Reader(model_of("bert", "lm").model)
    ids = batch(2, 40)
    reader.check([ids, np.zeros_like(ids)])
    assert reader.padding.is_harmless is None  # not known yet
    reader.check([ids[:, 1:7], np.zeros_like(ids)[:, 1:7]])
    assert reader.padding.is_harmless


def test_half_precision():
    set_precision("mixed_bfloat16")
    reader = Reader(model_of().model)
    ids = batch(3, 7)
    reader.check([ids, segments_of(ids)], tolerance=0.1)
    assert reader.padding.is_harmless


def test_errors_of_inputs_are_shown():
    reader = Reader(model_of("bert", "lm").model)
    reader.check([batch(2, 5), np.zeros((2, 5), int)])
    with pytest.raises(Exception, match="positions"):
        reader.check([batch(2, 41), np.zeros((2, 41), int)])
