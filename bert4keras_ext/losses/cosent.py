"""CoSENT: similarities in the order of their labels; and other losses of sentence pairs."""

from keras import ops

from bert4keras_ext.backend.exponentials import FORBIDDEN, log1p_sum_exp
from bert4keras_ext.backend.keras_internals import keras_mask
from bert4keras_ext.backend.labels import at_labels, known_labels
from bert4keras_ext.backend.logits import expect_logits
from bert4keras_ext.backend.registration import register
from bert4keras_ext.backend.tensors import neighbours
from bert4keras_ext.losses.base import Loss
from bert4keras_ext.losses.contrastive import l2_normalize
from bert4keras_ext.losses.weights import RowLoss, pair_weights, row_weights, without_mask


@register
def cosent(labels, similarities, scale=20.0, sample_weight=None):
    """``log(1 + sum exp(scale (s_b - s_a)))`` over all pairs (a, b) with label a > label b.

    One value for the whole batch (on several replicas, for the share of each one); only the order
    of the labels matters: 0/1, classes in order (entailment > neutral > contradiction) or scores.
    It takes O(n^2) memory: 16 MiB at n = 2048.

    Args:
        labels: (n,).
        similarities: (n,) cosines of sentence pairs, or any scores with ``scale=1`` (the
            interactive form, in which one model reads both sentences and ends in Dense(1)).
        scale: see the formula.
        sample_weight: (n,) numbers >= 0, or None: each term is multiplied by the weights of its
            two, ``w_a w_b``. A whole weight k is the same as k copies, and 0 as none.

    Returns:
        A float32 scalar; 0 where all labels are equal.

    Example:

    >>> round(float(cosent(ops.array([1, 0]), ops.array([0.5, 0.5]))), 4)
    0.6931

    Source: articles 8847 and 8860.
    """
    labels = ops.reshape(ops.cast(labels, "float32"), (-1,))
    scores = ops.reshape(ops.cast(similarities, "float32"), (-1,)) * scale
    gaps = scores[None, :] - scores[:, None]  # of b over a: (a, b)
    counts = labels[:, None] > labels[None, :]
    if sample_weight is not None:
        weights = row_weights(sample_weight, scores)
        logs = ops.log(ops.where(weights > 0, weights, 1.0))
        gaps = gaps + logs[:, None] + logs[None, :]
        known = ops.logical_and(weights[:, None] > 0, weights[None, :] > 0)
        counts = ops.logical_and(counts, known)
    return log1p_sum_exp(ops.reshape(ops.where(counts, gaps, FORBIDDEN), (-1,)))


@register
def pair_cosines(vectors):
    """``cos(u_2i, u_(2i+1))``: cosines of the pairs in neighbouring rows, (2n, dim) -> (n,).

    Raises:
        ValueError: for an odd number of rows.

    Example:

    >>> pair_cosines(ops.array([[1.0, 0.0], [2.0, 0.0], [1.0, 0.0], [0.0, 3.0]])).numpy().tolist()
    [1.0, 0.0]
    """
    first, second = neighbours(l2_normalize(vectors))
    return ops.sum(first * second, axis=-1)


@register
def similarity_distillation(teacher, student, weight=100.0, sample_weight=None):
    """``weight / n^2 sum_ij (cos(u_i, u_j) - cos(v_i, v_j))^2``: keeps a teacher's similarities.

    It is zero where the student's vectors are the teacher's up to a rotation and scaling. Under a
    distribution strategy every replica compares the rows of its own share of the batch only.

    Args:
        teacher, student: (n, dim) and (n, any dim).
        weight: see the formula.
        sample_weight: (n,) numbers w >= 0, or None: the mean is then weighted by ``w_i w_j``. A
            whole weight k is the same as k copies of the row, and 0 as none.

    Returns:
        A float32 scalar.

    Example:

    >>> float(similarity_distillation(ops.eye(3), 2 * ops.eye(3)))
    0.0

    Source: RoFormer-Sim, article 8454.
    """
    u, v = l2_normalize(teacher), l2_normalize(student)
    gap = ops.matmul(u, ops.transpose(u)) - ops.matmul(v, ops.transpose(v))
    if sample_weight is None:
        return weight * ops.mean(ops.square(gap))
    w = row_weights(sample_weight, u)
    shares = w / ops.maximum(ops.sum(w), 1e-30)
    return weight * ops.sum(ops.square(gap) * shares[:, None] * shares[None, :])


