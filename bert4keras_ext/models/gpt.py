"""GPT, GPT-2 and GPT2_ML: Transformers that read from left to right and predict the next token."""

from bert4keras_ext.layers import Add
from bert4keras_ext.models.bert import BERT
from bert4keras_ext.models.config import RENAMES
from bert4keras_ext.models.gpt_config import (
    ACTIVATIONS,
    HUGGING_FACE_KEYS,
    check_supported,
    hugging_face_settings,
)
from bert4keras_ext.models.masks import LMMixin


class GPT(BERT):
    """GPT: BERT with a causal mask, without a norm of the embeddings, with a tied output table.

    Args:
        with_lm: True for the probabilities of the next token; the name of another activation
            ("linear" for logits); or False for the states, to use the model as an encoder.
        final_activation: of the language-model head where ``with_lm`` is True.
        attention_scale: divide scores by the root of the key size.
        mask_zero: token 0 is padding; False where it is a token like any other, as "!" is in
            OpenAI's GPT-2. (Padding on the right never matters at real tokens of a causal model.)
        tie_word_embeddings: the output table is the token table; False gives it its own.
        with_mlm: ``with_lm`` as BERT calls it; what ``application="lm"`` sets.
        **kwargs: those of BERT without its heads, and of Transformer.

    Inputs: token ids, segment ids (unless ``segment_vocab_size`` is 0), position ids (with
    ``custom_position_ids``), each int (batch, length).

    Outputs: (batch, length, vocab_size), float32 in every precision; without the head the states
    (batch, length, hidden_size).

    Masks: token 0 is padding, but never at the first place. Batches padded on the left therefore
    need ``custom_position_ids`` with positions counted from the first real token on: where the
    position does not grow from a 0 to what follows, that 0 is padding at the first place too.

    With ``application="unilm"`` the segment ids make the mask instead.

    Raises:
        ValueError: for BERT's heads, and for configs that compute something else (see
            ``adapt_config``).

    Example:

    >>> from bert4keras_ext.models import build_transformer_model
    >>> config = dict(vocab_size=100, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
    ...               intermediate_size=32, hidden_act="gelu", segment_vocab_size=0)
    >>> build_transformer_model(config, model="gpt", with_lm="linear").output.shape
    (None, None, 100)

    Source: Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training".
    The names of layers are bert4keras', whose GPT CDial-GPT uses.
    """

    family = "gpt"
    config_keys = {**RENAMES, **HUGGING_FACE_KEYS}
    activation_key = "afn"
    activations = {**ACTIVATIONS, "gelu": "gelu_tanh"}  # OpenAI's, whatever the name says

    def __init__(
        self,
        max_position,
        with_lm=None,
        final_activation="softmax",
        attention_scale=True,
        mask_zero=True,
        tie_word_embeddings=True,
        with_mlm=None,
        **kwargs,
    ):
        _check_no_bert_heads(type(self).__name__, kwargs)
        super().__init__(max_position=max_position, **kwargs)
        asked = with_mlm if with_lm is None else with_lm
        self.with_lm = True if asked is None else asked
        self.final_activation = final_activation if self.with_lm is True else self.with_lm
        self.attention_scale = attention_scale
        self.mask_zero = mask_zero
        self.tie_word_embeddings = tie_word_embeddings
        self._check_table_fits_states()

    def _check_table_fits_states(self):
        tied = self.with_lm and self.tie_word_embeddings
        if tied and self.embedding_size != self.hidden_size:
            raise ValueError(
                "the output table is the token table: expected embedding_size == hidden_size, "
                f"found {self.embedding_size} and {self.hidden_size}; make them equal, or pass "
                "with_lm=False or tie_word_embeddings=False"
            )

    @classmethod
    def adapt_config(cls, config):
        """As Transformer's, and understands Hugging Face's config.json (``n_embd`` ...).

        Raises:
            ValueError: for options of theirs that this model does not compute.
        """
        check_supported(config)
        known = super().adapt_config(config)
        if config.get(cls.activation_key) is not None:
            known.setdefault("hidden_act", cls._activation_of(config[cls.activation_key]))
        if "n_embd" in config:
            known = {**hugging_face_settings(config), **known}
        if known.get("shared_segment_embeddings") and not config.get("n_embd"):
            known.setdefault("segment_vocab_size", 2)  # it asks for the input
        return known

    @classmethod
    def _activation_of(cls, name):
        if name not in cls.activations:
            raise ValueError(
                f"config has {cls.activation_key}={name!r}; expected one of "
                f"{sorted(cls.activations)}, or give the activation as hidden_act"
            )
        return cls.activations[name]

    # The lower triangle; a mix-in for application="unilm" comes before it.
    compute_attention_bias = LMMixin.compute_attention_bias

    def finish_embeddings(self, x):
        x = self.apply_dropout(x, "Embedding-Dropout")
        return self.apply_embedding_mapping(x)

    def apply_final_layers(self, inputs):
        x = self.apply_norm(inputs, "Output-Norm") if self.pre_norm else inputs
        return self.apply_lm(x)

    def apply_lm(self, x):
        """The language-model head, where there is one."""
        if not self.with_lm:
            return x
        if self.tie_word_embeddings:
            x = self.apply_token_embedding(x, mode="dense")
        else:
            x = self.apply_dense(x, self.vocab_size, "LM-Dense", use_bias=False)
        return self.apply_activation(x, self.final_activation, "LM-Activation")

    @property
    def vocabulary_axes(self):
        return {"Embedding-Token/embeddings": 0, "LM-Dense/kernel": 1}


