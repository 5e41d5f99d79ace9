"""Hostile pickles raise and run nothing."""

import io
import os
import pickle
import struct
import time

import numpy as np
import pytest

from bert4keras_ext.checkpoints import CheckpointError, open_checkpoint
from bert4keras_ext.checkpoints.torch_unpickler import TensorUnpickler
from tests.checkpoints import torch_maker as maker
from tests.checkpoints.torch_maker import Call, Name, PersistentId, Storage

FLOATS = np.arange(6, dtype=np.float32)
STORAGE = Storage(FLOATS, "0")
FLOAT_STORAGE = Name("torch", "FloatStorage")
ORDERED_DICT = Name("collections", "OrderedDict")


class Attack:
    """Pickles as a call of whatever it is given, like the well-known exploits."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def load(data):
    return TensorUnpickler(io.BytesIO(data)).load()


@pytest.fixture
def trap(tmp_path):
    """A file that an attack would create; the test fails if it is there afterwards."""
    path = tmp_path / "trap"
    yield path
    assert not path.exists(), "the hostile pickle has been run"


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "wrap", [lambda x: x, lambda x: {"a": [x]}, lambda x: {"a": (1, {"b": x})}]
)
def test_calls_of_anything_are_refused(trap, protocol, wrap):
    attacks = [
        Attack(os.system, f"touch {trap}"),
        Attack(eval, f"open({str(trap)!r}, 'w')"),
        Attack(exec, f"open({str(trap)!r}, 'w')"),
        Attack(getattr, "text", "upper"),
        Attack(open, str(trap), "w"),
        Attack(__import__, "os"),
        Attack(Attack, 1),
        Attack(np.array, [1, 2]),
    ]
    for attack in attacks:
        with pytest.raises(CheckpointError):
            load(pickle.dumps(wrap(attack), protocol))


def test_the_same_attacks_do_run_in_pickle(tmp_path):
    """Otherwise the test above would prove nothing."""
    path = tmp_path / "trap"
    pickle.loads(pickle.dumps(Attack(os.system, f"touch {path}"), 2))
    assert path.exists()


@pytest.mark.parametrize("write", [maker.write_zip, maker.write_legacy])
def test_hostile_files(tmp_path, trap, write):
    hostile = pickle.dumps({"weight": Attack(os.system, f"touch {trap}")}, 2)
    path = write(tmp_path / "pytorch_model.bin", {}, hostile)
    with pytest.raises(CheckpointError, match="refused") as error:
        open_checkpoint(path)
    assert str(path) in str(error.value) and "system" in str(error.value)


@pytest.mark.parametrize(
    "name",
    [
        Name("posix", "system"),
        Name("builtins", "getattr"),
        Name("torch", "load"),
        Name("torch.serialization", "load"),
        Name("torch._utils", "_import_dotted_name"),
        Name("torch._utils", "_rebuild_tensor_v2.__globals__"),
        Name("collections", "OrderedDict.__class__"),
        Name("collections", "namedtuple"),
        Name("torch", "QInt8Storage"),
        Name("bert4keras_ext.checkpoints.torch_objects", "CALLS"),
    ],
)
def test_other_names_are_refused_even_uncalled(name):
    with pytest.raises(CheckpointError, match="refused"):
        load(maker.pickled({"x": name}))
    stack_global = b"\x80\x04\x8c" + bytes([len(name.module)]) + name.module.encode()
    stack_global += b"\x8c" + bytes([len(name.name)]) + name.name.encode() + b"\x93."
    with pytest.raises(CheckpointError, match="refused"):
        load(stack_global)


REFUSED = {
    "a type that is called": Call(FLOAT_STORAGE, (3,)),
    "a dtype that is called": Call(Name("torch", "float32"), ()),
    "a tensor without storage": maker.tensor("0", (2,), (1,)),
    "a call inside a call": Call(
        Name("torch._tensor", "_rebuild_from_type_v2"), (Name("torch", "device"), 0, ("cpu",))
    ),
    "a recursion of calls": Call(
        Name("torch._tensor", "_rebuild_from_type_v2"),
        (Name("torch._tensor", "_rebuild_from_type_v2"), 0, (), None),
    ),
    "a parameter of text": Call(Name("torch._utils", "_rebuild_parameter"), ("x", True)),
    "a state for a tensor": Call(
        maker.REBUILD, maker.plain(FLOATS, "0").arguments, {"shape": (10**9,)}
    ),
    "a text as size": maker.tensor(STORAGE, ("2",), (1,)),
    "a bool as size": maker.tensor(STORAGE, (True,), (1,)),
    "a negative size": maker.tensor(STORAGE, (-2,), (1,)),
    "a huge size": maker.tensor(STORAGE, (2**63,), (0,)),
    "a negative stride": maker.tensor(STORAGE, (2,), (-1,), offset=3),
    "a negative offset": maker.tensor(STORAGE, (2,), (1,), offset=-1),
    "an offset outside": maker.tensor(STORAGE, (2,), (1,), offset=5),
    "a shape outside": maker.tensor(STORAGE, (7,), (1,)),
    "a stride outside": maker.tensor(STORAGE, (3,), (3,)),
    "shape without strides": maker.tensor(STORAGE, (3,), ()),
    "too many axes": maker.tensor(STORAGE, (1,) * 40, (1,) * 40),
    "an expanded giant": maker.tensor(STORAGE, (2**30, 2**30), (0, 0)),
    "an expanded tensor of megabytes": maker.tensor(STORAGE, (2**21,), (0,)),
    "another dtype outside": Call(
        Name("torch._utils", "_rebuild_tensor_v3"),
        (STORAGE, 0, (6,), (1,), False, {}, Name("torch", "float64")),
    ),
    "an unknown dtype": Call(
        Name("torch._utils", "_rebuild_tensor_v3"), (STORAGE, 0, (6,), (1,), False, {}, "float32")
    ),
    "an id of text": PersistentId("storage"),
    "an id of a module": PersistentId(("module", Name("torch", "Tensor"), "a.py", "import os")),
    "an id without type": PersistentId(("storage", "FloatStorage", "0", "cpu", 6)),
    "an id with another type": PersistentId(("storage", ORDERED_DICT, "0", "cpu", 6)),
    "an id with a number as key": PersistentId(("storage", FLOAT_STORAGE, 0, "cpu", 6)),
    "an id with a negative size": PersistentId(("storage", FLOAT_STORAGE, "0", "cpu", -6)),
    "an id with a view": PersistentId(("storage", FLOAT_STORAGE, "0", "cpu", 6, ("1", 0, 2))),
    "one key, two storages": [
        PersistentId(("storage", FLOAT_STORAGE, "0", "cpu", size)) for size in (6, 7)
    ],
    "a dict of text": Call(ORDERED_DICT, ("ab",)),
    "a tuple as key": {("a", "b"): 1},
}


@pytest.mark.parametrize("what", REFUSED)
def test_wrong_forms_are_refused(what):
    with pytest.raises(CheckpointError):
        load(maker.pickled({"x": REFUSED[what]}))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"\x80\x02",
        b"\x80\x02}q\x00",  # no end
        b"t.",  # a tuple without mark
        b"a.",
        b"NR.",
        b"NNR.",
        b"h\x00.",  # a memo that was never filled
        b"(l0.",  # POP_MARK and list on nothing
        b"NP0\n.",
        b"\x82\x01.",  # extension registry
        b"N)\x81.",  # NEWOBJ
        b"N)}\x92.",  # NEWOBJ_EX
        b"(ios\nsystem\n.",  # INST
        b"(cos\nsystem\no.",  # OBJ
        b"}(}Nu.",  # a dict as key
        b"\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",  # BYTEARRAY8
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.",  # BINUNICODE8 longer than memory
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x8b\xff\xff\xff\x7f.",  # LONG4
        b"X\xff\xff\xff\xff.",
        b"cos" + b"x" * 200_000,  # a name without end
        b"I" + b"9" * 70_000 + b"\n.",
        b"\xff.",
        b"c\xff\xfe\n\xff\n.",
    ],
)
def test_malformed_pickles(data):
    with pytest.raises(CheckpointError):
        load(data)


def test_memo_numbers_cost_nothing():
    """Python's own unpickler would allocate a table of two thousand million entries here."""
    number = struct.pack("<I", 2**32 - 1)
    assert load(b"Nr" + number + b"0j" + number + b".") is None


