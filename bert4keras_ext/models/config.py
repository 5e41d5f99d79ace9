"""From what users have (a JSON file, a dict, a folder) to the builder's keyword arguments."""

import difflib
import inspect
import json
import os
from pathlib import Path

# Keys of config files -> our keywords.
RENAMES = {
    "max_position_embeddings": "max_position",
    "hidden_dropout_prob": "dropout_rate",
    "attention_probs_dropout_prob": "attention_dropout_rate",
    "type_vocab_size": "segment_vocab_size",
}
# Keys of published configs that mean nothing to a builder that does not know them. As keywords they
# are passed over where the keywords are the whole config: it is as welcome as in a dict or a file.
FOREIGN_KEYS = frozenset(
    # Google's Chinese BERT, and all that were trained on from it
    "directionality pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers "
    "pooler_size_per_head pooler_type initializer_range "
    # Hugging Face's, of many families
    "_attn_implementation _name_or_path add_cross_attention architectures bos_token_id "
    "chunk_size_feed_forward classifier_activation cross_attention_hidden_size "
    "classifier_bias classifier_dropout classifier_dropout_prob classifier_pooling cls_token_id "
    "decoder_start_token_id deterministic_flash_attn dtype embd_pdrop eos_token_id "
    "finetuning_task gradient_checkpointing id2label initializer_cutoff_factor "
    "initializer_factor is_encoder_decoder label2id mask_token_id n_ctx n_special num_labels "
    "pruned_heads tf_legacy_loss tie_encoder_decoder use_bfloat16 "
    "output_attentions output_hidden_states output_past problem_type reference_compile "
    "repad_logits_with_grad reorder_and_upcast_attn return_dict sep_token_id "
    "sparse_pred_ignore_index sparse_prediction summary_activation summary_first_dropout "
    "summary_last_dropout summary_proj_to_labels summary_type summary_use_proj "
    "task_specific_params tokenizer_class torch_dtype torchscript transformers_version use_cache "
    # one family's, found in the configs of others
    "attention_bias attention_dropout down_scale_factor gap_size net_structure_type "
    "num_memory_blocks position_embedding_type sent_type_vocab_size task_type_vocab_size "
    "tie_word_embeddings use_relative_position".split()
)
# What build_transformer_model itself takes, and reads of a config.
FUNCTION_KEYWORDS = (
    "config_path", "checkpoint_path", "model", "application", "return_keras_model",
)  # fmt: skip
FUNCTION_KEYS = frozenset(["model_type", "is_decoder"])
# Keywords of earlier bert4keras -> what to write instead.
OLD_KEYWORDS = {
    "keep_words": "keep_tokens=",
    "albert": "model='albert'",
    "seq2seq": "application='unilm'",
    "config_file": "config_path=",
    "checkpoint_file": "checkpoint_path=",
    "with_probas": "with_mlm=",
}
FOLDER_NAMES = ("config.json", "bert_config.json")  # Hugging Face's, Google's
DEFAULTS = {"max_position": 512, "segment_vocab_size": 2}
REQUIRED = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
)


def read_config(source):
    """A config dict from a JSON path, a folder with one in it, a dict, or None (empty).

    Raises:
        FileNotFoundError: no such file, or no config.json in the folder.
        ValueError: the file is not a JSON object.
        TypeError: ``source`` is none of these.
    """
    if source is None:
        return {}
    if isinstance(source, dict):
        return dict(source)
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(
            "config_path expects a path to a JSON file, a folder with config.json, or a dict; "
            f"received {type(source).__name__}"
        )
    path = Path(source)
    if path.is_dir():
        path = next((path / n for n in FOLDER_NAMES if (path / n).is_file()), path / "config.json")
    if not path.is_file():
        raise FileNotFoundError(
            f"no config at {path}: expected a JSON file (bert_config.json), a folder that holds "
            f"one of {list(FOLDER_NAMES)}, or a dict"
        )
    return _parse(path)


def _parse(path):
    try:
        config = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, nested without end
        raise ValueError(
            f"{path} is not a JSON file: {error}; expected an object such as "
            '{"vocab_size": 21128, ...}: pass the config.json that came with the model'
        ) from error
    if not isinstance(config, dict):
        raise ValueError(f"{path} holds a JSON {type(config).__name__}, expected an object")
    return config


