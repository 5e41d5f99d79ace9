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
# Keys of published configs that a builder which does not know them passes over, though some
# resemble keywords: a config is as welcome as keywords as it is as a dict or a file.
FOREIGN_KEYS = frozenset(
    # Google's Chinese BERT, and all that were trained on from it
    "directionality pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers "
    "pooler_size_per_head pooler_type "
    # Hugging Face's, of many families
    "attention_bias attention_dropout classifier_dropout classifier_dropout_prob mask_token_id "
    "num_labels sep_token_id "
    # ERNIE's, NEZHA's
    "sent_type_vocab_size task_type_vocab_size use_relative_position".split()
)
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


def builder_arguments(cls, config, overrides):
    """The builder's keyword arguments: the file's keys renamed, with the caller's on top."""
    defaults = {**DEFAULTS, **cls.config_defaults}
    return {**defaults, **cls.adapt_config(config), **cls.adapt_config(overrides)}


def check_keywords(cls, keywords, build_keywords):
    """Raises TypeError for a keyword that looks like a misspelt one of the builder's.

    Keywords that resemble none are keys of some config file: the builder ignores those, as it
    ignores them in the file.
    """
    known = {*build_keywords, *cls.config_keys}
    for parent in cls.__mro__:
        known.update(inspect.signature(parent.__init__).parameters)
    for key in keywords:
        nearest = difflib.get_close_matches(key, known - {"self", "kwargs", "args"}, 1, 0.8)
        if key not in known | FOREIGN_KEYS and nearest:
            raise TypeError(f"unknown keyword {key!r}: did you mean {nearest[0]!r}?")


def check_required(arguments, source):
    """Raises ValueError naming every size that neither the config nor a keyword gave."""
    missing = [key for key in REQUIRED if arguments.get(key) is None]
    if missing:
        raise ValueError(
            f"the config ({_describe(source)}) lacks {missing}: expected a BERT-style config with "
            f"{list(REQUIRED)}; add the keys to it or pass them as keywords"
        )


def _describe(source):
    return "a dict" if isinstance(source, dict) else str(source)
