"""What a PyTorch pickle may mention: storages, tensors, a few names and calls, all checked.

The names are text here: none is imported or looked up, and the calls are functions of this file.
"""

import collections
import math
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from bert4keras_ext.checkpoints.arrays import MAX_AXES
from bert4keras_ext.checkpoints.reader import CheckpointError

# Strides of zero repeat elements. A tensor may be so many times as large as its storage, or small:
# without a limit a file of a kilobyte could ask for all memory there is.
REPEATS, SMALL = 16, 2**20

_NAMES = {
    "Double": np.float64,
    "Float": np.float32,
    "Half": np.float16,
    "BFloat16": ml_dtypes.bfloat16,
    "Long": np.int64,
    "Int": np.int32,
    "Short": np.int16,
    "Char": np.int8,
    "Byte": np.uint8,
    "Bool": np.bool_,
    "ComplexFloat": np.complex64,
    "ComplexDouble": np.complex128,
}
STORAGES = {f"torch {name}Storage": np.dtype(dtype) for name, dtype in _NAMES.items()}
STORAGES["torch.storage UntypedStorage"] = STORAGES["torch UntypedStorage"] = np.dtype(np.uint8)

DTYPES = {
    f"torch {name}": np.dtype(getattr(np, name, None) or getattr(ml_dtypes, name))
    for name in "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 uint16 uint32 "
    "uint64 complex64 complex128 float8_e4m3fn float8_e5m2".split()
}
DTYPES["torch bool"] = np.dtype(np.bool_)


@dataclass(frozen=True)
class Storage:
    """A run of bytes in the file that tensors look into.

    Attributes:
        key: its name in the file.
        dtype: the dtype it was saved with.
        numel: how many elements of that dtype it has.
    """

    key: str
    dtype: Any
    numel: int


@dataclass(frozen=True)
class Tensor:
    """A window on a storage; it has been checked to lie inside.

    Attributes:
        storage: the `Storage`.
        dtype: dtype of the elements.
        offset: its first element, counted in elements.
        shape: its shape.
        strides: the steps of each axis, in elements.
    """

    storage: Storage
    dtype: Any
    offset: int
    shape: tuple
    strides: tuple


@dataclass(frozen=True)
class Global:
    """A name that the pickle asked for, as text. It is never looked up anywhere."""

    name: str


def refused(what):
    return CheckpointError(
        f"its pickle contains {what}, which a file of tensors does not need and which is "
        "therefore refused (nothing was run). If you trust the file, load it with PyTorch "
        "and save model.state_dict() alone, or better safetensors"
    )


def shown(value):
    """A value for a message. Containers are only named: a small pickle can make huge ones."""
    if isinstance(value, Global | str | int | float):
        return repr(str(getattr(value, "name", value))[:100])
    return f"a {type(value).__name__}"


def check_keys(keys):
    # Not even tuples: hashing one that contains itself many times over takes for ever.
    if not all(isinstance(key, str | int | float) for key in keys):
        raise refused("a dict key that is no text or number")


def known_name(name):
    if name not in CALLS and name not in STORAGES and name not in DTYPES and name not in _TYPES:
        raise refused(f"the name {name!r:.200}")
    return Global(name)


def storage_of(identity):
    """The Storage behind a persistent id ("storage", type, key, device, elements, view)."""
    if not isinstance(identity, tuple) or len(identity) not in (5, 6) or identity[0] != "storage":
        raise refused(f"the persistent id {shown(identity)}")
    _, kind, key, _, numel = identity[:5]
    if len(identity) == 6 and identity[5] is not None:
        raise refused("a view of a storage (PyTorch before 0.4)")
    if not isinstance(kind, Global) or kind.name not in STORAGES or not isinstance(key, str):
        raise refused(f"the persistent id {shown(identity)}")
    return Storage(key, STORAGES[kind.name], _natural(numel))


def _natural(number):
    if type(number) is not int or not 0 <= number < 2**62:
        raise refused(f"the size {shown(number)}")
    return number


def _sizes(numbers):
    if not isinstance(numbers, tuple | list) or len(numbers) > MAX_AXES:
        raise refused("a shape that is none")
    return tuple(map(_natural, numbers))


def _tensor(storage, offset, shape, strides, *more, dtype=None):
    """torch._utils._rebuild_tensor and _v2: what comes after the strides is of no importance."""
    if not isinstance(storage, Storage):
        raise refused("a tensor without a storage")
    dtype = dtype or storage.dtype
    offset, shape, strides = _natural(offset), _sizes(shape), _sizes(strides)
    if len(shape) != len(strides):
        raise refused(f"a tensor of shape {shape} with strides {strides}")
    available = storage.numel * storage.dtype.itemsize // dtype.itemsize
    last = offset + sum((size - 1) * step for size, step in zip(shape, strides))
    if math.prod(shape) > max(REPEATS * available, SMALL):
        raise CheckpointError(
            f"a tensor of shape {shape} repeats a storage of {available} elements: expected a "
            "tensor that has its own values. If you trust the file, save the model's state_dict "
            "again with each such tensor replaced by tensor.clone()"
        )
    if math.prod(shape) and last >= available:
        raise CheckpointError(
            f"a tensor of shape {shape}, strides {strides} and offset {offset} reaches outside "
            f"its storage of {available} elements: it is damaged, or not a genuine PyTorch file"
        )
    return Tensor(storage, dtype, offset, shape, strides)


def _tensor_v3(storage, offset, shape, strides, gradient, hooks, dtype, *more):
    if not isinstance(dtype, Global) or dtype.name not in DTYPES:
        raise refused(f"the dtype {shown(dtype)}")
    return _tensor(storage, offset, shape, strides, dtype=DTYPES[dtype.name])


def _parameter(data, *more):
    if not isinstance(data, Tensor):
        raise refused("a parameter that is no tensor")
    return data


def _from_type(function, kind, arguments, state=None):
    if not isinstance(function, Global) or function.name not in _REBUILD:
        raise refused(f"a call of {shown(function)}")
    if not isinstance(arguments, tuple):
        raise refused(f"a call of {function.name} with {shown(arguments)}")
    return _REBUILD[function.name](*arguments)


def _ordered_dict(items=()):
    """Python 2 gives the items as a list of pairs, Python 3 sets them afterwards."""
    result = collections.OrderedDict()
    if items:
        if type(items) is not list:
            raise refused(f"an OrderedDict of {shown(items)}")
        pairs = [(key, value) for key, value in items]
        check_keys([key for key, _ in pairs])
        result.update(pairs)
        items.clear()  # moved: else a pickle could make a thousand dicts of one list
    return result


_REBUILD = {
    "torch._utils _rebuild_tensor": _tensor,
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_tensor_v3": _tensor_v3,
}
CALLS = {
    **_REBUILD,
    "torch._utils _rebuild_parameter": _parameter,
    "torch._utils _rebuild_parameter_with_state": _parameter,
    "torch._tensor _rebuild_from_type_v2": _from_type,
    "collections OrderedDict": _ordered_dict,
    "torch Size": _sizes,
    # A device, or bytes in protocol 2: known so that they do no harm, and of no use here.
    "torch device": lambda *device: None,
    "_codecs encode": lambda *text: None,
}
_TYPES = {"torch Tensor", "torch.nn.parameter Parameter"}
