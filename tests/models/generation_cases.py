"""Models that generate: every family and option, and what the plain model itself would write."""

import keras
import numpy as np
from keras import ops

from bert4keras_ext.generation.last_token import last_token
from tests.models.families import build

LM, UNILM = dict(application="lm"), dict(application="unilm")
HEAD = dict(with_mlm="linear")
ROBERTA = dict(num_attention_heads=2, max_position_embeddings=100, hidden_act="gelu", **HEAD)
DEBERTA = dict(conv_kernel_size=0)
SHORT_WINDOW = dict(max_position_embeddings=10, hierarchical_position=True)
SIZES = dict(attention_head_size=6, attention_key_size=4)
T5_POSITIONS = dict(relative_attention_num_buckets=8, relative_attention_max_distance=16)

# name -> (model, keywords). "bert-lm" and the like first, then the options.
CASES = {
    **{
        f"{model}-{kwargs['application']}": (model, kwargs)
        for model in ("bert", "albert", "albert_unshared", "nezha", "roformer", "roformer_v2",
                      "gau_alpha", "ernie")
        for kwargs in (LM, UNILM)
    },
    "deberta_v2-lm": ("deberta_v2", {**LM, **DEBERTA}),
    "deberta_v2-unilm": ("deberta_v2", {**UNILM, **DEBERTA, "segment_vocab_size": 2}),
    "xlm_roberta-lm": ("xlm_roberta", {**LM, "type_vocab_size": 1}),
    "xlm_roberta-unilm": ("xlm_roberta", UNILM),
    "modernbert-lm": ("modernbert", LM),
    "gpt": ("gpt", {}),
    "gpt-unilm": ("gpt", {**UNILM, "with_lm": "linear"}),
    "gpt2": ("gpt2", {}),
    "gpt2_ml": ("gpt2_ml", {}),
    "t5.1.0": ("t5.1.0", T5_POSITIONS),
    "t5.1.1": ("t5.1.1", T5_POSITIONS),
    "mt5.1.1": ("mt5.1.1", {}),
    # options of positions
    "bert-hierarchical": ("bert", {**UNILM, **SHORT_WINDOW}),
    "gpt2-hierarchical": ("gpt2", SHORT_WINDOW),
    "bert-positions": ("bert", {**LM, "custom_position_ids": True}),
    "nezha-positions": ("nezha", {**UNILM, "custom_position_ids": True}),
    "roformer-positions": ("roformer", {**UNILM, "custom_position_ids": True}),
    "gpt-positions": ("gpt", dict(custom_position_ids=True)),
    "gpt2-positions": ("gpt2", dict(custom_position_ids=True)),
    "modernbert-positions": ("modernbert", {**LM, "custom_position_ids": True}),
    "xlm_roberta-positions": ("xlm_roberta", {**LM, "custom_position_ids": True}),
    "deberta_v2-positions": ("deberta_v2", {**LM, **DEBERTA, "custom_position_ids": True}),
    "roformer-value": ("roformer", {**LM, "rotary_value": True}),
    "roformer-linear": ("roformer", {**LM, "rotary_scaling": {"type": "linear", "factor": 4.0}}),
    "roformer-yarn": ("roformer", {**UNILM, "rotary_scaling": {
        "type": "yarn", "factor": 4.0, "original_max_position": 8}}),
    "nezha-far": ("nezha", {**LM, "max_relative_position": 4}),
    "t5.1.1-encoder-blind": ("t5.1.1", dict(cross_position_bias=False, **T5_POSITIONS)),
    "t5.1.0-unscaled": ("t5.1.0", dict(scale_outputs=False, **T5_POSITIONS)),
    "t5.1.0-deeper-decoder": ("t5.1.0", dict(num_decoder_layers=3, scale_outputs="head")),
    # options of attention
    "deberta_v2-c2p": ("deberta_v2", {**LM, **DEBERTA, "pos_att_type": ["c2p"]}),
    "deberta_v2-p2c": ("deberta_v2", {**LM, **DEBERTA, "pos_att_type": ["p2c"],
                                      "share_att_key": False, "position_buckets": -1}),
    "deberta_v2-absolute": ("deberta_v2", {**LM, **DEBERTA, "position_biased_input": True,
                                           "norm_rel_ebd": "none", "max_relative_positions": 12}),
    "deberta_v2-alone": ("deberta_v2", {**LM, **DEBERTA, "relative_attention": False,
                                        "position_biased_input": True}),
    "modernbert-wide": ("modernbert", {**LM, "local_attention": 16, "num_hidden_layers": 3,
                                       "global_attn_every_n_layers": 3}),
    "albert-groups": ("albert", {**UNILM, "num_hidden_layers": 4, "num_hidden_groups": 2,
                                 "inner_group_num": 2}),
    "bert-residual": ("bert", {**UNILM, "residual_attention_scores": True}),
    "nezha-residual": ("nezha", {**LM, "residual_attention_scores": True}),
    "roformer-residual": ("roformer", {**LM, "residual_attention_scores": True}),
    "gau_alpha-residual": ("gau_alpha", {**LM, "residual_attention_scores": True}),
    "deberta_v2-residual": ("deberta_v2", {**LM, **DEBERTA, "residual_attention_scores": True}),
    "modernbert-residual": ("modernbert", {**LM, "residual_attention_scores": True}),
    "t5.1.1-residual": ("t5.1.1", dict(residual_attention_scores=True, **T5_POSITIONS)),
    **{
        f"{model}-{normalization}": (model, {**kwargs, "attention_normalization": normalization})
        for model, kwargs in (("bert", UNILM), ("roformer", LM), ("gau_alpha", UNILM),
                              ("t5.1.1", {}), ("deberta_v2", {**LM, **DEBERTA}), ("gpt2", {}),
                              ("modernbert", LM), ("nezha", LM))
        for normalization in ("softmax_plus", "squared_relu")
    },
    "gau_alpha-softmax": ("gau_alpha", {**LM, "attention_normalization": "softmax"}),
    **{
        f"{model}-sizes": (model, {**kwargs, **SIZES})
        for model, kwargs in (("bert", LM), ("nezha", UNILM), ("roformer", UNILM), ("t5.1.1", {}))
    },
    # other options
    "bert-shared-segments": ("bert", {**UNILM, "shared_segment_embeddings": True}),
    "bert-pre-norm": ("bert", {**LM, "pre_norm": True}),
    "roformer-pre-norm": ("roformer", {**UNILM, "pre_norm": True}),
    "bert-keep-tokens": ("bert", {**UNILM, "keep_tokens": [0, *range(39, 9, -1)],
                                  "compound_tokens": [[4, 5], [6]]}),
    "bert-padding-elsewhere": ("bert", {**LM, "keep_tokens": [*range(20, 39), 0, 1, 2, 3]}),
    "t5.1.1-keep-tokens": ("t5.1.1", dict(keep_tokens=[0, *range(39, 9, -1)])),
    "gpt2-keep-tokens": ("gpt2", dict(keep_tokens=[0, *range(39, 9, -1)])),
    "bert-probabilities": ("bert", {**UNILM, "with_mlm": True}),
    "gpt-probabilities": ("gpt", dict(final_activation="softmax")),
    "t5.1.1-probabilities": ("t5.1.1", dict(with_lm=True)),
    "t5.1.0-probabilities": ("t5.1.0", dict(with_lm=True)),
    "bert-no-segments": ("bert", {**LM, "type_vocab_size": 0}),
    "gpt2-prefix": ("gpt2", dict(prefix="My-")),
    "t5.1.1-prefix": ("t5.1.1", dict(prefix="My-")),
}  # fmt: skip


