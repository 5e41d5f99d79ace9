"""The one mechanism behind all name tables: our weight's name -> a foreign name."""

import re
from dataclasses import dataclass
from functools import cached_property

from bert4keras_ext.checkpoints.transforms import IDENTITY

# What training frameworks put before every name of a PyTorch model.
PYTORCH_WRAPPERS = ("", "module.", "model.", "_orig_mod.", "0.auto_model.")

# What optimizers leave behind in a TensorFlow checkpoint beside the weights.
TENSORFLOW_LEFTOVERS = (
    r".*/(adam_[mv]|Adam(_1)?|lamb_[mv]|Adafactor(_[vrc])?|vr|vc|v|slot_v[rc]?)$",
    r"(.*/)?(global_step|beta[12]_power|good_steps|loss_scale|current_loss_scale)(_\d+)?$",
)


@dataclass(frozen=True)
class Prefix:
    """What stands before names in one file: a wrapper before all, a base before the backbone."""

    wrapper: str = ""
    base: str = ""


class NameTable:
    """Which of our weights is called what in the checkpoints of one family from one source.

    Args:
        family: the model family, such as "bert".
        source: whose names these are, "tensorflow" or "huggingface".
        rows: {our weight: foreign name} or {our weight: (foreign name, transform)}. `{i}` stands
            for the layer number (`{i:02d}` writes it with two digits), `{j}` for a second one.
            Alternatives in the last part of both names, "kernel|bias" beside "weight|bias", make
            one row of several.
        bases: how the backbone's prefix may be spelt in a file; the rows are written in the first.
        wrappers: what may stand before all names of a file.
        spellings: pairs (ending, other ending) that files use for the same weight.
        ignorable: regular expressions of foreign names that hold nothing a model needs.
        computed: regular expressions of our names that no file holds: tables of sinusoids.
        buffers: {foreign name: function(builder) -> array, or None for none}: tensors that files
            hold although nothing trains them. They are written, and not read.

    Example:

    >>> from bert4keras_ext.checkpoints.names import NameTable
    >>> from bert4keras_ext.checkpoints.transforms import TRANSPOSE
    >>> table = NameTable(
    ...     "bert",
    ...     "huggingface",
    ...     {"Pooler-Dense/kernel|bias": ("bert.pooler.dense.weight|bias", TRANSPOSE)},
    ...     bases=("bert.", ""),
    ... )
    >>> table.entry("Pooler-Dense/bias")
    ('bert.pooler.dense.bias', Transpose())
    >>> table.prefix(["Pooler-Dense/bias"], {"pooler.dense.bias"})
    Prefix(wrapper='', base='')
    """

    def __init__(
        self, family, source, rows, bases=("",), wrappers=("",), spellings=(), ignorable=(),
        computed=(), buffers=None,
    ):  # fmt: skip
        self.family = family
        self.source = source
        self.bases = tuple(bases)
        self.wrappers = tuple(wrappers)
        self.spellings = tuple(spellings)
        self.ignorable = tuple(ignorable)
        self.computed = tuple(computed)
        self.buffers = dict(buffers or {})
        self.rows = dict(_expanded(rows))

    def derived(self, family, replace=(), without=(), more=None, **options):
        """The table of a family that differs from this one in a few names.

        Args:
            family: its name.
            replace: pairs (text, other text) to replace in foreign names, in this order.
            without: regular expressions of our names (with `{i}` in them) that the family lacks.
            more: further rows, as the constructor takes them; they win over this table's.
            **options: other arguments of the constructor; by default this table's.
        """
        rows = {}
        for ours, (foreign, transform) in self.rows.items():
            if not any(re.fullmatch(pattern, ours) for pattern in without):
                for old, new in replace:
                    foreign = foreign.replace(old, new)
                rows[ours] = (foreign, transform)
        rows.update(_expanded(more or {}))
        kept = ("bases", "wrappers", "spellings", "ignorable", "computed", "buffers")
        own = {key: getattr(self, key) for key in kept}
        return NameTable(family, self.source, rows, **{**own, **options})

    def entry(self, ours):
        """(foreign name, transform) of one of our weights, or None if this table has none."""
        pattern, numbers = _pattern(ours)
        if pattern not in self.rows:
            return None
        foreign, transform = self.rows[pattern]
        return (foreign.format(**numbers) if numbers else foreign), transform

    def prefix(self, weights, names):
        """The prefixes under which most of `weights` are found among a file's `names`."""
        entries = [entry for entry in map(self.entry, weights) if entry]

        def found(prefix):
            return sum(self.find(foreign, names, prefix) is not None for foreign, _ in entries)

        return max(self._prefixes, key=found)  # the first of the best

    def find(self, foreign, names, prefix):
        """The spelling of a foreign name that exists among a file's `names`, or None."""
        return next((name for name in self.spelt(foreign, prefix) if name in names), None)

    def spelt(self, foreign, prefix):
        """All spellings of a foreign name under the prefixes of a file, the usual one first."""
        if self.bases[0] and foreign.startswith(self.bases[0]):
            foreign = prefix.base + foreign[len(self.bases[0]) :]
        name = prefix.wrapper + foreign
        others = [
            name[: -len(ending)] + other
            for ending, other in self.spellings
            if name.endswith(ending)
        ]
        return [name, *others]

    def ignores(self, name):
        """Whether an unused foreign name is no loss: a buffer, a tied copy, an optimizer slot."""
        return name in self.buffers or any(
            re.fullmatch(pattern, name) for pattern in self.ignorable
        )

    def computes(self, ours):
        """Whether one of our weights is in no file, because every model computes it alike."""
        return any(re.fullmatch(pattern, ours) for pattern in self.computed)

    def transform_of(self, name, ours=""):
        """The transform of the row that a file's name belongs to, in any layer, or the identity.

        Several rows may share a tensor that holds their weights glued together; then it is the row
        of our weight.
        """
        transforms = self._transforms.get(_without_numbers(name), {"": IDENTITY})
        return transforms.get(_pattern(ours)[0], next(iter(transforms.values())))

    def recognised(self, names):
        """How many of a file's names are names of this table, in any layer and spelling."""
        return sum(_without_numbers(name) in self._transforms for name in names)

    @property
    def _prefixes(self):
        return [Prefix(wrapper, base) for wrapper in self.wrappers for base in self.bases]

    @cached_property
    def _transforms(self):
        """{foreign name without numbers: {pattern of our weight: transform}}, in every spelling."""
        transforms = {}
        for pattern, (foreign, transform) in self.rows.items():
            for prefix in self._prefixes:
                for name in self.spelt(foreign, prefix):
                    transforms.setdefault(_without_numbers(name), {})[pattern] = transform
        return transforms


def _expanded(rows):
    """Yields (our weight, (foreign name, transform)), one for each alternative of the last part."""
    for ours, foreign in rows.items():
        foreign, transform = foreign if isinstance(foreign, tuple) else (foreign, IDENTITY)
        for our_name, foreign_name in zip(_alternatives(ours), _alternatives(foreign), strict=True):
            yield our_name, (foreign_name, transform)


def _alternatives(name):
    """Splits "a/kernel|bias" into ["a/kernel", "a/bias"]."""
    head, separator, last = re.fullmatch(r"(.*?)([/.]?)([^/.]*)", name).groups()
    return [head + separator + choice for choice in last.split("|")]


def _pattern(ours):
    """Splits "Transformer-3-FeedForward/o/bias" into "Transformer-{i}-FeedForward/o/bias" and
    {"i": 3}; a second number is j."""
    numbers = dict(zip("ij", map(int, re.findall(r"-(\d+)(?=-)", ours))))
    for letter, number in numbers.items():
        ours = ours.replace(f"-{number}-", f"-{{{letter}}}-", 1)
    return ours, numbers


def _without_numbers(name):
    return re.sub(r"\{[ij][^}]*\}|\d+", "#", name)
