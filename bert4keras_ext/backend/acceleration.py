"""The acceleration switches: XLA, precision and recomputation.

Each is one function call, one environment variable and one command-line flag of the examples:

==============  ===================  ==================  ===========================================
what            function             environment         flag
==============  ===================  ==================  ===========================================
XLA             ``set_xla``          ``B4K_XLA``         ``--xla auto|on|off``
precision       ``set_precision``    ``B4K_PRECISION``   ``--precision float32|mixed_bfloat16|...``
recomputation   ``set_recompute``    ``B4K_RECOMPUTE``   ``--recompute``
==============  ===================  ==================  ===========================================

Precision and recomputation are read when layers are constructed, XLA when a model is compiled
with ``jit_compile=jit_compile()``: set them first, then build. Nothing that exists changes.

bert4keras' name ``RECOMPUTE`` is read too, where ``B4K_RECOMPUTE`` is not set.
"""

import logging
import os
import warnings

import keras

logger = logging.getLogger(__name__)

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16", "bfloat16")
XLA_MODES = ("auto", "on", "off")
_TRUE, _FALSE = {"1", "true", "on", "yes", "t", "y"}, {"", "0", "false", "off", "no", "f", "n"}


def _recompute_of(variables):
    """Whether the environment asks for recomputation."""
    text = variables.get("B4K_RECOMPUTE", "")
    if text.strip().lower() not in _TRUE | _FALSE:
        raise ValueError(f"B4K_RECOMPUTE expects 1, 0, on, off, true or false; found {text!r}")
    if text.strip():
        return text.strip().lower() in _TRUE
    # A name as general as this one may be meant for another program.
    text = variables.get("RECOMPUTE", "")
    if text.strip().lower() not in _TRUE | _FALSE:
        warnings.warn(
            f"RECOMPUTE={text!r} is neither 1 nor 0 and is ignored: recomputation stays off; "
            "B4K_RECOMPUTE=1 or set_recompute() turns it on",
            stacklevel=2,
        )
    return text.strip().lower() in _TRUE


def _mode(value):
    """Any accepted spelling of an XLA mode -> "auto", "on" or "off"."""
    if isinstance(value, bool):
        return "on" if value else "off"
    text = str(value).lower()
    text = "on" if text in _TRUE else "off" if text in _FALSE - {""} else text
    if text not in XLA_MODES:
        raise ValueError(f"XLA is one of {XLA_MODES}, True or False; received {value!r}")
    return text


_settings = {
    "xla": _mode(os.environ.get("B4K_XLA") or "auto"),
    "recompute": _recompute_of(os.environ),
}


def set_xla(mode=True):
    """Chooses XLA for models compiled from now on: ``True``/"on", ``False``/"off" or "auto"."""
    _settings["xla"] = _mode(mode)


def xla_mode():
    """What was set: "on", "off" or "auto"."""
    return _settings["xla"]


def set_precision(name):
    """Sets the dtype policy of layers built from now on.

    Args:
        name: "float32"; "mixed_bfloat16" (Ampere and newer, AVX512-BF16 and AMX processors);
            "mixed_float16" (older GPUs: ``compile`` adds loss scaling by itself); or "bfloat16",
            for inference alone: the weights are kept in bfloat16 too, which halves their memory
            and saves casting them, but small updates of a training would be rounded away.
    """
    if name not in PRECISIONS:
        raise ValueError(f"precision expects one of {PRECISIONS}, received {name!r}")
    keras.config.set_dtype_policy(name)


def set_recompute(enabled=True):
    """Makes attention, feed-forward and normalization layers built from now on recompute."""
    _settings["recompute"] = bool(enabled)


def recompute_enabled():
    """What a layer under construction reads."""
    return _settings["recompute"]


def jit_compile():
    """The value for ``model.compile(jit_compile=...)`` under the present switches.

    * "on" compiles, except under a distribution strategy of several replicas, whose gradient
      reduction XLA cannot compile: there it stays off and says so.
    * "auto" compiles on a GPU (without a strategy) and never on a CPU, where compilation costs
      more than it brings and was seen to slow mixed_bfloat16 down.
    """
    mode = _settings["xla"]
    if mode == "off":
        return False
    if _under_strategy():
        if mode == "on":
            logger.warning("XLA stays off under a distribution strategy of several replicas")
        return False
    return True if mode == "on" else has_gpu()


def _under_strategy():
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync > 1


def has_gpu():
    """Whether TensorFlow has a GPU; True under other backends, which are not known to have none."""
    if keras.backend.backend() != "tensorflow":
        return True
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def add_arguments(parser):
    """Adds ``--xla``, ``--precision`` and ``--recompute`` to an ``argparse`` parser."""
    group = parser.add_argument_group("acceleration")
    group.add_argument(
        "--xla", nargs="?", const="on", default=_settings["xla"], choices=XLA_MODES,
        help="compile with XLA; auto: on a GPU only (default: %(default)s, or B4K_XLA)",
    )  # fmt: skip
    group.add_argument(
        "--precision", default=os.environ.get("B4K_PRECISION") or "float32", choices=PRECISIONS,
        help="dtype policy (default: %(default)s, or B4K_PRECISION)",
    )  # fmt: skip
    group.add_argument(
        "--recompute", action="store_true", default=_settings["recompute"],
        help="recompute activations in the backward pass: less memory, more time (B4K_RECOMPUTE=1)",
    )  # fmt: skip
    return parser


def apply_arguments(args):
    """Applies the parsed flags; call it before the model is built."""
    set_xla(args.xla)
    set_precision(args.precision)
    set_recompute(args.recompute)


def apply_environment():
    """Applies ``B4K_PRECISION`` where it is set (the other variables are read at import)."""
    if os.environ.get("B4K_PRECISION"):
        set_precision(os.environ["B4K_PRECISION"])
