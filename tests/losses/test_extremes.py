"""Every loss on extreme inputs: float64 loops, gradients, masked rows, ties, half precision."""

import numpy as np
import pytest
from keras import ops

from bert4keras_ext import losses
from tests.losses.common import slopes, with_gradient

RNG = np.random.default_rng(0)
LABELS = np.array([0, 3, 2, 2])  # (rows,), of 5 classes
DENSE = (RNG.random((4, 5)) < 0.4).astype("float32")
SOFT = np.where(RNG.random((4, 5)) < 0.5, RNG.random((4, 5)), DENSE).astype("float32")
INDICES = np.array([[1, 2], [4, 3], [2, 0], [0, 0]])  # 0 fills up
SPANS = np.array([[[[1, 1], [0, 0]]], [[[0, 1], [1, 1]]]])  # (batch, types, spans, 2)
ORDER = np.array([2.0, 0.5, 1.0, 0.5])
TEACHER = RNG.normal(size=(4, 3)).astype("float32")


def log_sum_exp(terms):
    """Of a list in which -inf is nothing."""
    terms = [t for t in terms if t > -np.inf]
    top = max(terms, default=0.0)
    return top + np.log(sum(np.exp(t - top) for t in terms)) if terms else -np.inf


def crossentropy(row, label):
    return log_sum_exp(row) - row[label]


def zlpr(labels, scores):
    values = []
    for t, s in zip(labels.astype("float64"), scores):
        with np.errstate(divide="ignore", invalid="ignore"):
            negative = [0.0, *(s + np.log(1 - t))]
            positive = [0.0, *(-s + np.log(t))]
        masked = [False, *np.isneginf(s)]
        for terms in (negative, positive):
            terms[:] = [-np.inf if gone else x for x, gone in zip(terms, masked)]
        values.append(log_sum_exp(negative) + log_sum_exp(positive))
    return np.array(values)


def sparse_zlpr(scores):
    labels, known = np.zeros((4, 5)), scores.copy()
    np.put_along_axis(labels, INDICES, 1, 1)
    known[:, 0] = -np.inf
    return zlpr(labels, known)


def spans(scores):
    labels, known = np.zeros((2, 4)), scores.reshape(2, 4).copy()
    np.put_along_axis(labels, SPANS[:, 0, :, 0] * 2 + SPANS[:, 0, :, 1], 1, 1)
    known[:, 0] = -np.inf
    return zlpr(labels, known)


def contrastive(scores):
    rows = zip(scores, LABELS)
    return np.array([log_sum_exp([0.0, *(np.delete(r, t) - r[t])]) for r, t in rows])


def cosent(scores):
    pairs = [(a, b) for a in range(4) for b in range(4) if ORDER[a] > ORDER[b]]
    return log_sum_exp([0.0, *(scores[b] - scores[a] for a, b in pairs)])


def tasks(scores):
    own = [range(2) if label < 2 else range(2, 5) for label in LABELS]
    return np.array([log_sum_exp([r[i] for i in o]) - r[t] for r, o, t in zip(scores, own, LABELS)])


def margin(change):
    def values(cosines):
        changed = cosines.copy()
        changed[np.arange(4), LABELS] = [change(c) for c in cosines[np.arange(4), LABELS]]
        return np.array([crossentropy(r, t) for r, t in zip(changed, LABELS)])

    return values


def four_angles(score):
    c = score / 1e4
    return 1e4 * min(c, 8 * c**4 - 8 * c**2 + 1)


def r_drop(scores):
    logs = [[s - log_sum_exp(row) for s in row] for row in scores]
    values = []
    for p, q, t in zip(logs[0::2], logs[1::2], LABELS[2:]):
        apart = [(np.exp(a) - np.exp(b)) * (a - b) for a, b in zip(p, q) if a > -np.inf < b]
        values.append(-(p[t] + q[t]) / 2 + sum(apart))
    return np.array(values)


def tokens(scores):
    return np.array([crossentropy(row, label) for row, label in zip(scores, LABELS)])


def unit(scores):
    """Cosines, from scores of up to 1e4."""
    return ops.cast(scores, "float32") / 1e4


