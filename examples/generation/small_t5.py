"""A small T5 with T5-PEGASUS' tokenizer: t5_pegasus_pretrain.py makes it, title_csl_t5.py tunes it.

Source: T5, arXiv 1910.10683; mT5, arXiv 2010.11934; T5-PEGASUS, article 8209.
"""

from pathlib import Path

import checks
import flags
import keras
import pretrained
import reports

from bert4keras_ext.data import BucketedGenerator
from bert4keras_ext.models import build_transformer_model
from bert4keras_ext.tokenizers import load_vocab, save_vocab, t5_pegasus_tokenizer

SMALL_T5 = {  # 4 layers on each side: 11 million weights with a vocabulary of 14,000 tokens
    "hidden_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 704,
    "hidden_act": ["gelu", "linear"],
    "dropout_rate": 0.1,
    "attention_dropout_rate": 0.1,
    "tie_word_embeddings": True,  # T5-PEGASUS' are not, which has more text to learn them from
    "cross_position_bias": False,
}
TINY_T5 = {**SMALL_T5, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
           "intermediate_size": 32}  # fmt: skip
FILES = ["config.json", "vocab.txt", "best.weights.h5"]  # what a folder of ours holds

# ---- model and tokenizer --------------------------------------------------------------------


def new_t5(args, texts):
    """(builder of a random T5, tokenizer).

    The vocabulary is --vocab, whole, such as T5-PEGASUS' 50,000 tokens with words among them; or
    else what Chinese text needs of the base model's, where each character is a token.
    """
    if pretrained.is_tiny(args):
        vocabulary = pretrained.character_vocabulary(texts)
    elif args.vocab:
        vocabulary = load_vocab(args.vocab)
    else:
        vocabulary, _ = load_vocab(
            flags.BASE_MODEL / "vocab.txt", simplified=True, startswith=pretrained.SPECIAL_TOKENS
        )
    return _build(_config(args, len(vocabulary))), t5_pegasus_tokenizer(vocabulary)


def save_t5(args, transformer, tokenizer):
    """config.json and vocab.txt in --out: with the weights there, what `pretrained_t5` takes."""
    reports.write_json(args.out / "config.json", _config(args, transformer.vocab_size))
    save_vocab(args.out / "vocab.txt", tokenizer._token_dict)


def _config(args, vocab_size):
    return {**(TINY_T5 if pretrained.is_tiny(args) else SMALL_T5), "vocab_size": vocab_size}


def pretrained_t5(args, folder):
    """(builder, tokenizer) of the T5 in a folder that t5_pegasus_pretrain.py wrote.

    With --config FILE --checkpoint FILE --vocab FILE: of T5-PEGASUS, or any mT5 with such a
    tokenizer.
    """
    folder = Path(args.config or folder)
    if folder.is_file():
        checks.check_weights(folder, args.checkpoint)
        vocab = args.vocab or folder.parent / "vocab.txt"
        return _build(folder, args.checkpoint), t5_pegasus_tokenizer(load_vocab(vocab))
    for name in FILES:
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"no {name} in {folder}: run t5_pegasus_pretrain.py, and pass its --out as "
                "--config, or pass --config, --checkpoint and --vocab of T5-PEGASUS"
            )
    config, vocab, weights = (folder / name for name in FILES)
    return _build(config, weights), t5_pegasus_tokenizer(load_vocab(vocab))


def _build(config, checkpoint=None):
    return build_transformer_model(
        config, checkpoint, model="mt5.1.1", with_lm="linear", return_keras_model=False
    )


def crossentropy():
    """The loss of the model's logits; their mask leaves the padding out."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


# ---- data -----------------------------------------------------------------------------------


class T5Pairs(BucketedGenerator):
    """Batches of (source, target) of similar length, padded to a multiple of 32.

    The decoder reads [CLS] t1 t2 and is to write t1 t2 [SEP].
    """

    def __init__(self, data, tokenizer, args):
        super().__init__(data, args.batch_size, seed=args.seed)
        self.tokenizer = tokenizer
        self.args = args

    def __iter__(self, random=False):
        sources, targets = [], []
        for is_end, (source, target) in self.sample(random):
            sources.append(self.tokenizer.encode(source, maxlen=self.args.source_maxlen)[0])
            targets.append(self.tokenizer.encode(target, maxlen=self.args.target_maxlen + 1)[0])
            if len(sources) == self.batch_size or is_end:
                inputs = {
                    "Encoder-Input-Token": self.pad(sources),
                    "Decoder-Input-Token": self.pad([ids[:-1] for ids in targets]),
                }
                yield inputs, self.pad([ids[1:] for ids in targets])
                sources, targets = [], []
