"""Text to token ids and back."""

from bert4keras_ext.tokenizers.base import TokenizerBase
from bert4keras_ext.tokenizers.sentencepiece import SpTokenizer
from bert4keras_ext.tokenizers.vocabulary import load_vocab, save_vocab
from bert4keras_ext.tokenizers.wordpiece import Tokenizer

__all__ = ["SpTokenizer", "Tokenizer", "TokenizerBase", "load_vocab", "save_vocab"]