# name: (function of the logits, a float64 loop, shape, is -inf a mask)
LOSSES = {
    "zlpr": (lambda s: losses.multilabel_categorical_crossentropy(DENSE, s),
             lambda s: zlpr(DENSE, s), (4, 5), True),
    "zlpr soft": (lambda s: losses.multilabel_categorical_crossentropy(SOFT, s),
                  lambda s: zlpr(SOFT, s), (4, 5), True),
    "zlpr sparse": (lambda s: losses.sparse_multilabel_categorical_crossentropy(INDICES, s, True),
                    sparse_zlpr, (4, 5), True),
    "spans": (lambda s: losses.sparse_global_pointer_crossentropy(SPANS, s),
              spans, (2, 1, 2, 2), True),
    "infonce": (lambda s: losses.contrastive_crossentropy(LABELS, s),
                contrastive, (4, 5), True),
    "cosent": (lambda s: losses.cosent(ORDER, s, scale=1.0), cosent, (4,), False),
    "tasks": (lambda s: losses.multi_task_crossentropy(LABELS, s, (2, 3)), tasks, (4, 5), True),
    "am": (lambda s: losses.sparse_am_softmax(LABELS, unit(s), scale=1e4, margin=0.25),
           margin(lambda s: s - 2500), (4, 5), False),
    "am dense": (lambda s: losses.am_softmax(np.eye(5)[LABELS], unit(s), scale=1e4, margin=0.25),
                 margin(lambda s: s - 2500), (4, 5), False),
    "simpler a": (lambda s: losses.sparse_simpler_a_softmax(LABELS, unit(s), scale=1e4),
                  margin(four_angles), (4, 5), False),
    "simpler a dense": (lambda s: losses.simpler_a_softmax(np.eye(5)[LABELS], unit(s), scale=1e4),
                        margin(four_angles), (4, 5), False),
    "r-drop": (lambda s: losses.r_drop([2, 2, 2, 2], s), r_drop, (4, 5), True),
    "tokens": (lambda s: losses.token_crossentropy(LABELS, s), tokens, (4, 5), True),
    "sequence": (lambda s: losses.seq2seq_crossentropy(LABELS[None], s[None]),
                 lambda s: tokens(s).mean(), (4, 5), True),
    "simcse": (lambda s: losses.ContrastiveLoss(reduction=None)(np.zeros(4), s), None,
               (4, 5), False),
    "flatnce": (lambda s: losses.contrastive_crossentropy(LABELS, s, "flatnce"), None,
                (4, 5), True),
    "distillation": (lambda s: losses.similarity_distillation(TEACHER, s), None, (4, 5), False),
    "prior": (lambda s: losses.kl_to_standard_normal(s, 0 * s), lambda s: (s**2).sum(-1) / 2,
              (4, 5), False),
}  # fmt: skip
WITH_LOOP = [name for name, (_, loop, _, _) in LOSSES.items() if loop]
MASKED = [name for name, (*_, masked) in LOSSES.items() if masked]


def extreme(kind, shape):
    rng = np.random.default_rng(1)
    if kind == "ties":
        return np.full(shape, 1e4, "float32")
    if kind == "one size":
        return (rng.choice([-1e4, 1e4], shape)).astype("float32")
    return (rng.normal(size=shape) * {"large": 1e4, "small": 1.0}[kind]).astype("float32")


@pytest.mark.parametrize("kind", ["small", "large", "one size", "ties"])
@pytest.mark.parametrize("name", WITH_LOOP)
def test_equals_a_float64_loop(name, kind):
    function, loop, shape, _ = LOSSES[name]
    x = extreme(kind, shape)
    value, gradient = with_gradient(function, x)
    # float32 eps of the scores, of 1e8 in the square of the prior
    np.testing.assert_allclose(value, loop(x.astype("float64")), rtol=2e-6, atol=1e-5)
    assert np.all(np.isfinite(gradient))
    if kind == "small":
        np.testing.assert_allclose(gradient, slopes(loop, x), atol=2e-5)


@pytest.mark.parametrize("kind", ["small", "large", "one size", "ties"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_gives_what_float32_gives(name, dtype, kind):
    function, _, shape, _ = LOSSES[name]
    half = ops.cast(extreme(kind, shape), dtype)
    value, gradient = with_gradient(function, half)
    wanted, slope = with_gradient(function, ops.cast(half, "float32"))
    assert value.dtype == "float32"
    np.testing.assert_array_equal(value, wanted)
    assert np.all(np.isfinite(value)) and np.all(np.isfinite(slope))
    # The gradient alone is rounded to the dtype; only that of the prior is as large as 1e4.
    assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize("name", MASKED)
def test_masked_rows_and_classes(name):
    """-inf takes no part: finite values, gradients of exactly zero there."""
    function, _, shape, _ = LOSSES[name]
    x = extreme("large", shape)
    x[-1] = -np.inf
    x[0, ..., -1] = -np.inf
    value, gradient = with_gradient(function, x)
    assert np.all(np.isfinite(value)) and np.all(np.isfinite(gradient))
    assert not gradient[np.isneginf(x)].any()


ALONE = {
    "zlpr": lambda s: losses.MultilabelCategoricalCrossentropy()(DENSE[:1], s),
    "zlpr sparse": lambda s: losses.SparseMultilabelCategoricalCrossentropy(True)(INDICES[:1], s),
    "infonce": lambda s: losses.contrastive_crossentropy(LABELS[:1], s),
    "flatnce": lambda s: losses.contrastive_crossentropy(LABELS[:1], s[:, :1], "flatnce"),
    "pairs": lambda s: losses.ContrastiveLoss(form="pairs")(np.zeros(1), ops.stack([s, -s], 1)),
    "cosent": lambda s: losses.cosent([1.0], s[:, 0]),
    "tasks": lambda s: losses.MultiTaskCrossentropy((2, 3))(LABELS[:1], s),
    "am": lambda s: losses.AMSoftmax()(LABELS[:1], ops.tanh(s)),
    "simpler a": lambda s: losses.SimplerASoftmax()(LABELS[:1], ops.tanh(s)),
    "tokens": lambda s: losses.token_crossentropy(LABELS[:1], s, 0.1, 2.0),
    "distillation": lambda s: losses.similarity_distillation(TEACHER[:1], s),
}


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("size", [0.0, 1.0, 1e4])
def test_a_batch_of_one(name, size):
    x = extreme("small", (1, 5)) * np.float32(size)
    value, gradient = with_gradient(ALONE[name], x)
    assert np.all(np.isfinite(value)) and np.all(np.isfinite(gradient))
