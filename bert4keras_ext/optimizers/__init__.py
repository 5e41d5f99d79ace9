"""Optimizers, and extensions that make new ones of any Keras optimizer."""

from bert4keras_ext._old_names import getattr_of
from bert4keras_ext.optimizers.adafactor import AdaFactor
from bert4keras_ext.optimizers.adam import Adam
from bert4keras_ext.optimizers.exponential_moving_average import (
    extend_with_exponential_moving_average,
)
from bert4keras_ext.optimizers.gradient_accumulation import extend_with_gradient_accumulation
from bert4keras_ext.optimizers.gradient_centralization import extend_with_gradient_centralization
from bert4keras_ext.optimizers.lamb import LAMB
from bert4keras_ext.optimizers.layer_adaptation import extend_with_layer_adaptation
from bert4keras_ext.optimizers.layer_wise_lr_decay import extend_with_layer_wise_lr_decay
from bert4keras_ext.optimizers.lazy_optimization import extend_with_lazy_optimization
from bert4keras_ext.optimizers.lion import Lion
from bert4keras_ext.optimizers.lookahead import extend_with_lookahead
from bert4keras_ext.optimizers.parameter_wise_lr import extend_with_parameter_wise_lr
from bert4keras_ext.optimizers.piecewise_linear_lr import extend_with_piecewise_linear_lr
from bert4keras_ext.optimizers.tiger import Tiger
from bert4keras_ext.optimizers.weight_decay import extend_with_weight_decay

__all__ = [
    "LAMB",
    "AdaFactor",
    "Adam",
    "Lion",
    "Tiger",
    "extend_with_exponential_moving_average",
    "extend_with_gradient_accumulation",
    "extend_with_gradient_centralization",
    "extend_with_layer_adaptation",
    "extend_with_layer_wise_lr_decay",
    "extend_with_lazy_optimization",
    "extend_with_lookahead",
    "extend_with_parameter_wise_lr",
    "extend_with_piecewise_linear_lr",
    "extend_with_weight_decay",
]

__getattr__ = getattr_of(__name__)
