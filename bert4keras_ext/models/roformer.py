"""RoFormer (rotary positions) and RoFormerV2 (leaner: no biases, plain RMS norms)."""

import keras

from bert4keras_ext.backend.initializers import TruncatedNormal
from bert4keras_ext.backend.positions import check_rotary
from bert4keras_ext.backend.registration import register
from bert4keras_ext.layers import RotaryEmbedding
from bert4keras_ext.models.bert import BERT


class RoFormer(BERT):
    """BERT whose queries and keys are turned by their positions instead of adding vectors to them.

    Score(m, n) = ``q' R_(n-m) k``: only distances count, no position is trained, and texts may be
    of any length; ``max_position`` and ``hierarchical_position`` limit nothing here. The layouts
    of bert4keras' and Hugging Face's checkpoints are the same.

    Args:
        rotary_base: of the frequencies ``base^(-2i/size)``.
        rotary_scaling: None, or how positions are stretched for texts longer than those of
            training: ``{"type": "linear" or "ntk", "factor": s}`` or ``{"type": "yarn",
            "factor": s, "original_max_position": n}``; see RotaryEmbedding.
        rotary_axes: coordinates of a position. 2 for places (x, y) in a table or image: position
            ids are then a further input (batch, length, 2).
        rotary_value: turn the values as well (an option of Hugging Face's RoFormer).
        custom_position_ids: take position ids as a third input; fractions are welcome.
        **kwargs: those of BERT.

    Inputs and outputs: as BERT.

    Raises:
        ValueError: for heads that cannot be turned in pairs, an unknown scaling, or a config that
            is RoFormerV2's.

    Source: arXiv 2104.09864; 2-D: article 8397.
    """

    family = "roformer"
    norm_type = "layer_norm"  # what the configs of junnyu's PyTorch port call it
    embedding_norm_epsilon = 1e-7
    layer_norm_epsilon = 1e-7

    def __init__(
        self,
        rotary_base=10000.0,
        rotary_scaling=None,
        rotary_axes=1,
        rotary_value=False,
        custom_position_ids=False,
        **kwargs,
    ):
        super().__init__(custom_position_ids=custom_position_ids or rotary_axes > 1, **kwargs)
        check_rotary(self.attention_key_size, rotary_base, rotary_scaling, rotary_axes)
        if rotary_value and self.attention_head_size != self.attention_key_size:
            raise ValueError(
                "rotary_value turns values as it turns keys: expected attention_key_size = "
                f"attention_head_size, received {self.attention_key_size} and "
                f"{self.attention_head_size}"
            )
        self.rotary_base = rotary_base
        self.rotary_scaling = rotary_scaling
        self.rotary_axes = rotary_axes
        self.rotary_value = rotary_value

    @classmethod
    def adapt_config(cls, config):
        for key in ("norm_type", "use_bias"):
            wanted, found = getattr(cls, key), config.get(key)
            if found is not None and found != wanted:
                raise ValueError(
                    f"{cls.__name__} has {key}={wanted!r}, the config says {found!r}: RoFormer "
                    "(model='roformer') has layer norms and biases, RoFormerV2 "
                    "(model='roformer_v2') has neither"
                )
        return super().adapt_config(config)

    def apply_input(self, name, shape=None, dtype="int32"):
        if name != "Input-Position":
            return super().apply_input(name, shape, dtype)
        more = (self.rotary_axes,) if self.rotary_axes > 1 else ()
        # Angles exist between whole positions too.
        return super().apply_input(name, (self.sequence_length, *more), "float32")

    def apply_position_embedding(self, x):
        return x

    def compute_position_bias(self, inputs=None):
        if self.position_bias is None:
            self.position_bias = self.apply(
                inputs,
                RotaryEmbedding,
                arguments={"position_ids": self.position_ids},
                output_dim=self.attention_key_size,
                base=self.rotary_base,
                scaling=self.rotary_scaling,
                axes=self.rotary_axes,
                custom_position_ids=self.custom_position_ids,
                name="Embedding-Rotary-Position",
            )
        value = {"value_rotary": self.position_bias} if self.rotary_value else {}
        return {"rotary": self.position_bias, **value}


