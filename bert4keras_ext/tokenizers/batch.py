"""Padded rows of ids for many texts at once, without a Python step for each character."""

from functools import cache
from itertools import chain

import numpy as np

from bert4keras_ext.tokenizers.word_cache import CODES, is_solitary

# Below this many texts, one after the other is as fast.
FEWEST_TEXTS = 16

REST = np.iinfo(np.int32).min  # stands for the id of a character that is not solitary


class BatchIds:
    """Ids of many texts, by one look-up in a table of all characters for the whole batch.

    The words between solitary characters come from the same cache as those of single texts.

    Args:
        words: the IdCache of single texts.

    Example:
        >>> from bert4keras_ext.tokenizers.word_cache import IdCache
        >>> cache = IdCache(lambda text: [5] * len(text.split()), {"一": 1, "丁": 2}, unknown=0)
        >>> [x.tolist() for x in BatchIds(cache)(["一丁", "", "an apple"])]
        [[1, 2, 5, 5], [2, 0, 2]]
    """

    def __init__(self, words):
        self.words = words
        self.table = None  # made by the first batch: most tokenizers never see one

    def __call__(self, texts):
        """The ids of all texts in a row, and how many each has; no start, no end."""
        joined = " ".join([*texts, ""])
        codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), "<u4")
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        gaps = np.cumsum(lengths + 1) - 1  # the space behind each text, which no word crosses
        ids = self._get_table()[np.minimum(codes, CODES - 1)]
        is_rest = ids == REST
        is_rest[gaps] = False
        edges = np.flatnonzero(np.diff(is_rest, prepend=False, append=False))
        words = [self.words.words[joined[a:b]] for a, b in edges.reshape(-1, 2).tolist()]
        is_solitary = ids > REST
        counts = is_solitary.astype(np.int64)
        counts[edges[::2]] = np.fromiter(map(len, words), np.int64, len(words))
        flat = _merged(ids[is_solitary], words, is_solitary, counts)
        return flat, np.add.reduceat(counts, gaps - lengths)

    def _get_table(self):
        if self.table is None:
            self.table = np.where(solitary_codes(), self.words.table, REST).astype(np.int32)
        return self.table


def _merged(solitary_ids, words, is_solitary, counts):
    """The ids of characters and words in the order of the text."""
    if not words:
        return solitary_ids
    flat = np.empty(int(counts.sum()), np.int32)
    places = (np.cumsum(counts) - counts)[is_solitary]
    of_words = np.ones(len(flat), bool)
    of_words[places] = False
    flat[places] = solitary_ids
    flat[of_words] = np.fromiter(chain.from_iterable(words), np.int32, int(of_words.sum()))
    return flat


@cache
def solitary_codes():
    """Which characters of the basic plane are certain to be one token: (65536,) bool."""
    return np.fromiter((is_solitary(chr(code)) for code in range(CODES)), bool, CODES)


class Rows:
    """Where the parts of padded rows stand: ``start text end``, or this twice.

    Args:
        start, end: lists of the ids before and after each text (one or none).
        counts: a list of one or two arrays (rows,), how many ids each text has.
        shared_start: whether second texts have no start of their own.
    """

    def __init__(self, start, end, counts, shared_start):
        self.end, self.counts = end, counts
        self.starts = [start, [] if shared_start else start][: len(counts)]
        self.before = []  # the first column of each part
        self.lengths = np.zeros_like(counts[0])
        for own_start, count in zip(self.starts, counts):
            self.before.append(self.lengths)
            self.lengths = self.lengths + len(own_start) + count + len(end)

    def fill(self, ids, segments, flats):
        """Writes the ids of all parts into arrays (rows, columns) that hold padding."""
        rows, columns = np.arange(len(ids)), np.arange(ids.shape[1])
        for own_start, first, count, flat in zip(self.starts, self.before, self.counts, flats):
            if own_start:
                ids[rows, first] = own_start[0]
            first = (first + len(own_start))[:, None]
            ids[(columns >= first) & (columns < first + count[:, None])] = flat
            if self.end:
                ids[rows, first[:, 0] + count] = self.end[0]
        if len(self.counts) == 2:
            second = columns >= self.before[1][:, None]
            segments[...] = second & (columns < self.lengths[:, None])


def encode_padded(batch_ids, pairs, encode_one, limit, shared_start, width, pad):
    """Padded ids and segments of texts or pairs; those that must be cut are left to encode_one.

    Args:
        batch_ids: a BatchIds.
        pairs: list of (text, second text), the second None in all or in none.
        encode_one: function from a row's number to its lists of ids and segments.
        limit: the most ids of a row, or None; a start that second texts do not have counts.
        shared_start: whether second texts have no start of their own.
        width: function from the longest row's length to the number of columns.
        pad: the id of the pad token.

    Returns:
        token_ids, segment_ids: int32 (rows, columns).
    """
    texts = [list(part) for part in zip(*pairs)]
    parts = [batch_ids(part) for part in texts[: 1 if texts[1][0] is None else 2]]
    start, end = batch_ids.words.start, batch_ids.words.end
    uncut = sum(counts for _, counts in parts) + len(parts) * (len(start) + len(end))
    fits = np.full(len(pairs), True) if limit is None else uncut <= limit
    cut = {row: encode_one(row) for row in np.flatnonzero(~fits).tolist()}
    flats = [flat[np.repeat(fits, counts)] for flat, counts in parts]
    rows = Rows(start, end, [counts[fits] for _, counts in parts], shared_start)
    longest = max((len(ids) for ids, _ in cut.values()), default=0)
    columns = width(max(longest, int(rows.lengths.max(initial=0))))
    token_ids = np.full((len(pairs), columns), pad, np.int32)
    segment_ids = np.zeros((len(pairs), columns), np.int32)
    whole = token_ids[fits], segment_ids[fits]
    rows.fill(*whole, flats)
    token_ids[fits], segment_ids[fits] = whole
    for row, (ids, segments) in cut.items():
        token_ids[row, : len(ids)] = ids
        segment_ids[row, : len(ids)] = segments
    return token_ids, segment_ids