@register
def multi_task_crossentropy(y_true, y_pred, tasks):
    """Softmax cross-entropy over the columns of the task that a row's label belongs to.

    ``log sum_{i in task(y)} e^(s_i) - s_y``. Columns of other tasks take no part: their gradient is
    exactly zero.

    Args:
        y_true: (n,) or (n, 1), labels that count through all tasks; a negative one (-100) is no
            label: value 0, gradient 0.
        y_pred: (n, classes) logits; classes at -inf are masked and get no gradient.
        tasks: number of classes of each task, such as (2, 3): labels 0 and 1 belong to the first,
            2 to 4 to the second.

    Returns:
        Float32 (n,); NaN for a label beyond the classes.

    Raises:
        ValueError: when the tasks do not add up to the classes; for probabilities in place of
            logits.

    Example:

    >>> loss = multi_task_crossentropy(ops.array([0, 4]), ops.zeros((2, 5)), (2, 3))
    >>> [round(v, 4) for v in loss.numpy().tolist()]
    [0.6931, 1.0986]

    Source: RoFormer-Sim-FT, article 8541.
    """
    if sum(tasks) != y_pred.shape[-1]:
        raise ValueError(
            f"tasks={tuple(tasks)} add up to {sum(tasks)} classes, the logits have "
            f"{y_pred.shape[-1]}: expected the same number"
        )
    expect_logits("multi_task_crossentropy", y_pred)
    labels = known_labels(ops.reshape(y_true, (-1,)), y_pred)
    task_of = ops.convert_to_tensor([t for t, size in enumerate(tasks) for _ in range(size)])
    own = task_of[None, :] == ops.take(task_of, ops.clip(labels, 0, sum(tasks) - 1))[:, None]
    known = ops.maximum(ops.cast(y_pred, "float32"), FORBIDDEN)
    logs = ops.log_softmax(ops.where(own, known, FORBIDDEN), axis=-1)
    return -at_labels(logs, labels)


@register
class CoSENTLoss(Loss):
    """``cosent`` as a Keras loss over a batch of sentence pairs.

    Under a distribution strategy every replica ranks the pairs of its own share of the batch.

    Weights: one a row, (n,) or (n, 1), as ``fit(sample_weight=...)`` and ``class_weight`` give
    them. There is one value for the whole batch, so they do not scale it, but enter the sum: the
    term of the pairs a and b is multiplied by ``w_a w_b`` (see ``cosent``); with ``from_vectors``
    w is the mean of both rows. A mask of the rows counts as weights 0.

    Args:
        scale: 20 for cosines, 1 for the scores of an interactive model.
        from_vectors: ``y_pred`` is (2n, dim), pairs in neighbouring rows, and ``y_true`` has a
            label a row, of which every second one is read. Otherwise ``y_pred`` is (n,) or (n, 1)
            similarities.
        **kwargs: name, reduction.

    Raises:
        ValueError: for weights that are not one a row, or an odd number of rows.

    Example:

    >>> loss = CoSENTLoss(from_vectors=False)
    >>> round(float(loss(ops.array([1.0, 0.0]), ops.array([0.5, 0.5]))), 4)
    0.6931

    Source: articles 8847 and 8860.
    """

    def __init__(self, scale=20.0, from_vectors=True, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale
        self.from_vectors = from_vectors

    def __call__(self, y_true, y_pred, sample_weight=None):
        mask = keras_mask(y_pred)
        given = [row_weights(x, y_pred) for x in (sample_weight, mask) if x is not None]
        if given:
            y_true = (y_true, given[0] if len(given) == 1 else given[0] * given[1])
        if mask is not None:
            y_pred = without_mask(y_pred)
        return super().__call__(y_true, y_pred)

    def call(self, y_true, y_pred):
        labels, weights = y_true if isinstance(y_true, tuple) else (y_true, None)
        labels = ops.reshape(labels, (-1,))
        if not self.from_vectors:
            return cosent(labels, y_pred, self.scale, weights)
        weights = None if weights is None else pair_weights(weights, y_pred)
        return cosent(neighbours(labels)[0], pair_cosines(y_pred), self.scale, weights)

    def get_config(self):
        config = {"scale": self.scale, "from_vectors": self.from_vectors}
        return {**super().get_config(), **config}


@register
class MultiTaskCrossentropy(RowLoss):
    """``multi_task_crossentropy`` as a Keras loss.

    Inputs: labels (n,) or (n, 1) and logits (n, classes); masked classes as there. Weights: one a
    row.

    Args:
        tasks: number of classes of each task.
        **kwargs: name, reduction.

    Raises:
        ValueError: when the tasks do not add up to the classes.

    Example:

    >>> loss = MultiTaskCrossentropy(tasks=(2, 3))
    >>> round(float(loss(ops.array([[1]]), ops.zeros((1, 5)))), 4)
    0.6931

    Source: article 8541.
    """

    def __init__(self, tasks, **kwargs):
        super().__init__(**kwargs)
        self.tasks = tuple(tasks)

    def call(self, y_true, y_pred):
        return multi_task_crossentropy(y_true, y_pred, self.tasks)

    def get_config(self):
        return {**super().get_config(), "tasks": list(self.tasks)}
