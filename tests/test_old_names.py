"""bert4keras' names that are not here say what to use, in the line that imports them."""

import importlib
import re

import keras
import pytest

import bert4keras_ext
from bert4keras_ext._old_names import OLD_NAMES

# Every name of bert4keras 0.11.5 and its earlier versions that scripts import.
NAMES = {
    "backend": """keras K get_available_gpus gelu_erf gelu_tanh set_gelu piecewise_linear
        search_layer align reshape flatten dtype where sequence_masking batch_gather pool1d
        divisible_temporal_padding root_mean_square swish leaky_relu attention_normalize
        sinusoidal_embeddings Sinusoidal apply_rotary_position_embeddings
        multilabel_categorical_crossentropy sparse_multilabel_categorical_crossentropy symbolic
        graph_mode_decorator recompute_grad set_infinity infinity get_gelu add_seq_mask is_tf_keras
        tf""",
    "layers": """Embedding ScaleOffset LayerNormalization MultiHeadAttention GatedAttentionUnit
        PositionEmbedding SinusoidalPositionEmbedding RelativePositionEmbedding
        RelativePositionEmbeddingT5 FeedForward ConditionalRandomField MaximumEntropyMarkovModel
        GlobalPointer EfficientGlobalPointer Concatenate1D BatchSplit BatchConcat Loss
        GlobalAveragePooling1D GlobalMaxPooling1D Layer EmbeddingDense BiasAdd Scale
        FactorizedEmbedding GroupDense ZeroMasking keras K Lambda Dense Dropout Input""",
    "models": """Transformer BERT ALBERT ALBERT_Unshared NEZHA RoFormer RoFormerV2 ELECTRA GPT GPT2
        GPT2_ML T5_Base T5_Encoder T5_Decoder T5 extend_with_language_model
        extend_with_unified_language_model build_transformer_model data_parallel build_bert_model
        load_pretrained_model GPT_OpenAI extend_with_parallel_unified_language_model keras K Model
        Sequential""",
    "optimizers": """Adam Lion AdaFactor LAMB extend_with_weight_decay extend_with_layer_adaptation
        extend_with_piecewise_linear_lr extend_with_gradient_accumulation extend_with_lookahead
        extend_with_lazy_optimization extend_with_exponential_moving_average
        extend_with_parameter_wise_lr extend_with_gradient_centralization GradientAccumulation
        ExponentialMovingAverage PiecewiseLinearLearningRate OptimizerWrapper
        add_weight_decay_into extend_with_weight_decay_v2 keras K AdamW""",
    "snippets": """to_array is_string strQ2B string_matching convert_to_unicode convert_to_str
        lowercase_and_normalize open parallel_apply_generator parallel_apply sequence_padding
        truncate_sequences text_segmentate is_one_of DataGenerator ViterbiDecoder softmax
        AutoRegressiveDecoder insert_arguments delete_arguments longest_common_substring
        longest_common_subsequence orthogonally_resize WebServing uniout BeamSearch Progress
        groupby get_all_attributes""",
    "tokenizers": """load_vocab save_vocab TokenizerBase Tokenizer SpTokenizer SimpleTokenizer
        BasicTokenizer SpmTokenizer""",
}
PAIRS = [(package, name) for package, names in NAMES.items() for name in names.split()]


def try_import(package, name):
    """The object, or the message of the one line that scripts have."""
    scope = {}
    try:
        exec(f"from bert4keras_ext.{package} import {name}", scope)
    except ImportError as error:
        return str(error)
    return scope[name]


@pytest.mark.parametrize("package, name", PAIRS)
def test_a_name_is_here_or_says_what_to_use(package, name):
    found = try_import(package, name)
    if isinstance(found, str):
        assert re.fullmatch(rf"bert4keras_ext.{package} has no {name}, use instead: .+", found)
        assert "\n" not in found


def test_names_of_earlier_modules():
    for name in ("bert", "utils", "train", "tokenizer"):
        with pytest.raises(ImportError, match=f"has no {name}, use instead: bert4keras_ext"):
            exec(f"from bert4keras_ext import {name}")


@pytest.mark.parametrize("package", OLD_NAMES)
def test_advice_leads_somewhere(package):
    module = importlib.import_module(f"bert4keras_ext.{package}".rstrip("."))
    for name, advice in OLD_NAMES[package].items():
        assert name not in vars(module), "it is here now: take it out of the table"
        for path in re.findall(r"\b(?:keras|backend|layers|models|optimizers|snippets|tokenizers|"
                               r"training)(?:\.\w+)+", advice):  # fmt: skip
            found = keras if path.startswith("keras.") else bert4keras_ext
            for part in path.split(".")[path.startswith("keras.") :]:
                if not hasattr(found, part):  # such as the snippets, which nothing imports
                    importlib.import_module(f"{found.__name__}.{part}")
                found = getattr(found, part)


def test_other_names_fail_as_everywhere():
    for package in NAMES:
        module = importlib.import_module(f"bert4keras_ext.{package}")
        assert not hasattr(module, "no_such_name") and getattr(module, "__wrapped__", 1) == 1
        with pytest.raises(ImportError, match="cannot import name 'no_such_name'"):
            exec(f"from bert4keras_ext.{package} import no_such_name")
