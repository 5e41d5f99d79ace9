"""A tiny config of every model family, and what the tests of all families need."""

import numpy as np

from bert4keras_ext.models import build_transformer_model

BASE = dict(
    vocab_size=40,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=24,
    hidden_act="gelu",
    hidden_dropout_prob=0.1,
    attention_probs_dropout_prob=0.1,
    max_position_embeddings=24,
    type_vocab_size=2,
)
T5 = dict(attention_head_size=8, with_lm="linear")
# model name -> what its config has besides BASE. With the language-model head where there is one.
FAMILIES = {
    "bert": dict(with_mlm="linear"),
    "albert": dict(embedding_size=12, with_mlm="linear"),
    "albert_unshared": dict(embedding_size=12, with_mlm="linear"),
    "nezha": dict(with_mlm="linear"),
    "roformer": dict(embedding_size=12, with_mlm="linear"),
    "roformer_v2": dict(hidden_act="relu", with_mlm="linear"),
    "electra": dict(embedding_size=12, with_discriminator="linear"),
    "ernie": dict(use_task_id=True, task_type_vocab_size=3, with_mlm="linear"),
    "gpt": dict(final_activation="linear"),
    "gpt2": dict(final_activation="linear"),
    "gpt2_ml": dict(final_activation="linear"),
    "t5.1.0": dict(hidden_act="relu", **T5),
    "t5.1.1": dict(hidden_act=["gelu", "linear"], **T5),
    "mt5.1.1": dict(hidden_act=["gelu", "linear"], **T5),
    "t5.1.1_encoder": dict(hidden_act=["gelu", "linear"], attention_head_size=8),
    "gau_alpha": dict(hidden_act="swish", num_attention_heads=1, attention_key_size=8,
                      with_mlm="linear"),
    "deberta_v2": dict(relative_attention=True, pos_att_type=["c2p", "p2c"], position_buckets=6,
                       max_relative_positions=-1, norm_rel_ebd="layer_norm",
                       position_biased_input=False, share_att_key=True, conv_kernel_size=3,
                       conv_act="gelu", with_mlm="linear"),
    "modernbert": dict(local_attention=4, global_attn_every_n_layers=2, global_rope_theta=160000.0,
                       local_rope_theta=10000.0, with_mlm="linear"),
}  # fmt: skip


def build(model, **kwargs):
    """The builder of a tiny model; dropout and sizes as above."""
    return build_transformer_model(
        {**BASE, **FAMILIES[model]}, model=model, return_keras_model=False, **kwargs
    )


def randomize(builder, seed=0):
    """Draws every weight again, so that none is without effect."""
    rng = np.random.default_rng(seed)
    for variable in builder.named_weights().values():
        if variable.trainable:
            variable.assign(variable.numpy() + rng.normal(0, 0.3, variable.shape))


def inputs_of(builder, rows=4, length=8, seed=0):
    """A batch for any family: tokens that end in padding, segments, and what else it takes."""
    rng = np.random.default_rng(seed)
    arrays = []
    for tensor in builder.model.inputs:
        values = rng.integers(4, builder.vocab_size, (rows, length))
        values[1::2, -2:] = 0
        if "Segment" in tensor.name:
            values = np.tile((np.arange(length) > length // 2).astype("int64"), (rows, 1))
        elif "Position" in tensor.name:
            values = np.tile(np.arange(length), (rows, 1))
        elif "Task" in tensor.name:
            values = np.full((rows, length), 1)
        arrays.append(values)
    return arrays


def predict(builder, arrays):
    found = builder.model.predict_on_batch(arrays if len(arrays) > 1 else arrays[0])
    return found if isinstance(found, list) else [found]
