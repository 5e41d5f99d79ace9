"""``build_transformer_model``: one call from a config and a checkpoint to a Keras model."""

import logging
import os

from bert4keras_ext.checkpoints import find_checkpoint, shapes_in
from bert4keras_ext.models.config import builder_arguments, keywords_of, read_config
from bert4keras_ext.models.masks import (
    extend_with_language_model,
    extend_with_unified_language_model,
)
from bert4keras_ext.models.registry import find_model, model_of_type

APPLICATIONS = ("encoder", "lm", "unilm")
logger = logging.getLogger(__name__)


def build_transformer_model(
    config_path=None,
    checkpoint_path=None,
    model=None,
    application=None,
    return_keras_model=True,
    **kwargs,
):
    """Builds a Transformer from a config and loads a checkpoint into it.

    Args:
        config_path: a JSON file (``bert_config.json``), a dict, a folder in Hugging Face's or
            Google's layout (then checkpoint and model are found from it), or None (all sizes as
            keywords).
        checkpoint_path: a TensorFlow checkpoint (``bert_model.ckpt``), safetensors, a PyTorch
            ``.bin``, our own by-name safetensors, ``.weights.h5``, or a folder of them; None
            leaves the weights random, and loads what a folder given as ``config_path`` holds.
            False never loads.
        model: "bert", "roberta" or a subclass of Transformer; None is "bert", or what a folder's
            ``model_type`` says.
        application: "encoder"; "lm" (causal mask, MLM head); or "unilm" (seq2seq mask from the
            segment ids, MLM head). None is "encoder", or "lm" where config.json says
            ``is_decoder``.
        return_keras_model: return the Keras model, or else the builder (with ``.model``,
            ``.layers``, ``.save_weights_as_checkpoint`` ...).
        **kwargs: any key of the config and any keyword of the builder and its ``build``; a
            keyword wins over the file. Keys of a file that the builder does not know are passed
            over; a keyword that nobody knows is an error (but for a published config's keys
            where the keywords are the whole config).

    Returns:
        A functional ``keras.Model`` with named layers, or the builder.

    Raises:
        FileNotFoundError, ValueError, TypeError: a config that is missing, broken or incomplete;
            an unknown model or application; an unknown keyword; sizes that do not fit.
        CheckpointError: a checkpoint that is unreadable or belongs to another model.

    Example:

    >>> config = dict(vocab_size=100, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
    ...               intermediate_size=32, hidden_act="gelu")
    >>> bert = build_transformer_model(config, with_mlm=True)
    >>> bert.output.shape
    (None, None, 100)
    """
    config = read_config(config_path)
    is_folder = isinstance(config_path, (str, os.PathLike)) and os.path.isdir(config_path)
    said = {**config, **kwargs}  # a config may be given as keywords too
    if model is None:
        model = model_of_type(said["model_type"], said) if "model_type" in said else "bert"
    if application is None:
        application = "lm" if said.get("is_decoder") else "encoder"

    cls = _builder_class(model, application)
    # Of a name that both take, the constructor has it.
    of_build = keywords_of(cls, "build") - keywords_of(cls, "__init__")
    arguments = builder_arguments(cls, config, kwargs, of_build, config_path)
    if checkpoint_path is None and is_folder:
        checkpoint_path = find_checkpoint(config_path)
    is_loaded = checkpoint_path is not None and checkpoint_path is not False
    if is_loaded and not str(checkpoint_path):
        raise ValueError("expected a checkpoint_path, received '': for random weights pass None")
    if is_loaded:
        arguments = cls.adapt_to_checkpoint(arguments, lambda: shapes_in(checkpoint_path))
    build_arguments = {key: arguments.pop(key) for key in of_build if key in arguments}
    builder = cls(**arguments)
    _note_padding(builder)
    builder.build(**build_arguments)

    if is_loaded:
        builder.load_weights_from_checkpoint(checkpoint_path)
    return builder.model if return_keras_model else builder


def _note_padding(builder):
    moves = builder.keep_tokens is not None or isinstance(builder.compound_tokens, dict)
    if moves and builder.pad_token_id > 0:
        logger.warning(
            "The new vocabulary has the padding token at row %d, which is masked: pad with it "
            "(value=%d of sequence_padding and DataGenerator.pad, padding_values of to_dataset, or "
            "Tokenizer.encode_batch), or have it first "
            "(load_vocab(simplified=True, startswith=['[PAD]', ...]))",
            builder.pad_token_id, builder.pad_token_id,
        )  # fmt: skip


def _builder_class(model, application):
    cls = find_model(model)
    if application not in APPLICATIONS:
        hint = " ('unilm' is what it is called now)" if application == "seq2seq" else ""
        raise ValueError(
            f"application expects one of {APPLICATIONS}, received {application!r}{hint}"
        )
    if application not in cls.applications:
        raise ValueError(
            f"model {model!r} cannot be built as application={application!r}: "
            f"it knows {cls.applications}"
        )
    extend = {"lm": extend_with_language_model, "unilm": extend_with_unified_language_model}
    return extend[application](cls) if application in extend else cls
