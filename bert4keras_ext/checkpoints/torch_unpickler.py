"""Reads the pickle in a PyTorch file, and can build tensors and plain containers, nothing else.

A pickle is a program. Python's own `pickle` runs it and has to be talked out of the dangerous
parts; here the few opcodes that PyTorch's files need are carried out by this file, and every
other opcode, name or call is an error. Nothing is imported, and no object of a foreign class
comes into being.
"""

import pickletools

from bert4keras_ext.checkpoints.reader import CheckpointError
from bert4keras_ext.checkpoints.torch_objects import (
    CALLS,
    Global,
    check_keys,
    known_name,
    refused,
    shown,
    storage_of,
)

PICKLE_LIMIT = 256 * 2**20  # bytes; the pickle of a model with 100,000 tensors has 20 MB

_MARK = object()


class TensorUnpickler:
    """Carries out one pickle of a PyTorch file.

    Args:
        file: a binary file at the first byte of the pickle. Afterwards it is just behind it.

    Attributes:
        storages: {key: Storage} of all storages that were mentioned.

    Raises:
        CheckpointError: from `load`, if there is more than tensors, numbers, text and containers.

    Example::

        with zipfile.ZipFile("pytorch_model.bin") as archive:
            with archive.open("archive/data.pkl") as file:
                TensorUnpickler(file).load()       # {"pooler.dense.bias": Tensor(...), ...}
    """

    def __init__(self, file):
        self._file = _Bounded(file)
        self._stack = []
        self._memo = {}
        self.storages = {}

    def load(self):
        """Returns what the pickle describes, with `Tensor` and `Storage` for PyTorch's."""
        try:
            for opcode, argument, _ in pickletools.genops(self._file):
                if opcode.name == "STOP":
                    return self._stack.pop()
                self._carry_out(opcode.name, argument)
        except CheckpointError:
            raise
        except Exception as error:  # a malformed pickle can fail anywhere, and in any way
            raise CheckpointError(f"its pickle is malformed ({error!r:.200})") from error
        raise CheckpointError("its pickle has no end")

    def _carry_out(self, name, argument):
        if name in _PUSH_ARGUMENT:
            self._stack.append(argument)
        elif name in _PUSH_NEW:
            self._stack.append(_PUSH_NEW[name]())
        elif name in _TUPLES:
            self._tuple(_TUPLES[name])
        else:
            method = _METHODS.get(name)
            if method is None:
                raise refused(f"the opcode {name}")
            method(self, argument)

    # Below, one method an opcode, or a family of opcodes. `argument` is what stands in the pickle.

    def _ignore(self, argument):
        pass

    def _tuple(self, size):
        items = self._stack[len(self._stack) - size :]
        if len(items) != size:
            raise IndexError("stack underflow")
        del self._stack[len(self._stack) - size :]
        self._stack.append(tuple(items))

    def _tuple_to_mark(self, argument):
        self._stack.append(tuple(self._pop_to_mark()))

    def _list_to_mark(self, argument):
        self._stack.append(self._pop_to_mark())

    def _dict_to_mark(self, argument):
        items = self._pop_to_mark()
        self._stack.append({})
        self._set(items)

    def _append(self, argument):
        self._extend([self._stack.pop()])

    def _appends(self, argument):
        self._extend(self._pop_to_mark())

    def _set_item(self, argument):
        value, key = self._stack.pop(), self._stack.pop()
        self._set([key, value])

    def _set_items(self, argument):
        self._set(self._pop_to_mark())

    def _pop(self, argument):
        self._stack.pop()

    def _memo_put(self, argument):
        self._memo[argument] = self._stack[-1]

    def _memoize(self, argument):
        self._memo[len(self._memo)] = self._stack[-1]

    def _memo_get(self, argument):
        self._stack.append(self._memo[argument])

    def _global(self, argument):
        self._stack.append(known_name(argument))

    def _stack_global(self, argument):
        name, module = self._stack.pop(), self._stack.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise refused("a name that is no text")
        self._stack.append(known_name(f"{module} {name}"))

    def _reduce(self, argument):
        arguments, function = self._stack.pop(), self._stack.pop()
        if not isinstance(function, Global) or function.name not in CALLS:
            raise refused(f"a call of {shown(function)}")
        if not isinstance(arguments, tuple):
            raise refused(f"a call of {function.name} with {type(arguments).__name__}")
        self._stack.append(CALLS[function.name](*arguments))

    def _build(self, argument):
        # PyTorch hangs `_metadata` on its OrderedDict; nothing we need is ever said this way.
        self._stack.pop()
        if not isinstance(self._stack[-1], dict):
            raise refused(f"a state for {shown(self._stack[-1])}")

    def _persistent_id(self, argument):
        storage = storage_of(self._stack.pop())
        if self.storages.setdefault(storage.key, storage) != storage:
            raise refused(f"two storages with the key {storage.key!r:.50}")
        self._stack.append(storage)

    def _pop_to_mark(self):
        position = len(self._stack) - 1
        while self._stack[position] is not _MARK:
            position -= 1
            if position < 0:
                raise IndexError("no mark on the stack")
        items = self._stack[position + 1 :]
        del self._stack[position:]
        return items

    def _extend(self, items):
        if type(self._stack[-1]) is not list:
            raise refused(f"appending to {type(self._stack[-1]).__name__}")
        self._stack[-1].extend(items)

    def _set(self, items):
        if not isinstance(self._stack[-1], dict) or len(items) % 2:
            raise refused(f"setting items of {type(self._stack[-1]).__name__}")
        keys, values = items[::2], items[1::2]
        check_keys(keys)
        self._stack[-1].update(zip(keys, values))


