"""ELECTRA: its discriminator, and the generator that is trained together with it."""

from bert4keras_ext.checkpoints.names import bert
from bert4keras_ext.checkpoints.names.table import TENSORFLOW_LEFTOVERS
from bert4keras_ext.checkpoints.transforms import TRANSPOSE

_NO_POOLER = (r"(Pooler|NSP)-.*",)

# A checkpoint of the training holds both networks; each passes over the other.
TENSORFLOW = bert.TENSORFLOW.derived(
    "electra",
    replace=(
        ("bert/encoder/embedding_hidden_mapping_in", "electra/embeddings_project"),
        ("bert/", "electra/"),
    ),
    without=(*_NO_POOLER, r"MLM-.*"),
    more={
        "Discriminator-Dense/kernel|bias": "discriminator_predictions/dense/kernel|bias",
        "Discriminator-Prediction/kernel|bias": "discriminator_predictions/dense_1/kernel|bias",
    },
    bases=("electra/",),
    ignorable=(*TENSORFLOW_LEFTOVERS, r"generator(_predictions)?/.*"),
)

_EMBEDDINGS = (
    "word_embeddings", "token_type_embeddings", "position_embeddings", "LayerNorm/beta",
    "LayerNorm/gamma",
)  # fmt: skip
TENSORFLOW_GENERATOR = bert.TENSORFLOW.derived(
    "electra_generator",
    replace=(
        ("bert/encoder/embedding_hidden_mapping_in", "generator/embeddings_project"),
        ("bert/", "generator/"),
        ("cls/predictions/transform/", "generator_predictions/"),
        ("cls/predictions/", "generator_predictions/"),
    ),
    without=_NO_POOLER,
    bases=("generator/", "electra/"),
    # Most were trained with the discriminator's embeddings.
    spellings=[(f"generator/embeddings/{x}", f"electra/embeddings/{x}") for x in _EMBEDDINGS],
    ignorable=(*TENSORFLOW_LEFTOVERS, r"electra/.*", r"discriminator_predictions/.*"),
)

HUGGING_FACE = bert.HUGGING_FACE.derived(
    "electra",
    replace=(
        ("bert.encoder.embedding_hidden_mapping_in", "electra.embeddings_project"),
        ("bert.", "electra."),
        ("cls.predictions.transform.", "generator_predictions."),
        ("cls.predictions.", "generator_lm_head."),
    ),
    without=_NO_POOLER,
    more={
        "Discriminator-Dense/kernel|bias": (
            "discriminator_predictions.dense.weight|bias",
            TRANSPOSE,
        ),
        "Discriminator-Prediction/kernel|bias": (
            "discriminator_predictions.dense_prediction.weight|bias",
            TRANSPOSE,
        ),
    },
    bases=("electra.", "", "backbone."),  # the last in models for tasks, such as LTP's
    spellings=(("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")),
    ignorable=(
        r"(.*\.)?position_ids",
        r"(.*\.)?embeddings\.token_type_ids",
        # The output table is the token table again; the model ties them.
        r"(.*\.)?generator_lm_head\.weight",
    ),
)

HUGGING_FACE_GENERATOR = HUGGING_FACE.derived("electra_generator", without=(r"Discriminator-.*",))

TABLES = (TENSORFLOW, HUGGING_FACE, TENSORFLOW_GENERATOR, HUGGING_FACE_GENERATOR)
