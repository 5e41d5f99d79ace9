"""Where in the text each token came from.

A tokenizer changes the text before it cuts it (case, accents, control characters), so a token's
letters may be fewer or more than the text's. Here the changed text is made together with the
index of the character that each of its letters came from; tokens are then found in it in order.
"""

import unicodedata
from itertools import groupby


def traced_lower(text):
    """`lower_and_strip_accents(text)`, and for each of its letters the index in text.

    Lower case is taken of the whole text, never letter by letter: capital sigma becomes ς at the
    end of a word and σ elsewhere. Letters that grow (İ becomes i and a dot) keep their index.
    """
    lowered = text.lower()
    sources = range(len(text))
    if len(lowered) != len(text):
        sources = [i for i, ch in enumerate(text) for _ in ch.lower()]
    letters = list(zip(lowered, sources))
    if not unicodedata.is_normalized("NFD", lowered):
        letters = _canonical_order(
            (part, i) for ch, i in letters for part in unicodedata.normalize("NFD", ch)
        )
    letters = [(ch, i) for ch, i in letters if unicodedata.category(ch) != "Mn"]
    return "".join(ch for ch, _ in letters), [i for _, i in letters]


def _canonical_order(letters):
    """Sorts each run of combining marks by class, as NFD does across characters."""

    def mark_class(letter):
        return unicodedata.combining(letter[0])

    ordered = []
    for _, run in groupby(letters, lambda letter: mark_class(letter) > 0):
        ordered += sorted(run, key=mark_class)  # stable: letters that are no marks stay in order
    return ordered


class Finder:
    """Finds pieces in a surface (a string or bytes), one after the other.

    Args:
        surface: what the pieces were cut from.
        sources: for each item of the surface, what to report for it.

    Example:
        >>> finder = Finder("hello", [0, 1, 2, 3, 4])
        >>> finder.find(["hel"], "hel", 0), finder.find(["lo"], "##lo", 1)
        ([0, 1, 2], [3, 4])
    """

    def __init__(self, surface, sources):
        self.surface, self.sources, self.offset = surface, sources, 0

    def find(self, candidates, token, position):
        """Sources of the candidate that comes first after the last find; [] for an empty one."""
        found = [(self.surface.find(c, self.offset), len(c)) for c in candidates]
        found = [(start, length) for start, length in found if start >= 0]
        if not found:
            rest = self.surface[self.offset : self.offset + 20]
            rest = rest if isinstance(rest, str) else rest.decode(errors="replace")
            raise ValueError(
                f"rematch: expected tokens that come from the text, found {token!r} at position "
                f"{position}, which does not occur in the rest of it ({rest!r}...). Give the "
                "tokens that this tokenizer's tokenize(text) returned for this very text"
            )
        start, length = min(found)
        self.offset = start + length
        return list(self.sources[start : self.offset])

    def skip(self, piece, before=None):
        """Goes past a piece, if it comes before the first place of another one."""
        start = self.surface.find(piece, self.offset)
        limit = -1 if before is None else self.surface.find(before, self.offset)
        if start >= 0 and (limit < 0 or start <= limit):
            self.offset = start + len(piece)
