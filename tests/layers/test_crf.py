"""CRF and MEMM: recordings, brute force over all paths, masks anywhere, decoding, training."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from bert4keras_ext.layers import ConditionalRandomField, MaximumEntropyMarkovModel
from bert4keras_ext.numerics import ViterbiDecoder
from tests import peers
from tests.losses.common import slopes
from tests.shared import oracle
from tests.sweeps import some_of

RECORDED = dict(np.load(oracle("bert4keras") / "losses.npz"))
CRF = ["crf_full", "crf_mask", "crf_lr_full", "crf_lr_mask"]
MEMM = ["memm_full", "memm_mask", "memm_lr_full", "memm_lr_mask", "memm_hidden_full",
        "memm_hidden_mask"]  # fmt: skip


def recorded_layer(name, shape):
    multiplier = 10 if "_lr" in name else 1
    if name.startswith("crf"):
        layer = ConditionalRandomField(lr_multiplier=multiplier)
    else:
        hidden = 3 if "hidden" in name else None
        layer = MaximumEntropyMarkovModel(lr_multiplier=multiplier, hidden_dim=hidden)
    layer.build(shape)
    return layer


@pytest.mark.parametrize("name", CRF + MEMM)
@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_equals_bert4keras(name, kind):
    import tensorflow as tf

    case = {k.removeprefix(f"{name}/sparse/"): v for k, v in RECORDED.items()
            if k.startswith(f"{name}/sparse")}  # fmt: skip
    layer = recorded_layer(name, case["x"].shape)
    layer.set_weights([case[f"w_{i}"] for i in range(len(layer.weights))])
    x, mask = tf.convert_to_tensor(case["x"]), case.get("mask")
    labels = case["y"] if kind == "sparse" else np.eye(4, dtype="float32")[case["y"]]
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = layer(x, mask=mask)
        loss = getattr(layer, f"{kind}_loss")(labels, logits)
        total = tf.reduce_sum(loss)
    gradients = tape.gradient(total, [x, *[w.value for w in layer.weights]])
    np.testing.assert_allclose(loss, case["loss"], atol=2e-5, rtol=2e-5)
    np.testing.assert_allclose(gradients[0], case["d_x"], atol=2e-5, rtol=2e-5)
    for i, gradient in enumerate(gradients[1:]):
        gradient = tf.convert_to_tensor(gradient)
        np.testing.assert_allclose(gradient, case[f"d_w_{i}"], atol=2e-5, rtol=2e-5)
    accuracy = getattr(layer, f"{kind}_accuracy")(labels, logits)
    np.testing.assert_allclose(accuracy, RECORDED[f"{name}/sparse_accuracy"], atol=1e-6)


def paths_of(scores, trans, mask):
    """(labels, score) of every path through the unmasked places of one row, in float64."""
    rows = scores[mask].astype("float64")
    for path in itertools.product(range(rows.shape[1]), repeat=len(rows)):
        points = sum(rows[t, y] for t, y in enumerate(path))
        yield path, points + sum(trans[a, b] for a, b in zip(path, path[1:]))


MASKS = {
    "none": np.ones((3, 6), bool),
    "end": np.arange(6)[None] < np.array([[6], [4], [1]]),
    "start": np.arange(6)[None] >= np.array([[1], [3], [0]]),
    "middle": np.array([[1, 0, 1, 1, 0, 1], [0, 1, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1]], bool),
}


@pytest.mark.parametrize("where", MASKS)
def test_equals_brute_force_over_all_paths(where):
    rng, mask = np.random.default_rng(0), MASKS[where]
    scores = rng.normal(size=(3, 6, 3)).astype("float32") * 2
    labels = rng.integers(0, 3, (3, 6))
    layer = ConditionalRandomField(lr_multiplier=4)
    logits = layer(scores, mask=mask)
    layer.set_weights([rng.normal(size=(3, 3)) / 4])
    trans = np.asarray(layer.trans, "float64")
    found, decoded = np.asarray(layer.sparse_loss(labels, logits)), np.asarray(layer.decode(logits))
    for row in range(3):
        paths = dict(paths_of(scores[row], trans, mask[row]))
        values = np.array(list(paths.values()))
        log_z = values.max() + np.log(np.exp(values - values.max()).sum())
        own = tuple(labels[row, mask[row]])
        np.testing.assert_allclose(found[row], log_z - paths[own], rtol=1e-5, atol=1e-5)
        assert tuple(decoded[row, mask[row]]) == max(paths, key=paths.get)
        assert not decoded[row, ~mask[row]].any()
        by_numpy = ViterbiDecoder(trans).decode(scores[row, mask[row]])
        np.testing.assert_array_equal(by_numpy, decoded[row, mask[row]])


def memm_loop(scores, labels, trans, mask):
    """Every unmasked place by its neighbour, in both directions; a row's ends by themselves."""
    total, count = 0.0, 0
    for row, ids, kept in zip(scores, labels, mask):
        row, ids = row[kept], ids[kept]
        for t, label in enumerate(ids):
            before = row[t] if t == 0 else (row[t] + trans[ids[t - 1]]) / 2
            after = row[t] if t == len(ids) - 1 else (row[t] + trans[:, ids[t + 1]]) / 2
            for logits in (before, after):
                total += np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[label]
            count += 2
    return total / count


