"""A builder without a model: BERT's weight names and shapes, and variables to load into."""

import h5py
import keras
import numpy as np

from bert4keras_ext.checkpoints.names import table_of
from bert4keras_ext.checkpoints.resolve import layers_of
from bert4keras_ext.checkpoints.saving import _tensors

SIZES = {"vocab": 11, "hidden": 8, "inner": 12, "positions": 7, "segments": 2, "layers": 2}
ATTENTION = "Transformer-{}-MultiHeadSelfAttention"
FEED_FORWARD = "Transformer-{}-FeedForward"


def bert_shapes(heads=("Pooler", "NSP", "MLM"), **sizes):
    """{our weight: shape} of a BERT of the given SIZES."""
    vocab, hidden, inner, positions, segments, layers = ({**SIZES, **sizes}[key] for key in SIZES)
    shapes = {
        "Embedding-Token/embeddings": (vocab, hidden),
        "Embedding-Segment/embeddings": (segments, hidden),
        "Embedding-Position/embeddings": (positions, hidden),
        **_norm("Embedding-Norm", hidden),
    }
    for i in range(layers):
        for part in "qkvo":
            shapes.update(_dense(f"{ATTENTION.format(i)}/{part}", hidden, hidden))
        shapes.update(_norm(f"{ATTENTION.format(i)}-Norm", hidden))
        shapes.update(_dense(f"{FEED_FORWARD.format(i)}/i0", hidden, inner))
        shapes.update(_dense(f"{FEED_FORWARD.format(i)}/o", inner, hidden))
        shapes.update(_norm(f"{FEED_FORWARD.format(i)}-Norm", hidden))
    if "Pooler" in heads:
        shapes.update(_dense("Pooler-Dense", hidden, hidden))
    if "NSP" in heads:
        shapes.update(_dense("NSP-Proba", hidden, 2))
    if "MLM" in heads:
        shapes.update(_dense("MLM-Dense", hidden, hidden))
        shapes.update(_norm("MLM-Norm", hidden))
        shapes["MLM-Bias/beta"] = (vocab,)
    return shapes


def _dense(name, rows, columns):
    return {f"{name}/kernel": (rows, columns), f"{name}/bias": (columns,)}


def _norm(name, size):
    return {f"{name}/beta": (size,), f"{name}/gamma": (size,)}


class FakeBuilder:
    """What `load_checkpoint` and `save_checkpoint` ask of a builder, with random weights."""

    family = "bert"
    hidden_act = "gelu"
    prefix = ""
    vocabulary_axes = {"Embedding-Token/embeddings": 0, "MLM-Bias/beta": 0}
    keep_tokens = compound_tokens = model = None
    autoresize_weights = ignore_invalid_weights = False

    def __init__(self, shapes=None, seed=0, dtype="float32", **attributes):
        shapes = bert_shapes() if shapes is None else shapes
        random = np.random.default_rng(seed)
        self.variables = {
            name: keras.Variable(random.normal(size=shape), dtype=dtype, name=name.split("/")[-1])
            for name, shape in shapes.items()
        }
        self.layers = {}
        for key, value in attributes.items():
            setattr(self, key, value)

    def named_weights(self):
        return dict(self.variables)

    def values(self):
        return {name: np.array(variable.value.numpy()) for name, variable in self.variables.items()}


def published(builder, source="tensorflow"):
    """{foreign name: array} of a builder's weights, as a checkpoint of that source has them."""
    weights, table = builder.named_weights(), table_of(builder.family, source)
    named = {ours: table.entry(ours) for ours in weights if table.entry(ours)}
    return {name: tensor.read() for name, tensor in _tensors(weights, named).items()}


def assert_same(values, others):
    assert values.keys() == others.keys()
    for name, value in values.items():
        np.testing.assert_array_equal(value, others[name], err_msg=name)


def write_keras2(path, builder, whole_model=False, leave_out=(), prefix=""):
    """The layout of Keras 2: a group a layer, the order of its weights in an attribute."""
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights") if whole_model else file
        layers = {
            prefix + layer: names
            for layer, names in layers_of(builder.variables).items()
            if layer not in leave_out
        }
        group.attrs["layer_names"] = [name.encode() for name in (*layers, "Input-Token")]
        group.create_group("Input-Token").attrs["weight_names"] = []
        for layer, names in layers.items():
            inside = group.create_group(layer)
            foreign = [f"{layer}/weight_{9 - i}:0" for i in range(len(names))]
            inside.attrs["weight_names"] = [name.encode() for name in foreign]
            for name, ours in zip(foreign, names):
                inside[name] = keras.ops.convert_to_numpy(builder.variables[ours])