def builder_of(name, seed=0, **more):
    """A model of CASES, whose texts vary and whose every weight matters."""
    model, kwargs = CASES[name]
    extra = ROBERTA if model == "xlm_roberta" else {}
    builder = _built(model, {"max_position_embeddings": 96, **extra, **kwargs, **more})
    spread(builder.model, seed)
    return builder


def _built(model, kwargs):
    if model != "xlm_roberta":
        return build(model, **kwargs)
    from bert4keras_ext.models import build_transformer_model
    from tests.models.families import BASE

    return build_transformer_model({**BASE}, model=model, return_keras_model=False, **kwargs)


def spread(model, seed=0):
    """Moves every weight, those of the word table most, so that texts are not one token again
    and again."""
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        size = 1.0 if variable.path.endswith("embeddings") else 0.3
        variable.assign(variable + rng.normal(0, size, variable.shape))


def prompts_of(builder, count=3, seed=0):
    """Rows of different lengths, without the id of padding."""
    rng = np.random.default_rng(seed)
    ids = [i for i in range(3, builder.vocab_size) if i != builder.pad_token_id]
    return [rng.choice(ids, length).tolist() for length in (5, 2, 9, 4, 7)[:count]]


class Steered:
    """A processor that makes texts vary: it adds numbers of its own at each step.

    Without it a tiny random model with a tied output table repeats a token. The id that the plain
    model takes for padding gets -inf, since generated tokens never are padding. ``seen`` keeps the
    scores before that: an array (steps, rows, width, vocabulary).
    """

    def __init__(self, builder, steps, rows, width=1, seed=0, scale=6.0):
        size, padding = builder.vocab_size, builder.pad_token_id
        table = np.random.default_rng(seed).normal(0, scale, (steps, size)).astype("float32")
        table[:, 0 if padding is None or padding < 0 else padding] = -np.inf
        self.table = table
        self.seen = keras.Variable(np.zeros((steps, rows, width, size), "float32"))

    def __call__(self, scores, generated):
        start = (generated.length, 0, 0, 0)
        self.seen.assign(ops.slice_update(self.seen.value, start, scores[None]))
        return scores + ops.take(self.table, generated.length, axis=0)