def crf_loop(scores, labels, trans, mask):
    """All paths of all rows, one after another."""
    total = 0.0
    for row, ids, kept in zip(scores, labels, mask):
        paths = dict(paths_of(row, trans, kept))
        total += np.log(np.sum(np.exp(list(paths.values())))) - paths[tuple(ids[kept])]
    return total


@pytest.mark.parametrize("where", MASKS)
@pytest.mark.parametrize("cls, loop", [(ConditionalRandomField, crf_loop),
                                       (MaximumEntropyMarkovModel, memm_loop)])  # fmt: skip
@pytest.mark.parametrize("jit", some_of([False, True], False))
def test_gradients_equal_float64(cls, loop, where, jit):
    """By the scores and by the stored weight, which lr_multiplier makes the steeper."""
    import tensorflow as tf

    rng, mask = np.random.default_rng(12), MASKS[where]
    scores = rng.normal(size=(3, 6, 2)).astype("float32")
    labels = rng.integers(0, 2, (3, 6))
    layer = cls(lr_multiplier=4)
    layer.build(scores.shape)
    layer.set_weights([rng.normal(size=(2, 2)) / 4])
    stored = layer.get_weights()[0].astype("float64")

    @tf.function(jit_compile=jit)
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer.sparse_loss(labels, layer(x, mask=mask)))
        return loss, tape.gradient(loss, [x, layer.weights[0].value])

    loss, (by_scores, by_weight) = run(tf.constant(scores))
    exact = scores.astype("float64")
    np.testing.assert_allclose(loss, loop(exact, labels, 4 * stored, mask), rtol=2e-6)
    wanted = slopes(lambda x: loop(x, labels, 4 * stored, mask), exact)
    np.testing.assert_allclose(by_scores, wanted, atol=2e-6)
    wanted = slopes(lambda w: loop(exact, labels, 4 * w, mask), stored)
    np.testing.assert_allclose(by_weight, wanted, atol=2e-5)


@pytest.mark.parametrize("where", MASKS)
def test_decoding_is_the_same_under_xla(where):
    import tensorflow as tf

    scores = np.random.default_rng(13).normal(size=(3, 6, 4)).astype("float32")
    layer = ConditionalRandomField(lr_multiplier=3)
    logits = layer(scores, mask=MASKS[where])
    compiled = tf.function(layer.decode, jit_compile=True)(logits)
    np.testing.assert_array_equal(compiled, layer.decode(logits))


