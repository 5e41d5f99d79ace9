"""Text to tokens or ids at the price of one step in a table a Chinese character."""

import re
from array import array

# Characters that are certain to be exactly one token, themselves, whatever stands beside them:
# ideographs of the basic plane and the common marks. A subset is enough, so the class holds no rare
# ones (all others are "the rest", which is analysed in full); spaces are not in it, being no token.
SOLITARY = (
    "\u4e00-\u9fff\u3400-\u4dbf"
    "!-/:-@\\[-`{-~\xb7\u2010-\u2027\u3001-\u3003\u3008-\u3011\u3014-\u301f"
    "\uff01-\uff03\uff05-\uff0a\uff0c-\uff0f\uff1a\uff1b\uff1f\uff20"
    "\uff3b-\uff3d\uff3f\uff5b\uff5d\uff5f-\uff65"
)
# [solitaries, rest, solitaries, rest, ..., solitaries]: only the rest is in a group.
_split = re.compile(f"([^{SOLITARY}]+)").split
_has_rest = re.compile(f"[^{SOLITARY}]").search

CODES = 1 << 16  # the basic plane holds all solitary characters
MARK = 0xFEFF  # what Python's "utf-16" puts first, to tell the order of the bytes


def is_solitary(character):
    """Whether a character is certain to be exactly one token, itself."""
    return not _has_rest(character)


class WordCache:
    """The words of texts, remembered with their items: tokens here, ids in the subclass.

    A text is cut at ideographs and punctuation by one regular expression. These are their own
    tokens; the words between them are looked up whole; `analyse` sees only what is new.
    Safe to share between threads: its dictionary is only read, added to, and emptied.

    Args:
        analyse: function from text to a list of its items. It must make one item of each SOLITARY
            character and treat the words between them without looking beyond the word.
        lower: whether analyse turns text into lower case, which looks beyond the word for one
            letter: capital sigma, whose small form depends on its neighbours.
        max_words: how many words to remember; beyond that all are forgotten, so that a server
            which runs for months does not grow.
        max_length: words longer than this are not remembered.

    Example:
        >>> cache = WordCache(lambda text: text.split())
        >>> cache.items("你好world")
        ['你', '好', 'world']
    """

    def __init__(self, analyse, lower=False, max_words=1 << 16, max_length=64):
        self.analyse = analyse
        self.lower = lower
        self.words = _Words(analyse, max_words, max_length)
        # Bound once: looking the method up would cost as much as a few characters.
        self._word = self.words.__getitem__

    def items(self, text):
        """The items of a text, as a new list."""
        items = [*text]
        if _has_rest(text):
            self._put_words(items, text)
        return items

    def _put_words(self, items, text, position=0):
        """Replaces what stands for the characters of words, one each, from a position on."""
        if self.lower and "Σ" in text:
            items[position:] = self.analyse(text)
            return
        parts = iter(_split(text))
        for run, word in zip(parts, parts):  # the last run has no word behind it and stays
            position += len(run)
            found = self._word(word)
            items[position : position + len(word)] = found
            position += len(found)


class IdCache(WordCache):
    """The same with ids for items, between those of start and end.

    Characters become ids by their UTF-16 codes, in a list of all of them: an integer and a list
    cost less than a string and a dictionary, which hashes and compares it.

    Args:
        analyse: as WordCache's, to ids.
        token_dict: dict from token to id.
        unknown: the id of characters that are not in it.
        start, end: lists of ids, one or none, to put before and after each text's.
        **kwargs: WordCache's.

    Attributes:
        table: the ids of characters by their codes; only those of SOLITARY characters are right.

    Example:
        >>> cache = IdCache(lambda text: [5], {"你": 1}, 0, start=[8], end=[9])
        >>> cache.items("你好world")
        [8, 1, 0, 5, 9]
    """

    def __init__(self, analyse, token_dict, unknown, start=(), end=(), **kwargs):
        super().__init__(analyse, **kwargs)
        self.start, self.end = start, end
        self.table = [unknown] * CODES
        for token, i in token_dict.items():
            if len(token) == 1 and ord(token) < CODES:
                self.table[ord(token)] = i
        self.table[MARK] = start[0] if start else unknown

    def items(self, text):
        codes = array("H", text.encode("utf-16", "surrogatepass"))
        table = self.table
        ids = [table[code] for code in codes]
        if _has_rest(text):
            if len(codes) > len(text) + 1:  # beyond the basic plane a character has two codes
                ids[1:] = (table[min(ord(ch), CODES - 1)] for ch in text)
            self._put_words(ids, text, 1)
        if not self.start:
            del ids[0]
        ids += self.end
        return ids


class _Words(dict):
    """Word -> its items, as a list that must not be changed."""

    SHORT = 8  # a phrase of so few characters is worth remembering: a space, "vivo X21"

    def __init__(self, analyse, max_words, max_length):
        super().__init__()
        self.analyse, self.max_words, self.max_length = analyse, max_words, max_length

    def __missing__(self, text):
        # A longer phrase comes here every time: its words are what is remembered.
        if " " in text and len(text) > self.SHORT:
            return [item for word in text.split(" ") if word for item in self[word]]
        items = self.analyse(text)
        if len(text) <= self.max_length:
            if len(self) >= self.max_words:
                self.clear()
            self[text] = items
        return items
