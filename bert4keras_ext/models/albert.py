"""ALBERT: one block of weights, applied again and again."""

from bert4keras_ext.models.bert import BERT
from bert4keras_ext.models.checks import check_sizes

# What transformers assumes where a config.json is silent.
HUGGING_FACE_DEFAULTS = {"embedding_size": 128, "hidden_act": "gelu_new", "layer_norm_eps": 1e-12}


class ALBERT(BERT):
    """BERT whose layers share their weights, with embeddings narrower than the hidden states.

    The shared block is named without a number, "Transformer-MultiHeadSelfAttention". With several
    groups of layers each group has a block of its own, and with inner groups a layer is several
    blocks in a row; the blocks are then "Transformer-g-j-..." (group g, inner group j).

    Args:
        num_hidden_groups: groups of layers that share weights among themselves.
        inner_group_num: blocks that make up one layer.
        embedding_mapping: whether a dense layer leads from the embeddings to the states although
            both have the same width, as in Hugging Face's models. (Between different widths there
            always is one.) A checkpoint tells by itself.
        **kwargs: those of BERT. ``embedding_size`` is the width of the embeddings, and
            ``with_nsp`` the head that tells the order of two sentences.

    Inputs and outputs: as BERT.

    Raises:
        ValueError: for more groups than layers.

    Source: arXiv 1909.11942.
    """

    family = "albert"
    layer_norm_epsilon = 1e-7

    def __init__(self, num_hidden_groups=1, inner_group_num=1, embedding_mapping=False, **kwargs):
        super().__init__(**kwargs)
        check_sizes(num_hidden_groups=num_hidden_groups, inner_group_num=inner_group_num)
        if num_hidden_groups > self.num_hidden_layers:
            raise ValueError(
                f"num_hidden_groups={num_hidden_groups} groups of layers, but num_hidden_layers="
                f"{self.num_hidden_layers}: expected no more groups than layers"
            )
        self.num_hidden_groups = num_hidden_groups
        self.inner_group_num = inner_group_num
        self.embedding_mapping = embedding_mapping

    @classmethod
    def adapt_config(cls, config):
        known = super().adapt_config(config)
        if config.get("model_type") == "albert":
            known = {**HUGGING_FACE_DEFAULTS, "embedding_mapping": True, **known}
        return known

    @classmethod
    def adapt_to_checkpoint(cls, arguments, shapes):
        widths = arguments["hidden_size"], arguments.get("embedding_size")
        if widths[1] in (None, widths[0]):
            names = ("embedding_hidden_mapping_in", "Embedding-Mapping")
            mapped = any(name in tensor for tensor in shapes() for name in names)
            arguments = {**arguments, "embedding_mapping": mapped}
        return arguments

    def apply_embedding_mapping(self, x):
        if self.embedding_size == self.hidden_size and not self.embedding_mapping:
            return x
        return self.apply_dense(x, self.hidden_size, "Embedding-Mapping")

    def apply_main_layers(self, inputs, index):
        x = inputs
        for inner in range(self.inner_group_num):
            x = super().apply_main_layers(x, index * self.inner_group_num + inner)
        return x

    def block_name(self, index):
        """The name of the block that comes at place ``index``, when all that follow each other
        are counted."""
        if self.num_hidden_groups == self.inner_group_num == 1:
            return "Transformer"
        layer, inner = divmod(index, self.inner_group_num)
        # Written as transformers has it, whose rounding decides where groups differ in size.
        group = int(layer / (self.num_hidden_layers / self.num_hidden_groups))
        return f"Transformer-{group}-{inner}"


class ALBERT_Unshared(ALBERT):
    """ALBERT as a BERT: every layer starts from the shared block and is then trained alone.

    In the published names it can be saved only as long as all layers are equal, and as
    ``format="native"`` always.

    Args:
        **kwargs: those of ALBERT; there is one group and one inner group.

    Raises:
        ValueError: for several groups, which leave open what is to be copied where.
    """

    family = "albert_unshared"
    layer_norm_epsilon = 1e-12

    def __init__(self, num_hidden_groups=1, inner_group_num=1, **kwargs):
        if (num_hidden_groups, inner_group_num) != (1, 1):
            raise ValueError(
                "albert_unshared copies one shared block into every layer: expected "
                f"num_hidden_groups=1 and inner_group_num=1, received {num_hidden_groups} and "
                f"{inner_group_num}; use model='albert'"
            )
        super().__init__(**kwargs)

    def block_name(self, index):
        return f"Transformer-{index}"
