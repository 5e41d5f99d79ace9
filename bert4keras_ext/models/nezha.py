"""NEZHA: BERT with fixed relative positions in keys and values."""

from bert4keras_ext.backend.positions import Sinusoidal
from bert4keras_ext.layers import RelativePositionEmbedding
from bert4keras_ext.models.bert import BERT
from bert4keras_ext.models.checks import check_sizes


class NEZHA(BERT):
    """BERT that adds a sinusoidal vector of the distance j - i to every key and value.

    ``score_ij = Q_i (K_j + r_ij)`` and ``O_i = sum_j A_ij (V_j + r_ij)``, where distances beyond
    ``max_relative_position`` share a vector. Nothing of it is trained, and texts may be of any
    length; ``max_position`` and ``hierarchical_position`` limit nothing here.

    Args:
        max_relative_position: the largest distance with a vector of its own.
        custom_position_ids: take position ids, whole numbers, as a third input.
        **kwargs: those of BERT.

    Inputs and outputs: as BERT.

    Source: arXiv 1909.00204.
    """

    family = "nezha"
    embedding_norm_epsilon = 1e-7
    layer_norm_epsilon = 1e-7

    def __init__(self, max_relative_position=64, **kwargs):
        super().__init__(**kwargs)
        check_sizes(max_relative_position=max_relative_position)
        self.max_relative_position = max_relative_position

    def apply_position_embedding(self, x):
        return x

    def compute_position_bias(self, inputs=None):
        """Vectors of the distances for keys and values.

        Where positions count from 0, attention gets those for keys as a table, which is faster.
        """
        if self.position_bias is None:
            sizes = self.attention_key_size, self.attention_head_size
            for_keys = for_values = self._relative(inputs, sizes[0], "Embedding-Relative-Position")
            if sizes[0] != sizes[1]:
                name = "Embedding-Relative-Position-Value"
                for_values = self._relative(inputs, sizes[1], name)
            if self.position_ids is None:
                for_keys, for_values = for_keys[1], for_values[0]
            self.position_bias = {"relative_embeddings": for_keys, "relative_values": for_values}
        return self.position_bias

    def _relative(self, inputs, size, name):
        return self.apply(
            inputs,
            RelativePositionEmbedding,
            arguments={"position_ids": self.position_ids},
            input_dim=2 * self.max_relative_position + 1,
            output_dim=size,
            embeddings_initializer=Sinusoidal(),
            return_table=self.position_ids is None,
            trainable=False,
            name=name,
        )