class RoFormerV2(RoFormer):
    """RoFormer without biases, and with RMS norms that have neither scale nor offset.

    Further differences: dropout comes before the norm of the embeddings; the language-model head
    is only (a mapping to ``embedding_size`` and) dropout and the word table, without a bias; and
    weights start from WidthScaledNormal. Under ``layer_norm_cond`` the norms get a scale that
    depends on the condition (bert4keras ignores the condition).

    Args:
        **kwargs: those of RoFormer. There is no pooler: with_pool and with_nsp raise ValueError.

    Source: article 8998.
    """

    family = "roformer_v2"
    norm_type = "rms_norm"
    use_bias = False
    head_norm_epsilon = 1e-7

    def __init__(self, with_pool=False, with_nsp=False, **kwargs):
        if with_pool or with_nsp:
            raise ValueError(
                "RoFormerV2 has no pooler: leave out with_pool and with_nsp, and take the first "
                "state with FirstPooling1D()(model.output)"
            )
        super().__init__(**kwargs)

    @property
    def initializer(self):
        return WidthScaledNormal(self.num_hidden_layers)

    @property
    def norm_arguments(self):
        scale = 1.0 if self.layer_norm_cond is not None else False
        return {"zero_mean": False, "scale": scale, "offset": False}

    def finish_embeddings(self, x):
        x = self.apply_dropout(x, "Embedding-Dropout")
        x = self.apply_norm(x, "Embedding-Norm", self.embedding_norm_epsilon)
        return self.apply_embedding_mapping(x)

    def apply_dense(self, inputs, units, name, activation=None, **kwargs):
        return super().apply_dense(inputs, units, name, activation, use_bias=False, **kwargs)

    def apply_mlm(self, x):
        if self.embedding_size != self.hidden_size:
            x = self.apply_dense(x, self.embedding_size, "Output-Mapping")
        x = self.apply_dropout(x, "Output-MLM-Dropout")
        x = self.apply_token_embedding(x, mode="dense")
        activation = "softmax" if self.with_mlm is True else self.with_mlm
        return self.apply_activation(x, activation, "Output-MLM-Activation")


@register
class WidthScaledNormal(keras.initializers.Initializer):
    """Truncated normal whose deviation falls with the width and the depth of the model.

    ``std = gain / sqrt(width) * layers^(-1/order)``, where the width is the number of inputs (the
    first axis), or the second axis of an embedding table, which is told by more than 10,000 or
    fewer than 10 rows. (Values beyond two deviations of the underlying normal are drawn again;
    its deviation is 1.13684723 times ``std`` to make up for them.)

    Args:
        layers: number of Transformer layers.
        order, gain: see the formula.
        seed: an int makes every call return the same values.

    Example:

    >>> values = WidthScaledNormal(layers=4)((100, 50))
    >>> bool(abs(keras.ops.std(values) - 0.05) < 0.005)
    True

    Source: article 8998.
    """

    def __init__(self, layers, order=2, gain=1.0, seed=None):
        self.layers = layers
        self.order = order
        self.gain = gain
        self.seed = seed

    def __call__(self, shape, dtype=None):
        is_table = len(shape) > 1 and (shape[0] > 10000 or shape[0] < 10)
        width = shape[1] if is_table else shape[0]
        stddev = 1.13684723 * self.gain * width**-0.5 * self.layers ** (-1 / self.order)
        # A new object at each call, or every weight of one shape would be the same.
        normal = TruncatedNormal(stddev=stddev, seed=self.seed)
        return normal(shape, dtype=dtype)

    def get_config(self):
        return {
            "layers": self.layers, "order": self.order, "gain": self.gain, "seed": self.seed,
        }  # fmt: skip
