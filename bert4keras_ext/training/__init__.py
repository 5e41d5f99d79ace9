"""What drives a model: schedules, callbacks, runs that can be resumed, pictures of them."""

from bert4keras_ext.training.callbacks import EvaluateWithEMA, KeepBest
from bert4keras_ext.training.contrastive_accumulation import ContrastiveAccumulationModel
from bert4keras_ext.training.plot import plot_curves
from bert4keras_ext.training.resume import resumable_fit
from bert4keras_ext.training.schedules import WarmupDecay
from bert4keras_ext.training.state import StateError

__all__ = [
    "ContrastiveAccumulationModel",
    "EvaluateWithEMA",
    "KeepBest",
    "StateError",
    "WarmupDecay",
    "plot_curves",
    "resumable_fit",
]