_PUSH_ARGUMENT = frozenset(
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING "
    "UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES".split()
)
_PUSH_NEW = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "MARK": lambda: _MARK,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_METHODS = {
    "PROTO": TensorUnpickler._ignore,
    "FRAME": TensorUnpickler._ignore,
    "TUPLE": TensorUnpickler._tuple_to_mark,
    "LIST": TensorUnpickler._list_to_mark,
    "DICT": TensorUnpickler._dict_to_mark,
    "APPEND": TensorUnpickler._append,
    "APPENDS": TensorUnpickler._appends,
    "SETITEM": TensorUnpickler._set_item,
    "SETITEMS": TensorUnpickler._set_items,
    "POP": TensorUnpickler._pop,
    "PUT": TensorUnpickler._memo_put,
    "BINPUT": TensorUnpickler._memo_put,
    "LONG_BINPUT": TensorUnpickler._memo_put,
    "MEMOIZE": TensorUnpickler._memoize,
    "GET": TensorUnpickler._memo_get,
    "BINGET": TensorUnpickler._memo_get,
    "LONG_BINGET": TensorUnpickler._memo_get,
    "GLOBAL": TensorUnpickler._global,
    "STACK_GLOBAL": TensorUnpickler._stack_global,
    "REDUCE": TensorUnpickler._reduce,
    "BUILD": TensorUnpickler._build,
    "BINPERSID": TensorUnpickler._persistent_id,
}


class _Bounded:
    """Reads a file through genops' eyes and stops a pickle that claims to be endless."""

    def __init__(self, file):
        self._file = file
        self._left = PICKLE_LIMIT

    def read(self, size):
        self._spend(size)
        return self._file.read(size)

    def readline(self):
        line = self._file.readline(65536)  # no name or number in a genuine file is longer
        self._spend(len(line))
        return line

    def tell(self):
        return PICKLE_LIMIT - self._left

    def _spend(self, size):
        self._left -= size
        if size < 0 or self._left < 0:
            raise CheckpointError(f"its pickle is larger than {PICKLE_LIMIT} bytes")
