"""The pretrained model that the scripts start from: change it here for all of them.

Which one, the flags tell; see flags.py.
"""

import json
from pathlib import Path

import checks
import flags
import keras
import reports
from keras import ops

from bert4keras_ext.checkpoints import save_checkpoint
from bert4keras_ext.models import build_transformer_model
from bert4keras_ext.tokenizers import Tokenizer, load_vocab, save_vocab

TINY_BERT = {  # of --smoke
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "hidden_act": "gelu",
    "dropout_rate": 0.1,
    "attention_dropout_rate": 0.1,
}
SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def base_model(args, texts, simplified=False, **options):
    """(builder of the model, tokenizer).

    Args:
        args: of the command line.
        texts: give the vocabulary of a smoke run.
        simplified: leave out the tokens that Chinese text never gives, a third of Google's
            vocabulary: the softmax of a generating model costs so much less. [PAD] stays 0.
        **options: of `build_transformer_model`, such as application="unilm".
    """
    options["return_keras_model"] = False
    if is_tiny(args):
        tokenizer = Tokenizer(character_vocabulary(texts))
        config = {**TINY_BERT, "vocab_size": tokenizer.vocab_size, "max_position": args.maxlen}
        return build_transformer_model(config, **options), tokenizer
    config, vocab = _model_files(args)
    if simplified:
        vocabulary, options["keep_tokens"] = load_vocab(
            vocab, simplified=True, startswith=SPECIAL_TOKENS
        )
    tokenizer = Tokenizer(vocabulary if simplified else vocab, do_lower_case=True)
    builder = build_transformer_model(config, args.checkpoint, **options)
    checks.check_fits(builder, tokenizer, args.maxlen, config, vocab)
    return builder, tokenizer


def language_model(args, texts, **options):
    """(builder of the model with logits of all tokens, tokenizer); arguments as `base_model`.

    Encoders are often published without the head that names tokens: it then starts at random, tied
    to the word table, and is trained with the task.
    """
    if not is_tiny(args):
        base_model(args, texts)  # refuses weights in which more than the head is missing
    options = {"with_mlm": "linear", "ignore_invalid_weights": True, **options}
    return base_model(args, texts, simplified=True, **options)


def masked_language_model(args, texts):
    """(builder, model, tokenizer): the model gives the logits of some places of each row.

    It takes ids, segments, and the places (batch, number). The head costs more than a layer: it is
    applied to these alone. Where the checkpoint has none it starts at random, tied to the word
    table.
    """
    transformer, tokenizer = language_model(args, texts)
    states = transformer.model.get_layer("MLM-Dense").input
    places = keras.Input((None,), dtype="int32", name="Input-Places")
    logits = transformer.apply_mlm(ops.take_along_axis(states, places[..., None], axis=1))
    return transformer, keras.Model([*transformer.model.inputs, places], logits), tokenizer


def save_folder(args, transformer, tokenizer):
    """Writes config.json, vocab.txt and model.safetensors, as Hugging Face has them: what --config
    takes, and `transformers`."""
    config = TINY_BERT | {"max_position": args.maxlen}
    if not is_tiny(args):
        path, _ = _model_files(args)
        path = path / "config.json" if path.is_dir() else path
        config = json.loads(path.read_text(encoding="utf-8"))
    reports.write_json(args.out / "config.json", {**config, "vocab_size": tokenizer.vocab_size})
    save_vocab(args.out / "vocab.txt", tokenizer._token_dict)
    save_checkpoint(transformer, args.out / "model.safetensors", format="huggingface")


def character_vocabulary(texts):
    """{token: id} of the characters of these texts."""
    tokens = SPECIAL_TOKENS + sorted({char for text in texts for char in text if char.strip()})
    return {token: number for number, token in enumerate(tokens)}


def is_tiny(args):
    """--smoke takes a tiny random model where no other is named."""
    return args.smoke and args.config is None


def model_name(args):
    """What the title of a curve calls it."""
    if is_tiny(args):
        return "a tiny random BERT"
    path = Path(args.config or flags.BASE_MODEL).resolve()
    return path.name if path.is_dir() else path.parent.name


def _model_files(args):
    config = Path(args.config or flags.BASE_MODEL)
    if not config.exists():
        raise FileNotFoundError(
            f"no base model at {config}: pass --config FOLDER (Hugging Face layout) or --config "
            "bert_config.json --checkpoint bert_model.ckpt --vocab vocab.txt"
        )
    checks.check_weights(config, args.checkpoint)
    folder = config if config.is_dir() else config.parent
    return config, Path(args.vocab or folder / "vocab.txt")
