"""What drives a model: schedules, callbacks, runs that can be resumed, pictures of them."""

from bert4keras_ext.training.callbacks import KeepBest
from bert4keras_ext.training.plot import plot_curves
from bert4keras_ext.training.resume import resumable_fit
from bert4keras_ext.training.schedules import WarmupDecay
from bert4keras_ext.training.state import StateError

__all__ = ["KeepBest", "StateError", "WarmupDecay", "plot_curves", "resumable_fit"]