def _doubled(opcode, times):
    """((((x, x), (x, x)), ...): 2**times leaves in a few bytes."""
    return b"N\x94" + b"".join(
        b"h" + bytes([i, ord("h"), i]) + opcode + b"\x94" for i in range(times)
    )


@pytest.mark.parametrize("end", [b"Q.", b"}b.", b")R."])
def test_exponential_containers_are_not_walked(end):
    start = time.process_time()
    with pytest.raises(CheckpointError):
        load(b"\x80\x04" + _doubled(b"\x86", 25) + end)
    assert time.process_time() - start < 1


def test_exponential_key():
    start = time.process_time()
    with pytest.raises(CheckpointError):
        load(b"\x80\x04(" + _doubled(b"\x86", 25) + b"N\x64.")
    assert time.process_time() - start < 1


def test_containers_in_themselves(tmp_path):
    itself = b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s."
    with pytest.raises(CheckpointError, match="without end"):
        open_checkpoint(maker.write_zip(tmp_path / "a.bin", {}, itself))


def _nested(value, width=6, depth=13):
    """A pickle under a kilobyte in which a value is reached in 6**13 ways."""
    for _ in range(depth):
        value = (value,) * width
    return maker.pickled({"a": value, "b": maker.plain(FLOATS, "1")})


