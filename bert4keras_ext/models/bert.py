"""BERT, and RoBERTa in the Chinese sense (the same architecture)."""

from keras import layers as keras_layers

from bert4keras_ext.layers import Add, FirstPooling1D, PositionEmbedding, ScaleOffset
from bert4keras_ext.models.base import Transformer
from bert4keras_ext.models.checks import check_length_in_reach, check_sizes


class BERT(Transformer):
    """BERT with every option of bert4keras.

    Args:
        max_position: number of trained positions.
        segment_vocab_size: number of segment types; 0 removes the segment input.
        with_pool: output the pooled [CLS] vector; True is tanh, a name another activation.
        with_nsp: output the next-sentence probabilities (needs, and so makes, the pooler).
        with_mlm: output the masked-language-model head; True is probabilities, "linear" logits.
        hierarchical_position: see PositionEmbedding; positions beyond ``max_position``.
        custom_position_ids: take position ids as a third input.
        shared_segment_embeddings: look segments up in the word table.
        **kwargs: those of Transformer.

    Inputs: token ids, segment ids, (position ids), each int (batch, length). Token 0 is padding.

    Outputs: without a head the encoder's states (batch, length, hidden); with one head only that
    head; with both ``[pool or nsp, mlm]``. Heads end in float32 under mixed precision.

    Source: arXiv 1810.04805.
    """

    family = "bert"

    def __init__(
        self,
        max_position,
        segment_vocab_size=2,
        with_pool=False,
        with_nsp=False,
        with_mlm=False,
        hierarchical_position=None,
        custom_position_ids=False,
        shared_segment_embeddings=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_sizes(max_position=max_position, segment_vocab_size=segment_vocab_size or None)
        self.max_position = max_position
        self.segment_vocab_size = segment_vocab_size or 0
        self.with_pool = with_pool
        self.with_nsp = with_nsp
        self.with_mlm = with_mlm
        self.hierarchical_position = hierarchical_position
        self.custom_position_ids = custom_position_ids
        self.shared_segment_embeddings = shared_segment_embeddings
        if with_nsp and not with_pool:
            self.with_pool = True

    @classmethod
    def adapt_config(cls, config):
        kind = config.get("position_embedding_type", "absolute")
        if kind in ("relative_key", "relative_key_query"):
            raise ValueError(
                f"position_embedding_type={kind!r} (trained vectors of distances in the attention) "
                "is not supported: expected 'absolute'. Use a checkpoint with absolute positions"
            )
        return super().adapt_config(config)

    def get_inputs(self):
        names = ["Input-Token"]
        if self.segment_vocab_size > 0:
            names.append("Input-Segment")
        if self.custom_position_ids:
            names.append("Input-Position")
        return [self.apply_input(name) for name in names]

    def apply_embeddings(self, inputs):
        x = self.apply_token_embedding(self.split_inputs(inputs))
        if self.segments is not None:
            s = self.apply_segment_embedding(self.segments)
            x = self.apply([x, s], Add, name="Embedding-Token-Segment")
        x = self.apply_position_embedding(x)
        return self.finish_embeddings(x)

    def split_inputs(self, inputs):
        """Keeps tokens, segments and positions (or None) for later; returns the tokens."""
        rest = list(inputs)
        self.tokens = rest.pop(0)
        self.segments = rest.pop(0) if self.segment_vocab_size > 0 else None
        self.position_ids = rest.pop(0) if self.custom_position_ids else None
        return self.tokens

    def apply_position_embedding(self, x):
        """Adds the trained positions; families with relative ones return x."""
        reach = self.max_position**2 if self.hierarchical_position else self.max_position
        check_length_in_reach(self.sequence_length, reach)
        return self.apply(
            x,
            PositionEmbedding,
            arguments={"position_ids": self.position_ids},
            input_dim=self.max_position,
            output_dim=self.embedding_size,
            merge_mode="add",
            hierarchical=self.hierarchical_position,
            embeddings_initializer=self.initializer,
            custom_position_ids=self.custom_position_ids,
            name="Embedding-Position",
        )

    def finish_embeddings(self, x):
        x = self.apply_norm(x, "Embedding-Norm", self.embedding_norm_epsilon)
        x = self.apply_dropout(x, "Embedding-Dropout")
        return self.apply_embedding_mapping(x)

    def apply_embedding_mapping(self, x):
        if self.embedding_size == self.hidden_size:
            return x
        return self.apply_dense(x, self.hidden_size, "Embedding-Mapping")

    def apply_segment_embedding(self, segments):
        if self.shared_segment_embeddings:
            return self.apply_token_embedding(segments)
        return self.apply(
            segments,
            keras_layers.Embedding,
            input_dim=self.segment_vocab_size,
            output_dim=self.embedding_size,
            embeddings_initializer=self.initializer,
            name="Embedding-Segment",
        )

    def apply_final_layers(self, inputs):
        x = self.apply_norm(inputs, "Output-Norm") if self.pre_norm else inputs
        outputs = []
        if self.with_pool:
            outputs.append(self.apply_pooler(x))
        if self.with_mlm:
            outputs.append(self.apply_mlm(x))
        if not outputs:
            return x
        return outputs if len(outputs) > 1 else outputs[0]

    def apply_pooler(self, x):
        x = self.apply(x, FirstPooling1D, name="Pooler")
        activation = "tanh" if self.with_pool is True else self.with_pool
        x = self.apply_dense(x, self.hidden_size, "Pooler-Dense", activation)
        if not self.with_nsp:
            return x
        activation = "softmax" if self.with_nsp is True else self.with_nsp
        return self.apply_dense(x, 2, "NSP-Proba", activation, dtype="float32")

    def apply_mlm(self, x):
        x = self.apply_dense(x, self.embedding_size, "MLM-Dense", self._activation())
        x = self.apply_norm(x, "MLM-Norm", self.head_norm_epsilon)
        x = self.apply_token_embedding(x, mode="dense")
        x = self.apply(x, ScaleOffset, scale=False, name="MLM-Bias")
        activation = "softmax" if self.with_mlm is True else self.with_mlm
        return self.apply_activation(x, activation, "MLM-Activation")

    def _activation(self):
        """The activation of the MLM head: the first one where the feed-forward is gated."""
        names = self.hidden_act
        return names[0] if isinstance(names, (list, tuple)) else names

    @property
    def vocabulary_axes(self):
        return {**super().vocabulary_axes, "MLM-Bias/beta": 0}
