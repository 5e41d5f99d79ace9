"""Pseudo summaries: sentences of a text that say best what the others say, as T5-PEGASUS takes."""

from bert4keras_ext.data.text import text_segmentate


def summary_chunks(text, sentence_length=32, chunk_length=768, min_sentences=3, seps="\n。"):
    """Cuts a text into chunks of sentences, each long enough to be split into text and summary.

    Sentences are what lies between line ends and full stops, neighbours joined as long as they are
    within `sentence_length` characters together. A chunk is closed when the next sentence would
    take it beyond `chunk_length` and it has `min_sentences`; what is left over in the end makes one
    more chunk if it has as many.

    Args:
        text: str.
        sentence_length: wanted number of characters of a sentence.
        chunk_length: wanted number of characters of a chunk; T5-PEGASUS takes 1.5 times the number
            of tokens that source and target may have together (512).
        min_sentences: the fewest sentences of a chunk.
        seps: separators of sentences, the strongest first; they stay with their sentence.

    Yields:
        Lists of str.

    Example:

    >>> list(summary_chunks("一号线。二号线。三号线。四号线。五号线。", 5, 8, 2))
    [['一号线。', '二号线。'], ['三号线。', '四号线。']]
    """
    chunk, length = [], 0
    for sentence in text_segmentate(text, sentence_length, seps):
        if not sentence:
            continue
        if length + len(sentence) > chunk_length and len(chunk) >= min_sentences:
            yield chunk
            chunk, length = [], 0
        chunk.append(sentence)
        length += len(sentence)
    if len(chunk) >= max(min_sentences, 1):
        yield chunk


def pseudo_summary(sentences, rate=0.25):
    """Splits the sentences of a chunk into a text (source) and its summary (target).

    See `summary_sentences` for the choice.

    Args:
        sentences: list of at least two str.
        rate: how long, relative to the source, the target has to become.

    Returns:
        source, target: two str, the sentences in their order.

    Example:

    >>> pseudo_summary(["今天北京下大雨。", "有人没带伞。", "雨很大，北京今天堵车。"])
    ('有人没带伞。雨很大，北京今天堵车。', '今天北京下大雨。')
    """
    sentences = _checked(sentences)
    source, target = summary_sentences(sentences, rate)
    return "".join(sentences[i] for i in source), "".join(sentences[i] for i in target)


def summary_sentences(sentences, rate=0.25):
    r"""Which sentences make the source and which the target of a pseudo summary.

    One after the other the target takes the sentence $i$ that maximises

    $$ \mathrm{LCS}(S \setminus i,\; T \cup i), $$

    the number of characters of the longest common subsequence of source and target, each joined in
    order of the text; of equals the first. That ends when the target is longer than `rate` times
    the source, or one sentence is left. The shorter one becomes the target.

    A common subsequence is counted with long integers, a bit for each character of the text
    (Hyyrö 2004): 768 characters in sentences of about 32 take some milliseconds.

    Args:
        sentences: list of at least two str.
        rate: how long, relative to the source, the target has to become.

    Returns:
        Two lists of indices, increasing: source, target.

    Raises:
        ValueError: fewer than two sentences.
        TypeError: sentences is a str, or one of them is none.

    Example:

    >>> summary_sentences(["今天北京下大雨。", "有人没带伞。", "雨很大，北京今天堵车。"])
    ([1, 2], [0])

    Source: Su 2021, "T5 PEGASUS", https://kexue.fm/archives/8209; the idea: Zhang et al. 2019,
    "PEGASUS", arXiv 1912.08777.
    """
    sentences = _checked(sentences)
    text = _TextBits(sentences)
    source, target = list(range(len(sentences))), []

    def length(indices):
        return sum(len(sentences[i]) for i in indices)

    is_done = False
    while not is_done:
        best = max(source, key=lambda i: text.common(sorted([*target, i])))  # the first of equals
        source.remove(best)
        target = sorted([*target, best])
        # All sentences left may be empty.
        is_done = len(source) == 1 or length(target) / max(length(source), 1e-9) > rate
    return (target, source) if length(source) < length(target) else (source, target)


class _TextBits:
    """Where each character of a text stands, as bits of integers."""

    def __init__(self, sentences):
        self.sentences = sentences
        self.places = {}
        self.spans = []  # the bits of each sentence
        start = 0
        for sentence in sentences:
            for position, char in enumerate(sentence, start):
                self.places[char] = self.places.get(char, 0) | (1 << position)
            self.spans.append(((1 << len(sentence)) - 1) << start)
            start += len(sentence)
        self.every = (1 << start) - 1

    def common(self, target):
        """Length of what the target's sentences, joined, have in common with the others, joined.

        Characters of the target keep their bits, but match nothing, which leaves the length as it
        is: no text has to be joined anew.
        """
        outside = 0
        for i in target:
            outside |= self.spans[i]
        allowed, places = self.every & ~outside, self.places
        unset = self.every
        for i in target:
            for char in self.sentences[i]:
                matches = unset & places[char] & allowed
                if matches:
                    unset = (unset + matches) | (unset - matches)
        # Carries have gone beyond the last character.
        return (self.every & ~unset).bit_count()


def _checked(sentences):
    if isinstance(sentences, str):
        raise TypeError(
            "sentences: expected a list of str, found one str. Cut it with summary_chunks(text)"
        )
    sentences = list(sentences)
    for sentence in sentences:
        if not isinstance(sentence, str):
            raise TypeError(
                f"sentences: expected a list of str, found {type(sentence).__name__} in it "
                f"({sentence!r:.60})"
            )
    if len(sentences) < 2:
        raise ValueError(
            f"sentences: expected at least two, one for the source and one for the target, found "
            f"{len(sentences)}. Leave such texts out, or cut them into shorter sentences"
        )
    return sentences
