"""LAMB, as the composition it is."""

from bert4keras_ext.optimizers.adam import Adam
from bert4keras_ext.optimizers.layer_adaptation import extend_with_layer_adaptation
from bert4keras_ext.optimizers.weight_decay import extend_with_weight_decay

LAMB = extend_with_layer_adaptation(extend_with_weight_decay(Adam), "LAMB")