def test_a_row_of_padding_costs_nothing():
    import tensorflow as tf

    x = tf.constant(np.random.default_rng(1).normal(size=(2, 4, 3)), "float32")
    mask = np.array([[True] * 4, [False] * 4])
    for layer in (ConditionalRandomField(), MaximumEntropyMarkovModel()):
        with tf.GradientTape() as tape:
            tape.watch(x)
            logits = layer(x, mask=mask)
            loss = tf.reduce_sum(layer.sparse_loss(np.zeros((2, 4)), logits))
        assert np.isfinite(loss)
        gradient = np.asarray(tape.gradient(loss, x))
        assert np.all(np.isfinite(gradient)) and not gradient[1].any()


@pytest.mark.parametrize("size", [1e4, 60000.0])
def test_extreme_scores_are_finite(size):
    import tensorflow as tf

    x = tf.constant(np.random.default_rng(2).normal(size=(2, 5, 3)) * size, "float32")
    layer = ConditionalRandomField()
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = layer.sparse_loss(np.ones((2, 5)), layer(x))
    assert np.all(np.isfinite(loss)) and np.all(np.asarray(loss) >= 0)
    assert np.all(np.isfinite(tape.gradient(loss, x)))


@pytest.mark.parametrize(
    "cls, config",
    [
        (ConditionalRandomField, {"lr_multiplier": 10}),
        (MaximumEntropyMarkovModel, {}),
        (MaximumEntropyMarkovModel, {"hidden_dim": 2}),
    ],
)
def test_citizenship(cls, config):
    x = np.random.default_rng(3).normal(size=(2, 5, 4)).astype("float32")
    mask = MASKS["middle"][:2, :5]
    layer = cls(**config)
    layer(x, mask=mask)
    again = cls.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert layer.compute_mask(x, mask) is None
    check_saved(cls, config)


def check_saved(cls, config):
    inputs = keras.Input((None, 4))
    model = keras.Model(inputs, cls(**config)(keras.layers.Masking()(inputs)))
    x = np.random.default_rng(4).normal(size=(2, 3, 4))
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/m.keras")
        loaded = keras.models.load_model(f"{folder}/m.keras")
    np.testing.assert_array_equal(model.predict(x, verbose=0), loaded.predict(x, verbose=0))
    for a, b in zip(model.get_weights(), loaded.get_weights()):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("jit", some_of([False, True], True))
@pytest.mark.parametrize("cls", [ConditionalRandomField, MaximumEntropyMarkovModel])
def test_trains_in_fit_with_and_without_xla(cls, jit):
    """Labels that depend on the label before: token 3 repeats it, tokens 1 and 2 set it."""
    rng = np.random.default_rng(5)
    tokens = rng.integers(1, 4, (32, 7))
    tokens[:, 0] = rng.integers(1, 3, 32)
    labels = tokens - 1
    for t in range(1, 7):
        labels[:, t] = np.where(tokens[:, t] == 3, labels[:, t - 1], labels[:, t])
    tokens[::4, 5:] = 0
    inputs = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(4, 8, mask_zero=True)(inputs)
    layer = cls(lr_multiplier=2)
    model = keras.Model(inputs, layer(keras.layers.Dense(2)(x)))
    model.compile(
        keras.optimizers.Adam(0.05), layer.sparse_loss, metrics=[layer.sparse_accuracy],
        jit_compile=jit,
    )  # fmt: skip
    history = model.fit(tokens, labels, epochs=25, batch_size=32, verbose=0).history
    assert history["loss"][-1] < 0.6 * history["loss"][0]
    if cls is ConditionalRandomField:
        decoded = np.asarray(layer.decode(model.predict(tokens, verbose=0)))
        assert np.mean((decoded == labels)[tokens > 0]) > 0.95


def test_scans_make_no_loop_over_time_in_the_graph():
    import tensorflow as tf

    layer = ConditionalRandomField()
    layer.build((None, None, 3))
    sizes = []
    for length in (4, 64):
        spec = tf.TensorSpec((2, length, 3), "float32")
        labels = tf.TensorSpec((2, length), "int32")
        graph = tf.function(layer.sparse_loss).get_concrete_function(labels, spec).graph
        sizes.append(len(graph.get_operations()))
    assert sizes[0] == sizes[1]


