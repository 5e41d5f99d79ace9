"""Numbers among the arguments of extensions."""

import math
import numbers


def checked_number(keyword, value, wanted, is_allowed):
    """The value as a float; ValueError unless it is a number that `is_allowed` says is `wanted`."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (is_number and math.isfinite(value) and is_allowed(value)):
        raise ValueError(f"expected {keyword} {wanted}, received {value!r}")
    return float(value)


def checked_count(keyword, value):
    """The value as an int; ValueError unless it is a whole number of at least 1."""
    is_whole = isinstance(value, numbers.Real) and math.isfinite(value) and int(value) == value
    if isinstance(value, bool) or not is_whole or value < 1:
        raise ValueError(f"expected an integer {keyword} >= 1, received {value!r}")
    return int(value)