def _open_quickly(path):
    start = time.process_time()
    try:
        with open_checkpoint(path) as reader:
            return reader.names()
    finally:
        assert time.process_time() - start < 3


def test_containers_named_over_and_over_are_walked_once(tmp_path):
    path = maker.write_zip(tmp_path / "a.bin", {}, _nested(None), storages={"1": FLOATS})
    assert _open_quickly(path) == ["b"]
    assert path.stat().st_size < 2000


def test_tensors_named_over_and_over_are_refused(tmp_path):
    data = _nested(maker.plain(FLOATS, "0"))
    path = maker.write_zip(tmp_path / "a.bin", {}, data, storages={"0": FLOATS, "1": FLOATS})
    with pytest.raises(CheckpointError, match="over and over"):
        _open_quickly(path)


def test_a_state_dict_under_two_names_and_long_lists_are_read(tmp_path):
    """What a training script may write: no limit for hostile files may stop it."""
    state = {"w": maker.plain(FLOATS, "0"), "w.x": {}}
    obj = {"net": state, "best": state, "losses": [0.5] * 150_000}
    with open_checkpoint(maker.write_zip(tmp_path / "a.bin", obj)) as reader:
        assert reader.names() == ["net.w", "best.w"]


def test_one_list_does_not_become_many_dicts():
    """Each further dict would cost a hostile file a few bytes, and us the whole list again."""
    call = b"ccollections\nOrderedDict\nh\x00\x85R"
    data = b"\x80\x02]q\x00(X\x01\x00\x00\x00aNX\x01\x00\x00\x00bN\x86\x86e" + b"".join([call] * 3)
    with pytest.raises(CheckpointError):
        load(data + b"\x87.")
    pairs = [("a", 1), ("b", 2)]
    first, second = load(
        maker.pickled([Call(ORDERED_DICT, (pairs,)), Call(ORDERED_DICT, (pairs,))])
    )
    assert (dict(first), dict(second)) == ({"a": 1, "b": 2}, {})


def test_what_torch_writes_is_understood():
    parameter = Call(
        Name("torch._utils", "_rebuild_parameter"),
        (maker.tensor(STORAGE, (2, 3), (3, 1)), True, Call(ORDERED_DICT, ())),
    )
    obj = {
        "v2": maker.tensor(STORAGE, (2, 3), (3, 1)),
        "old": Call(Name("torch._utils", "_rebuild_tensor"), (STORAGE, 0, (3, 2), (2, 1))),
        "v3": Call(
            Name("torch._utils", "_rebuild_tensor_v3"),
            (STORAGE, 0, (12,), (1,), False, {}, Name("torch", "bfloat16")),
        ),
        "parameter": parameter,
        "with state": Call(
            Name("torch._utils", "_rebuild_parameter_with_state"), (*parameter.arguments, {"a": 1})
        ),
        "typed": Call(
            Name("torch._tensor", "_rebuild_from_type_v2"),
            (maker.REBUILD, Name("torch", "Tensor"), maker.plain(FLOATS, "0").arguments, {}),
        ),
        "size": Call(Name("torch", "Size"), ((2, 3),)),
        "device": Call(Name("torch", "device"), ("cpu",)),
        "metadata": Call(ORDERED_DICT, (), {"_metadata": {"version": 1}}),
        "numbers": [1, -1, 2**40, 2.5, True, None, "text", b"bytes"],
    }
    for protocol in range(2, 6):
        found = load(maker.pickled(obj, protocol=protocol))
        assert found["v2"].shape == found["parameter"].shape == found["with state"].shape == (2, 3)
        assert found["old"].strides == (2, 1) and found["typed"].shape == (6,)
        assert found["v3"].shape == (12,) and found["v3"].dtype == maker.BFLOAT16
        assert found["size"] == (2, 3) and found["device"] is None and found["metadata"] == {}
        assert found["numbers"][:7] == [1, -1, 2**40, 2.5, True, None, "text"]
