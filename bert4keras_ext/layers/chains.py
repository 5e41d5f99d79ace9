"""Linear chains of labels: the sum and the maximum over all paths, as compiled scans."""

from keras import ops

from bert4keras_ext.backend.gradients import custom_gradient


def pack(mask, *tensors):
    """Moves the unmasked places of each row to its front, in their order.

    Chains then know padding at the end only: a label's predecessor is the last unmasked one,
    wherever masked places stand. Rows of no places get a masked one, since no chain is empty.

    Args:
        mask: (batch, length) bool.
        *tensors: (batch, length, ...) each.

    Returns:
        (mask, order, *tensors), all packed; ``order`` (batch, length) are the places they came
        from.
    """
    mask, *tensors = (_with_a_place(x) for x in (mask, *tensors))
    length = ops.shape(mask)[1]
    places = ops.arange(length)[None]
    order = ops.argsort(ops.where(mask, places, places + length), axis=1)
    packed = [_taken(x, order) for x in (mask, *tensors)]
    return (packed[0], order, *packed[1:])


def _with_a_place(x):
    """(batch, length, ...), made longer by zeros (False) where the length is 0."""
    batch, length, *rest = ops.shape(x)
    if isinstance(length, int) and length > 0:
        return x
    missing = ops.zeros((batch, ops.maximum(1 - length, 0), *rest), dtype=x.dtype)
    return ops.concatenate([x, missing], axis=1)


def _taken(x, order):
    index = order if len(x.shape) == 2 else order[..., None]
    return ops.take_along_axis(x, index, axis=1)


def log_partition(scores, transitions, mask):
    """``log sum over all paths of exp(sum of scores and transitions)``: one scan over the length.

    The gradient is written out: it is the probability of each label and of each transition, by a
    second scan from the end (the forward-backward algorithm). XLA compiles that for any length,
    which it does not do for the gradient of a loop.

    Args:
        scores: (batch, length, labels), float32.
        transitions: (labels, labels), from row to column.
        mask: (batch, length) bool, unmasked places first.

    Returns:
        (batch,).
    """

    @custom_gradient
    def function(scores, transitions):
        alphas = _sums(scores, transitions, mask)
        total = ops.logsumexp(alphas[-1], axis=-1)

        def gradient(*args, upstream=None):
            upstream = args[0] if upstream is None else upstream
            return _marginals(scores, transitions, mask, alphas, total, upstream)

        return total, gradient

    return function(scores, transitions)


def _sums(scores, transitions, mask):
    """alpha_t(y): the log-sum over paths up to place t that end in y, (length, batch, labels).

    Behind the end of a row the last one is repeated. The scan runs over the first place too, where
    nothing happens: XLA compiles no scan of length 0.
    """

    def step(state, inputs):
        score, keep = inputs
        paths = state[:, :, None] + transitions[None]  # (batch, from, to)
        state = ops.where(keep > 0, ops.logsumexp(paths, axis=1) + score, state)
        return state, state

    return _scan(step, scores[:, 0], _by_time(scores, _but_first(mask)))[1]


def _marginals(scores, transitions, mask, alphas, total, upstream):
    """Gradients of log_partition: (batch, length, labels) and (labels, labels)."""

    def step(state, inputs):
        score, keep = inputs
        paths = transitions[None] + (score + state)[:, None, :]
        state = ops.where(keep > 0, ops.logsumexp(paths, axis=2), state)
        return state, state

    following = _by_time(_next(scores), _next(mask))
    _, betas = _scan(step, ops.zeros_like(scores[:, 0]), following, reverse=True)
    weights = ops.transpose(ops.cast(mask, "float32")) * upstream[None]
    labels = ops.exp(alphas + betas - total[None, :, None]) * weights[..., None]
    after = following[0][:-1] + betas[1:] - total[None, :, None]
    pairs = ops.exp(alphas[:-1, :, :, None] + transitions + after[:, :, None, :])
    steps = ops.sum(pairs * weights[1:, :, None, None], axis=(0, 1))
    return ops.transpose(labels, (1, 0, 2)), steps


def best_paths(scores, transitions, mask):
    """The labels of the best path of each row (Viterbi), (batch, length) int32.

    Args: as for ``log_partition``. Behind the end of a row the last label is repeated.
    """

    def forward(state, inputs):
        score, keep = inputs
        best = ops.max(state[:, :, None] + transitions[None], axis=1) + score
        state = ops.where(keep > 0, best, state)
        return state, state

    def backward(label, inputs):
        state, keep = inputs  # the state of this place; whether the next one is in the chain
        towards = state + ops.take(ops.transpose(transitions), label, axis=0)
        came = ops.cast(ops.argmax(towards, axis=-1), "int32")
        label = ops.where(keep[:, 0] > 0, came, label)
        return label, label

    last, states = _scan(forward, scores[:, 0], _by_time(scores, _but_first(mask)))
    label = ops.cast(ops.argmax(last, axis=-1), "int32")
    following = _by_time(scores, _next(mask))[1]
    _, labels = _scan(backward, label, (states, following), reverse=True)
    return ops.transpose(labels)


def _but_first(mask):
    """The mask with its first place off."""
    return ops.logical_and(mask, ops.arange(ops.shape(mask)[1])[None] > 0)


def _next(x):
    """What stands one place later, and zeros behind the end: (batch, length, ...)."""
    return ops.concatenate([x[:, 1:], ops.zeros_like(x[:, :1])], axis=1)


def _scan(step, state, inputs, reverse=False):
    """``ops.scan`` over (values, mask), which may have an unknown length.

    Of several tensors Keras wants to know it. They become one where it is not known, and only
    there: taking them apart again costs time where steps run one by one.
    """
    values, mask = inputs
    if isinstance(ops.shape(values)[0], int):
        return ops.scan(step, state, inputs, reverse=reverse)
    joined = ops.concatenate([values, mask], axis=-1)

    def step_of_joined(state, both):
        return step(state, ops.split(both, [values.shape[-1]], axis=-1))

    return ops.scan(step_of_joined, state, joined, reverse=reverse)


def _by_time(scores, mask):
    """(batch, length, ...) -> (length, batch, ...): what a scan runs over, all in one dtype."""
    mask = ops.cast(mask, scores.dtype)
    return ops.transpose(scores, (1, 0, 2)), ops.transpose(mask)[..., None]


def unmasked(y_pred):
    """The mask that a layer wrote into its logits: places where not all labels are -inf."""
    return ops.any(y_pred > float("-inf"), axis=-1)


def label_ids(y_true, y_pred):
    """Labels as int32 (batch, length), whatever shape and dtype they were given in."""
    return ops.cast(ops.reshape(y_true, ops.shape(y_pred)[:-1]), "int32")


def masked_mean(values, mask):
    """The mean over unmasked places, 0 where there are none."""
    weights = ops.cast(mask, "float32")
    return ops.sum(ops.cast(values, "float32") * weights) / ops.maximum(ops.sum(weights), 1.0)
