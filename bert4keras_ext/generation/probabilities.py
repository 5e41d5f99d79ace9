"""What a model gives for the next token, as probabilities at a temperature, in NumPy."""

import numpy as np
from keras import ops

RTYPES = ("probas", "logits")
# bert4keras' floor: what cannot happen scores -27.6 and not -inf, so sums stay comparable.
FLOOR = 1e-12


def next_probabilities(outputs, kind, temperature=1):
    """Probabilities at a temperature T: ``softmax(logits / T)``, or ``p ** (1 / T)`` normalised.

    Probabilities at T = 1 stay as they are, whatever they sum to. At T = 0, the limit, all is on
    the largest one, or on the first of several. A row without any probability stays so.

    Args:
        outputs: of a model, (rows, vocabulary), array or tensor of any backend.
        kind: "probas" or "logits".
        temperature: T >= 0.

    Returns:
        a float array (rows, vocabulary).

    Raises:
        ValueError: for NaN, for infinite or negative probabilities, for logits of +inf, and for a
            negative temperature.

    Example:

    >>> next_probabilities([[0.5, 0.3, 0.2]], "probas", temperature=0).tolist()
    [[1.0, 0.0, 0.0]]
    """
    if not temperature >= 0:
        raise ValueError(f"temperature expects a number >= 0, received {temperature!r}")
    values = as_floats(outputs)
    largest = values.max(axis=-1, keepdims=True)
    _check(values, largest, kind)
    if temperature == 0:
        chosen = values.argmax(axis=-1)[..., None] == np.arange(values.shape[-1])
        return (chosen & (largest > (0 if kind == "probas" else -np.inf))).astype(values.dtype)
    if kind == "probas":
        if temperature == 1:
            return values
        powers = (values / np.where(largest > 0, largest, 1)) ** (1 / temperature)
    else:
        powers = np.exp((values - np.where(np.isfinite(largest), largest, 0)) / temperature)
    total = powers.sum(axis=-1, keepdims=True)
    return powers / np.where(total > 0, total, 1)


def log_probabilities(probabilities):
    """``log(p + 1e-12)``, bert4keras' scores."""
    return np.log(probabilities + FLOOR)


def as_floats(outputs):
    """An array of float32 or float64, from an array, a list or a tensor of any precision."""
    if ops.is_tensor(outputs):
        outputs = ops.convert_to_numpy(outputs)
    array = np.asarray(outputs)
    return array if array.dtype in ("float32", "float64") else array.astype("float32")


def _check(values, largest, kind):
    if np.isnan(largest).any() or (largest == np.inf).any():
        raise ValueError(
            "predict is expected to return finite numbers, found NaN or +inf: look for them in the "
            "weights of the model (a training that diverged?) and in its inputs"
        )
    if kind == "probas" and values.min() < 0:
        raise ValueError(
            f"predict is expected to return probabilities, found {values.min():.4g}: where the "
            "model gives logits, decorate it with AutoRegressiveDecoder.wraps('logits')"
        )