def plain_logits(builder, prompt, generated, segments=None, positions=None):
    """What the plain model says after the prompt and each of the tokens that follow it.

    It is called on the growing text, one row without padding: (len(generated) + 1, vocabulary).
    """
    predictor, found = last_token(builder.model), []
    for count in range(len(generated) + 1):
        inputs = plain_inputs(builder, prompt, generated[:count], segments, positions)
        found.append(predictor.predict(inputs)[0])
    return np.array(found)


def plain_inputs(builder, prompt, new, segments=None, positions=None):
    """The model's inputs for one row, as the builder's families take them."""
    text = [*prompt, *new]
    inputs = []
    for tensor in builder.model.inputs:
        if tensor.name.endswith("Encoder-Input-Token"):
            values = prompt
        elif tensor.name.endswith("Decoder-Input-Token"):
            values = [0, *new]
        elif tensor.name.endswith("Input-Token"):
            values = text
        elif tensor.name.endswith("Input-Segment"):
            own = segments or [0] * len(prompt)
            is_unilm = any("UniLM" in layer.name for layer in builder.model.layers)
            values = own + [1 if is_unilm else own[-1]] * len(new)
        elif tensor.name.endswith("Input-Position"):
            own = positions or list(range(len(prompt)))
            values = own + [own[-1] + 1 + i for i in range(len(new))]
        else:  # ERNIE's task
            values = [0] * len(text)
        inputs.append(np.array([values]))
    return inputs if len(inputs) > 1 else inputs[0]


def logs(scores):
    """Log-softmax in float64."""
    scores = scores.astype("float64")
    scores = scores - scores.max(-1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(-1, keepdims=True))


def is_varied(texts):
    """Whether texts have several different tokens each."""
    return min(len(set(text)) for text in texts) > 3
