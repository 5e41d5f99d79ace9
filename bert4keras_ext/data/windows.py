"""Sliding windows: a passage that is longer than the model's input, read in parts."""

from typing import NamedTuple


class Window(NamedTuple):
    """A question and a part of a passage as a row of ids, and where in the passage they stand.

    Attributes:
        token_ids: [CLS] question [SEP] part [SEP].
        segment_ids: 0 up to the first [SEP], 1 behind it.
        first: place in the row of the part's first token.
        spans: for each token of the part the (start, end) of its characters, end exclusive.
        reach: the (start, end) of the stretch of the passage that the part holds.
    """

    token_ids: list
    segment_ids: list
    first: int
    spans: list
    reach: tuple

    def characters(self, first, last):
        """The (start, end) in the passage, end exclusive, of the tokens from place first to last.

        Raises:
            ValueError: a place outside of the part.
        """
        end = self.first + len(self.spans) - 1
        if not self.first <= first <= last <= end:
            raise ValueError(
                f"expected places {self.first} <= first <= last <= {end}, received {first}, {last}"
            )
        return self.spans[first - self.first][0], self.spans[last - self.first][1]

    def places(self, start, end):
        """The (first, last) places of the tokens that hold the characters from start to before end.

        None if the part does not hold all of them (or no token does, as with white space).
        """
        held = [i for i, (a, b) in enumerate(self.spans) if max(a, start) < min(b, end)]
        if not held or start < self.reach[0] or self.reach[1] < end:
            return None
        return self.first + held[0], self.first + held[-1]


def sliding_windows(tokenizer, question, passage, maxlen=512, stride=128, question_maxlen=64):
    """The rows that a model of `maxlen` positions reads of a question and a passage, as BERT's.

    Args:
        tokenizer: a Tokenizer (or another one with `tokenize` and `rematch`).
        question, passage: the texts.
        maxlen: the most ids of a row.
        stride: how many tokens each window starts behind the one before it; what two neighbours
            share is `maxlen`, less the question and 3 special tokens, less `stride`.
        question_maxlen: the question is cut to so many tokens.

    Returns:
        List of `Window`, which hold all of the passage; only the last part may be short.

    Raises:
        ValueError: `stride` is below 1, or so large that tokens would be left out.

    Example:

    >>> from bert4keras_ext.tokenizers import Tokenizer
    >>> names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"谁写的？鲁迅了《呐喊》。"]
    >>> tokenizer = Tokenizer({name: number for number, name in enumerate(names)})
    >>> passage = "鲁迅写了《呐喊》。"
    >>> windows = sliding_windows(tokenizer, "谁写的？", passage, maxlen=12, stride=4)
    >>> [passage[slice(*window.reach)] for window in windows]
    ['鲁迅写了《', '《呐喊》。']
    >>> windows[0].places(0, 2), windows[1].places(0, 2)
    ((6, 7), None)
    >>> passage[slice(*windows[1].characters(7, 8))]
    '呐喊'

    Source: Devlin et al. 2018, arXiv 1810.04805 (its code calls the stride doc_stride).
    """
    head = tokenizer.tokenize(question, maxlen=question_maxlen + 2)
    tokens = tokenizer.tokenize(passage)
    spans = _character_spans(tokenizer.rematch(passage, tokens))[1:-1]
    tokens, end = tokens[1:-1], tokens[-1]
    room = maxlen - len(head) - 1
    if not 1 <= stride <= room:
        raise ValueError(
            f"expected a stride from 1 to {room}, the tokens that maxlen {maxlen} leaves for the "
            f"passage beside {len(head)} of the question, received {stride}"
        )
    starts = range(0, max(len(tokens) - room, 0) + stride, stride)
    return [
        Window(
            tokenizer.tokens_to_ids([*head, *tokens[start : start + room], end]),
            [0] * len(head) + [1] * (min(room, len(tokens) - start) + 1),
            len(head),
            spans[start : start + room],
            _reach(spans, start, start + room, len(passage)),
        )
        for start in starts
    ]


def _character_spans(mapping):
    """(start, end) of each token; one without characters stands at the end of the one before."""
    spans, last = [], 0
    for places in mapping:
        spans.append((places[0], places[-1] + 1) if places else (last, last))
        last = spans[-1][1]
    return spans


def _reach(spans, first, last, length):
    """From the end of the token before to the start of the token behind: white space is held."""
    start = spans[first - 1][1] if first else 0
    end = spans[last][0] if last < len(spans) else length
    return start, end
