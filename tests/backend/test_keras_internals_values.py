"""What private names of Keras give: this fails first under a Keras that changed them."""

import keras
import numpy as np
from keras import ops

from bert4keras_ext.backend import keras_internals


def test_a_symbolic_tensor_knows_what_made_it():
    x = keras.Input((2,))
    layer = keras.layers.Dense(3)
    operation, index, inputs = keras_internals.maker_of(layer(x))
    assert (operation, index, len(inputs)) == (layer, 0, 1) and inputs[0] is x
    assert keras_internals.maker_of(ops.ones(2)) is None


def test_a_softmax_or_sigmoid_notes_its_logits():
    x = ops.ones((1, 2))
    for function in (keras.activations.softmax, keras.activations.sigmoid):
        assert keras_internals.logits_of(function(x)) is x
    assert keras_internals.logits_of(x) is None


def test_a_layer_leaves_a_mask_on_its_output():
    x = keras.layers.Masking()(np.array([[[1.0], [0.0]]]))
    assert keras_internals.keras_mask(x).numpy().tolist() == [[True, False]]
    assert keras_internals.keras_mask(ops.ones(2)) is None


def test_layers_inside_and_what_compile_adds():
    inner = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model = keras.Sequential([inner])
    assert keras_internals.all_layers_of(model)[:3] == [model, inner, inner.layers[0]]
    assert keras_internals.compiled_parts(model) == []
    model.compile("adam", "mse", metrics=["mae"])
    names = {type(part).__name__ for part in keras_internals.compiled_parts(model)}
    assert names == {"Adam", "CompileLoss", "CompileMetrics", "Mean"}


def test_the_calls_of_a_functional_model_in_order():
    x = keras.Input((2,))
    first, second = keras.layers.Dense(3), keras.layers.Dense(1)
    model = keras.Model(x, second(first(x)))
    (a, arguments, outputs), (b, *_) = keras_internals.graph_nodes(model)
    assert (a, b) == (first, second) and len(outputs) == 1
    assert arguments.keras_tensors == [x] and arguments.fill_in({id(x): 5}) == ((5,), {})
    assert keras_internals.layer_of_input(x) == x._keras_history.operation.name

    class Subclassed(keras.Model):
        pass

    assert keras_internals.graph_nodes(Subclassed()) is None
