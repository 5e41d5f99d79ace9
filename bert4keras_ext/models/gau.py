"""GAU-alpha: gated attention units instead of attention and feed-forward."""

from bert4keras_ext.layers import GatedAttentionUnit
from bert4keras_ext.models.roformer import RoFormerV2, WidthScaledNormal


class GAU_alpha(RoFormerV2):
    """RoFormerV2 with one gated attention unit a layer: ``Norm(x + Dropout(GAU(x)))``.

    Twice as many layers cost about what those of a BERT of the same width do (24 in the published
    base model). There is a single head, of ``attention_key_size`` channels for queries and keys
    and ``intermediate_size`` for values.

    Args:
        attention_key_size: width of queries and keys; 128 in the published model.
        attention_normalization: see Transformer; "softmax_plus" in the published model.
        **kwargs: those of RoFormerV2. The number of heads is without meaning.

    Inputs and outputs: as RoFormerV2.

    Raises:
        ValueError: for rotary_value, and where RoFormerV2 does.

    Example:

    >>> from bert4keras_ext.models import build_transformer_model
    >>> config = dict(vocab_size=100, hidden_size=16, num_hidden_layers=2, num_attention_heads=1,
    ...               intermediate_size=32, hidden_act="swish", attention_key_size=8)
    >>> build_transformer_model(config, model="gau_alpha", with_mlm="linear").output.shape
    (None, None, 100)

    Source: https://github.com/ZhuiyiTechnology/GAU-alpha, article 9052; arXiv 2202.10447.
    """

    family = "gau_alpha"

    def __init__(self, attention_key_size=128, attention_normalization="softmax_plus", **kwargs):
        if kwargs.get("rotary_value"):
            raise ValueError(
                "GAU_alpha turns queries and keys only: leave out rotary_value, an option of "
                "model='roformer'"
            )
        super().__init__(
            attention_key_size=attention_key_size,
            attention_normalization=attention_normalization,
            **kwargs,
        )

    @property
    def initializer(self):
        return WidthScaledNormal(self.num_hidden_layers, order=3)

    def apply_main_layers(self, inputs, index):
        name = f"{self.block_name(index)}-GatedAttentionUnit"
        return self.apply_block(inputs, name, self.apply_gated_attention, index)

    def apply_gated_attention(self, inputs, name, index):
        return self.apply(
            inputs,
            GatedAttentionUnit,
            arguments={
                "attention_bias": self.compute_attention_bias(index),
                **self.compute_position_bias(inputs),
            },
            units=self.intermediate_size,
            key_size=self.attention_key_size,
            activation=self.hidden_act,
            use_bias=self.use_bias,
            normalization=self.attention_normalization,
            attention_scale=self.attention_scale,
            attention_dropout=self.attention_dropout_rate,
            kernel_initializer=self.initializer,
            name=name,
        )
