"""Chinese words before word pieces: jieba for `pre_tokenize`, and T5-PEGASUS' tokenizer."""

import logging
import os
import threading
import warnings
from functools import cache

from bert4keras_ext.tokenizers.wordpiece import Tokenizer

_LOADING = threading.Lock()


class JiebaSegmenter:
    """Cuts a text into words by jieba's dictionary: a function for `pre_tokenize`.

    jieba is imported, and its dictionary read (about a second, or half of that from jieba's own
    cache file), at the first call of the first segmenter. Words that other code adds to `jieba`
    are unknown here, and a segmenter's own words are known to it alone. What it is told, not what
    it has loaded, is pickled, so it can go to other processes with its tokenizer.

    Args:
        user_dict: more words: the path of a dictionary file as jieba reads it ("word", or "word
            frequency", or "word frequency tag" a line), or an iterable of words and of pairs
            (word, frequency). Without a frequency a word gets one that makes it a word.
        hmm: let jieba's hidden Markov model guess words that no dictionary has. T5-PEGASUS and
            WoBERT were trained without.

    Raises:
        ImportError: jieba is not installed (at the first call).
        FileNotFoundError: user_dict is a path where no file lies.
        TypeError: a word of user_dict is no str.

    Example:
        >>> segmenter = JiebaSegmenter()
        >>> segmenter("北京大学的语言模型，BERT很好")
        ['北京大学', '的', '语言', '模型', '，', 'BERT', '很', '好']
        >>> JiebaSegmenter(["语言模型"])("北京大学的语言模型")
        ['北京大学', '的', '语言模型']
        >>> segmenter.most_frequent_words(3)
        ['了', '是', '在']

    Source: https://github.com/fxsjy/jieba.
    """

    _jieba = None

    def __init__(self, user_dict=None, hmm=False):
        self.user_dict = _checked_user_dict(user_dict)
        self.hmm = hmm

    def __call__(self, text):
        return (self._jieba or self._load()).lcut(text, HMM=self.hmm)

    def __getstate__(self):
        return {"user_dict": self.user_dict, "hmm": self.hmm}

    def most_frequent_words(self, count):
        """The `count` words that the dictionary calls the most frequent; ties by code point."""
        frequencies = (self._jieba or self._load()).FREQ
        # Beginnings of words are in the same dict, with frequency 0.
        words = sorted((-frequency, word) for word, frequency in frequencies.items() if frequency)
        return [word for _, word in words[:count]]

    def _load(self):
        with _LOADING:
            if self._jieba is None:
                self._jieba = _own_jieba(self.user_dict)
        return self._jieba


def t5_pegasus_tokenizer(token_dict, segmenter=None, **kwargs):
    """The tokenizer of T5-PEGASUS (and of WoBERT): lower case, jieba's words, then word pieces.

    The text is lower-cased and cut into words by jieba without its hidden Markov model; a word that
    the vocabulary has is one token, any other is cut as BERT cuts it.

    Args:
        token_dict: path of the vocabulary file, or a dict from token to id.
        segmenter: function from a text to its words, such as a `JiebaSegmenter` with a user
            dictionary; by default `JiebaSegmenter()`.
        **kwargs: other arguments of `Tokenizer`.

    Returns:
        A `Tokenizer`; it can be pickled.

    Example:
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "北京大学", "模", "型", "bert", "的"]
        >>> tokenizer = t5_pegasus_tokenizer({word: i for i, word in enumerate(words)})
        >>> tokenizer.tokenize("北京大学的模型BERT")
        ['[CLS]', '北京大学', '的', '模', '型', 'bert', '[SEP]']
        >>> tokenizer.encode("北京大学")
        ([2, 4, 3], [0, 0, 0])

    Source: Su 2021, "T5 PEGASUS", https://kexue.fm/archives/8209.
    """
    segmenter = JiebaSegmenter() if segmenter is None else segmenter
    kwargs = {"do_lower_case": True, "pre_tokenize": segmenter, **kwargs}
    return Tokenizer(token_dict, **kwargs)


def _own_jieba(user_dict):
    """A jieba.Tokenizer that knows the words of user_dict too."""
    plain = _plain_jieba()
    if not user_dict:
        return plain
    tokenizer = _imported_jieba().Tokenizer()
    # Copied in hundredths of a second; reading the dictionary again takes most of one.
    tokenizer.FREQ, tokenizer.total = dict(plain.FREQ), plain.total
    tokenizer.initialized = True
    if isinstance(user_dict, str):
        tokenizer.load_userdict(user_dict)
        return tokenizer
    for word, frequency in user_dict:
        tokenizer.add_word(word, frequency)
    return tokenizer


@cache
def _plain_jieba():
    """The jieba.Tokenizer of all segmenters without words of their own; nobody changes it."""
    jieba = _imported_jieba()
    logger = logging.getLogger("jieba")
    level = logger.level
    logger.setLevel(logging.WARNING)  # four lines about loading, on stderr
    try:
        tokenizer = jieba.Tokenizer()
        tokenizer.initialize()
    finally:
        logger.setLevel(level)
    return tokenizer


def _imported_jieba():
    try:
        with warnings.catch_warnings():
            # Its source has invalid escapes, and it asks for the deprecated pkg_resources.
            warnings.simplefilter("ignore")
            import jieba
    except ImportError as error:
        raise ImportError("JiebaSegmenter needs jieba: pip install jieba") from error
    return jieba


def _checked_user_dict(user_dict):
    """The absolute path, or a tuple of pairs (word, frequency or None)."""
    if user_dict is None:
        return ()
    if isinstance(user_dict, (str, os.PathLike)):
        if not os.path.isfile(user_dict):
            raise FileNotFoundError(
                f"user_dict: expected a dictionary file (one word a line), found no file "
                f"{str(user_dict)!r} (looked from {os.getcwd()!r}). Check the path, or give a list "
                "of words"
            )
        return os.path.abspath(user_dict)
    entries = [(entry, None) if isinstance(entry, str) else entry for entry in user_dict]
    for entry in entries:
        if not (isinstance(entry, (tuple, list)) and len(entry) == 2 and isinstance(entry[0], str)):
            raise TypeError(
                f"user_dict: expected words or pairs (word, frequency), found {entry!r:.60}"
            )
    return tuple((word, frequency) for word, frequency in entries)