def test_bad_multipliers_are_refused():
    with pytest.raises(ValueError, match="lr_multiplier expects a positive number, received 0"):
        ConditionalRandomField(lr_multiplier=0)


def test_masked_places_are_minus_infinity_in_every_precision():
    x = np.random.default_rng(6).normal(size=(2, 4, 3)).astype("float32")
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], bool)
    for policy in ("float32", "mixed_float16", "mixed_bfloat16"):
        out = ops.cast(ConditionalRandomField(dtype=policy)(x, mask=mask), "float32")
        assert np.all(np.isneginf(np.asarray(out)[1, 2:]))
        assert np.all(np.isfinite(np.asarray(out)[0]))


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("cls", [ConditionalRandomField, MaximumEntropyMarkovModel])
def test_sequences_of_one_label(cls, jit):
    """Softmax cross-entropy, and for a CRF the largest score."""
    import tensorflow as tf

    scores = np.random.default_rng(7).normal(size=(3, 1, 4)).astype("float32")
    labels = np.array([[2], [0], [3]])
    layer = cls()
    layer.build(scores.shape)
    loss = tf.function(lambda x: layer.sparse_loss(labels, layer(x)), jit_compile=jit)(scores)
    exact = scores[:, 0].astype("float64")
    wanted = np.log(np.exp(exact).sum(-1)) - exact[np.arange(3), labels[:, 0]]
    wanted = wanted if cls is ConditionalRandomField else wanted.mean()
    np.testing.assert_allclose(loss, wanted, rtol=1e-5)
    if cls is ConditionalRandomField:
        decoded = tf.function(lambda x: layer.decode(x), jit_compile=jit)(scores)
        np.testing.assert_array_equal(decoded, scores.argmax(-1))


@pytest.mark.parametrize("cls", [ConditionalRandomField, MaximumEntropyMarkovModel])
def test_labels_of_masked_places_may_be_anything(cls):
    scores = np.random.default_rng(8).normal(size=(3, 6, 3)).astype("float32")
    labels, mask = np.random.default_rng(9).integers(0, 3, (3, 6)), MASKS["middle"]
    layer = cls()
    logits = layer(scores, mask=mask)
    wanted = np.asarray(layer.sparse_loss(labels, logits))
    for filler in (-1, -100, 7):
        found = layer.sparse_loss(np.where(mask, labels, filler), logits)
        np.testing.assert_array_equal(found, wanted)


def test_equals_pytorch_crf():
    """Its starts and ends are scores of the first and last place: none here."""
    scores = np.random.default_rng(10).normal(size=(3, 6, 4)).astype("float32")
    labels, mask = np.random.default_rng(11).integers(0, 4, (3, 6)), MASKS["end"]
    table = peers.values_for("trans", (4, 4))

    def theirs():
        import torch
        import torchcrf

        other = torchcrf.CRF(4, batch_first=True)
        with torch.no_grad():
            other.start_transitions[:], other.end_transitions[:] = 0, 0
            other.transitions[:] = torch.tensor(table)
        x, y, m = torch.tensor(scores), torch.tensor(labels), torch.tensor(mask)
        paths = [[*path, *[0] * (6 - len(path))] for path in other.decode(x, m)]
        return {"loss": -other(x, y, m, reduction="none").detach().numpy(), "paths": paths}

    wanted = peers.answer("pytorch_crf", [scores, labels, mask, table], theirs)
    layer = ConditionalRandomField()
    logits = layer(scores, mask=mask)
    layer.set_weights([table])
    found = layer.sparse_loss(labels, logits)
    np.testing.assert_allclose(found, wanted["loss"], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(layer.decode(logits), wanted["paths"])


def test_a_rank_of_nothing_is_refused():
    with pytest.raises(ValueError, match="hidden_dim expects None, or 1 or more; received 0"):
        MaximumEntropyMarkovModel(hidden_dim=0)
