"""Text to token ids and back."""

from bert4keras_ext._old_names import getattr_of
from bert4keras_ext.tokenizers.base import TokenizerBase
from bert4keras_ext.tokenizers.sentencepiece import SpTokenizer
from bert4keras_ext.tokenizers.vocabulary import load_vocab, save_vocab
from bert4keras_ext.tokenizers.vocabulary_building import build_vocabulary, count_tokens
from bert4keras_ext.tokenizers.vocabulary_transfer import (
    VocabularyTransfer,
    compact_mt5_tokenizer,
    compound_tokens_for,
    load_keep_tokens,
    transfer_vocabulary,
)
from bert4keras_ext.tokenizers.word_segmentation import JiebaSegmenter, t5_pegasus_tokenizer
from bert4keras_ext.tokenizers.wordpiece import Tokenizer

__all__ = [
    "JiebaSegmenter",
    "SpTokenizer",
    "Tokenizer",
    "TokenizerBase",
    "VocabularyTransfer",
    "build_vocabulary",
    "compact_mt5_tokenizer",
    "compound_tokens_for",
    "count_tokens",
    "load_keep_tokens",
    "load_vocab",
    "save_vocab",
    "t5_pegasus_tokenizer",
    "transfer_vocabulary",
]

__getattr__ = getattr_of(__name__)
