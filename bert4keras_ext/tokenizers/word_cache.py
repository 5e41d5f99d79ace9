"""Text to tokens at the price of one dictionary look-up a Chinese character."""

import re

# Characters that are certain to be exactly one token, whatever stands beside them: ideographs of
# the basic plane and the common marks. A subset is enough, so the class holds no rare ones (all
# others are "the rest", which is analysed in full); spaces are not in it, being no token.
SOLITARY = (
    "\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff"
    "!-/:-@\\[-`{-~\xb7\u2010-\u2027\u3001-\u3003\u3008-\u3011\u3014-\u301f"
    "\uff01-\uff03\uff05-\uff0a\uff0c-\uff0f\uff1a\uff1b\uff1f\uff20"
    "\uff3b-\uff3d\uff3f\uff5b\uff5d\uff5f-\uff65"
)
# [solitaries, rest, solitaries, rest, ..., solitaries]: only the rest is in a group.
_split = re.compile(f"([^{SOLITARY}]+)").split
_has_rest = re.compile(f"[^{SOLITARY}]").search


def is_solitary(character):
    """Whether a character is certain to be exactly one token."""
    return not _has_rest(character)


class WordCache:
    """Maps a text to the list of its tokens (or ids), remembering the words it has seen.

    A text is cut at ideographs and punctuation by one regular expression. These are looked up
    character by character, the words between them whole; `analyse` sees only what is new.
    Safe to share between threads: its dictionaries are only read, added to, and emptied.

    Args:
        analyse: function from text to a list of tokens (or ids). It must treat the SOLITARY
            characters as single tokens and each word between them without looking beyond it.
        lower: whether analyse turns text into lower case, which looks beyond the word for one
            letter: capital sigma, whose small form depends on its neighbours.
        start, end: lists of items to put before and after each text's.
        max_words: how many words to remember; beyond that all are forgotten, so that a server
            which runs for months does not grow.
        max_length: words longer than this are not remembered.

    Example:
        >>> cache = WordCache(lambda text: text.split())
        >>> cache.items("你好world")
        ['你', '好', 'world']
    """

    def __init__(self, analyse, lower=False, start=(), end=(), max_words=1 << 16, max_length=64):
        self.analyse = analyse
        self.lower = lower
        self.start, self.end = start, end
        self.characters = _Characters(analyse)
        self.words = _Words(analyse, max_words, max_length)
        # Bound once: looking the methods up would cost as much as a few characters.
        self._character, self._word = self.characters.__getitem__, self.words.__getitem__

    def items(self, text):
        """The items of a text, as a new list."""
        if not _has_rest(text):
            return [*self.start, *map(self._character, text), *self.end]
        if self.lower and "Σ" in text:
            return [*self.start, *self.analyse(text), *self.end]
        parts = iter(_split(text))
        items = [*self.start, *map(self._character, next(parts))]
        for word, run in zip(parts, parts):
            items += self._word(word)
            items += map(self._character, run)
        items += self.end
        return items


class _Characters(dict):
    """Solitary character -> its one item; bounded by the size of the class SOLITARY."""

    def __init__(self, analyse):
        super().__init__()
        self.analyse = analyse

    def __missing__(self, ch):
        (item,) = self.analyse(ch)
        self[ch] = item
        return item


class _Words(dict):
    """Word -> its items, as a list that must not be changed."""

    def __init__(self, analyse, max_words, max_length):
        super().__init__()
        self.analyse, self.max_words, self.max_length = analyse, max_words, max_length

    def __missing__(self, text):
        # A phrase such as "iphone 11 pro" comes here every time: its words are what is remembered.
        if " " in text:
            return [item for word in text.split(" ") if word for item in self[word]]
        items = self.analyse(text)
        if len(text) <= self.max_length:
            if len(self) >= self.max_words:
                self.clear()
            self[text] = items
        return items