class KeysRead(dict):
    """A config that remembers in ``read`` which of its keys were asked for by name."""

    def __init__(self, config):
        super().__init__(config)
        self.read = set()

    def __getitem__(self, key):
        self.read.add(key)
        return super().__getitem__(key)

    def __contains__(self, key):
        self.read.add(key)
        return super().__contains__(key)

    def get(self, key, default=None):
        return self[key] if key in self else default


def builder_arguments(cls, config, keywords, build_keywords, source):
    """The builder's keyword arguments: the file's keys renamed, with the caller's on top.

    Args:
        cls: the builder class.
        config: dict, the file's.
        keywords: dict, the caller's.
        build_keywords: names that go to ``build``.
        source: where the config is from; None says that the keywords are all of it.

    Returns:
        A dict. Its ``foreign_keys`` are those that the builder may pass over: whatever comes from
        a file. Of the caller's keywords all others have to reach someone, see ``check_leftovers``.
    """
    defaults = {**DEFAULTS, **cls.config_defaults}
    asked = KeysRead(keywords)
    adapted = cls.adapt_config(asked)
    arguments = {**defaults, **cls.adapt_config(config), **adapted}
    excused = asked.read | FUNCTION_KEYS | (FOREIGN_KEYS if source is None else set())
    unknown = arguments.keys() - keywords_of(cls, "__init__") - set(build_keywords)
    wrong = {
        key
        for key in (unknown & keywords.keys()) - excused
        if not _makes_a_difference(cls, key, keywords[key])
    }
    check_required(cls, arguments, wrong, source)
    # Only if there are any: a builder without **kwargs is none the worse for this.
    return {**arguments, "foreign_keys": unknown - wrong} if unknown else arguments


def _makes_a_difference(cls, key, value):
    """Whether a family's ``adapt_config`` makes something else of a key."""
    try:
        without, adapted = cls.adapt_config({}), cls.adapt_config({key: value})
    except Exception:
        return True
    adapted.pop(key, None)
    return adapted != without


def keywords_of(cls, method):
    """Names of all keyword arguments of a method, in the class and its parents."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    functions = [vars(parent)[method] for parent in cls.__mro__ if method in vars(parent)]
    functions = [function for function in functions if inspect.isfunction(function)]
    return {
        name
        for function in functions
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind in named and name != "self"
    }


def check_leftovers(cls, leftovers, foreign_keys=None, method="__init__"):
    """Raises TypeError for keywords that nobody took, naming for each the nearest known one.

    Args:
        cls: the builder class.
        leftovers: the keywords that reached the end of the line.
        foreign_keys: those that may, since they come from a config file; None where the builder
            was not called by ``build_transformer_model``, whose keywords then count as unknown.
        method: whose keywords they are.
    """
    unknown = [key for key in leftovers if key not in (foreign_keys or ())]
    if not unknown:
        return
    known = keywords_of(cls, method) - {"foreign_keys"}
    if method == "__init__":
        known |= {key for key, ours in cls.config_keys.items() if ours in known}
    if foreign_keys is not None:
        known |= {*FUNCTION_KEYWORDS, *keywords_of(cls, "build")}
    raise TypeError("; ".join(_unknown_message(key, sorted(known)) for key in unknown))


def _unknown_message(key, known):
    message = f"unknown keyword {key!r}: "
    if key in OLD_KEYWORDS:
        return f"{message}it is {OLD_KEYWORDS[key]} now"
    spellings = {name.lower(): name for name in sorted(set(known) - {key})}
    nearest = difflib.get_close_matches(key.lower().replace("-", "_"), spellings, 1, 0.0)
    message += f"did you mean {spellings[nearest[0]]!r}?"
    if key in FOREIGN_KEYS:
        message += " (This model reads no such key of a config: leave it out.)"
    return message


def check_required(cls, arguments, unknown, source):
    """Raises ValueError naming every size that neither the config nor a keyword gave.

    A keyword that looks like one of them is reported first: it may be the missing one, misspelt.
    """
    missing = [key for key in REQUIRED if arguments.get(key) is None]
    if not missing:
        return
    misspelt = [key for key in unknown if difflib.get_close_matches(key, missing, 1, 0.6)]
    check_leftovers(cls, sorted(misspelt), ())
    raise ValueError(
        f"the config ({_describe(source)}) lacks {missing}: expected a BERT-style config with "
        f"{list(REQUIRED)}; add the keys to it or pass them as keywords"
    )


def _describe(source):
    return "a dict" if isinstance(source, dict) else str(source)