class GPT2(GPT):
    """GPT-2: norms before the blocks and one after the last; no segments.

    Args:
        **kwargs: those of GPT. Only ``shared_segment_embeddings=True`` gives it segment ids (looked
            up in the token table, as CDial-GPT2 uses them).

    Inputs, outputs and masks: as GPT's, without segment ids.

    Example:

    >>> from bert4keras_ext.models import build_transformer_model
    >>> config = dict(vocab_size=100, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
    ...               intermediate_size=32, hidden_act="gelu")
    >>> build_transformer_model(config, model="gpt2", with_lm=False).output.shape
    (None, None, 16)

    Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners". CPM-LM is
    one; so is every ``gpt2`` of Hugging Face.
    """

    family = "gpt2"
    applications = ("encoder", "lm")
    pre_norm = True
    layer_norm_epsilon = 1e-5
    activation_key = "activation_function"
    activations = {**ACTIVATIONS, "gelu": "gelu_erf"}

    def __init__(self, max_position, shared_segment_embeddings=False, **kwargs):
        if not shared_segment_embeddings:
            kwargs["segment_vocab_size"] = 0
        super().__init__(
            max_position=max_position,
            shared_segment_embeddings=shared_segment_embeddings,
            **kwargs,
        )

    def finish_embeddings(self, x):
        return self.apply_embedding_mapping(x)

    def apply_main_layers(self, inputs, index):
        self.compute_attention_bias(index)  # bert4keras makes the mask before the first norm
        return super().apply_main_layers(inputs, index)

    def apply_final_layers(self, inputs):
        x = self.apply_norm(inputs, "Output-Norm") if self.pre_norm else inputs
        x = self.apply_dropout(x, "Output-Dropout")
        return self.apply_lm(x)


class GPT2_ML(GPT):
    """GPT2_ML: attention without a norm of its own, two norms around the feed-forward.

    ``h = x + attention(x)`` and ``y = Norm(h + FFN(Norm(h)))``.

    Args:
        **kwargs: those of GPT; there are no segments, and ``pre_norm`` does not apply.

    Inputs, outputs and masks: as GPT's, without segment ids.

    Raises:
        ValueError: for ``pre_norm=True``, and where GPT does.

    Example:

    >>> from bert4keras_ext.models import build_transformer_model
    >>> config = dict(vocab_size=100, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
    ...               intermediate_size=32, hidden_act="gelu")
    >>> build_transformer_model(config, model="gpt2_ml").output.shape
    (None, None, 100)

    Source: https://github.com/imcaspar/gpt2-ml (the architecture of Grover, arXiv 1905.12616).
    """

    family = "gpt2_ml"
    applications = ("encoder", "lm")
    embedding_norm_epsilon = 1e-5
    layer_norm_epsilon = 1e-5

    def __init__(self, max_position, **kwargs):
        if kwargs.get("pre_norm"):
            raise ValueError(
                "GPT2_ML has its own order of norms: expected no pre_norm, received "
                f"{kwargs['pre_norm']!r}; model='gpt2' is the one with norms before the blocks"
            )
        kwargs["segment_vocab_size"] = 0
        super().__init__(max_position=max_position, **kwargs)

    def finish_embeddings(self, x):
        x = self.apply_norm(x, "Embedding-Norm", self.embedding_norm_epsilon)
        return self.apply_embedding_mapping(x)

    def apply_main_layers(self, inputs, index):
        name = f"{self.block_name(index)}-MultiHeadSelfAttention"
        x = self.apply_self_attention(inputs, name, index)
        inputs = self._add(inputs, x, name)
        name = f"{self.block_name(index)}-FeedForward"
        x = self.apply_norm(inputs, f"{name}-Norm-0")
        x = self.apply_feed_forward(x, name, index)
        return self.apply_norm(self._add(inputs, x, name), f"{name}-Norm-1")

    def _add(self, inputs, x, name):
        x = self.apply_dropout(x, f"{name}-Dropout")
        return self.apply([inputs, x], Add, name=f"{name}-Add")


def _check_no_bert_heads(name, arguments):
    for key in ("with_pool", "with_nsp"):
        if arguments.get(key):
            raise ValueError(
                f"{name} has no pooler: expected no {key}, received {arguments[key]!r}; "
                "with_lm=False gives the states to build a head on"
            )
