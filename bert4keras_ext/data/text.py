"""Small tools for text: cutting, normalising, converting."""

import re
import unicodedata


def truncate_sequences(maxlen, indices, *sequences):
    """Drops single elements from the longest list until all lists together fit `maxlen`.

    The lists are changed in place. Of equally long lists the first gives way.

    Args:
        maxlen: total length allowed.
        indices: where each list loses its elements: one position for all lists, or one for each
            (`-1` the last element, `0` the first, `-2` keeps a closing token).
        *sequences: lists.

    Returns:
        The lists that were not empty at the start, in order.

    Raises:
        ValueError: the lists have run out of elements at that position, or `indices` has
            another length than `sequences`.
        TypeError: a sequence is not a list.

    Example:

    >>> truncate_sequences(5, -1, [1, 2, 3, 4], [5, 6, 7])
    [[1, 2], [5, 6, 7]]
    >>> truncate_sequences(4, 1, [1, 2, 3, 4, 5, 6])
    [[1, 4, 5, 6]]
    """
    if not isinstance(indices, (list, tuple)):
        indices = [indices] * len(sequences)
    if len(indices) != len(sequences):
        raise ValueError(f"expected {len(sequences)} indices, received {len(indices)}")
    # Paired before empty lists are left out: bert4keras pairs afterwards, and so shifts the
    # positions of all lists behind an empty one.
    pairs = [(index, sequence) for index, sequence in zip(indices, sequences) if sequence]
    for (index, sequence), length in zip(pairs, _fair_lengths(maxlen, [s for _, s in pairs])):
        _drop(sequence, index, len(sequence) - length)
    return [sequence for _, sequence in pairs]


def _fair_lengths(maxlen, sequences):
    lengths = [len(sequence) for sequence in sequences]
    for _ in range(sum(lengths) - max(maxlen, 0)):
        lengths[lengths.index(max(lengths))] -= 1
    return lengths


def _drop(sequence, index, count):
    """What `count` calls of `sequence.pop(index)` do, as one deletion."""
    if not isinstance(sequence, list):
        raise TypeError(f"expected lists to truncate, received {type(sequence).__name__}")
    if not count:
        return
    start = index if index >= 0 else len(sequence) + index + 1 - count
    if start < 0 or start + count > len(sequence):
        raise ValueError(
            f"cannot drop {count} elements at position {index} from a list of "
            f"{len(sequence)}; fix: a larger maxlen or another index"
        )
    del sequence[start : start + count]


def text_segmentate(text, maxlen, seps="\n", strips=None):
    """Cuts a text into pieces of at most `maxlen` characters, at separators only.

    Separators are tried in order: text that is still too long after the first is cut at the
    second, and so on. Neighbouring pieces are joined again as long as they fit. A stretch
    without any separator stays whole, however long it is.

    Args:
        text: the text.
        maxlen: wanted length of a piece.
        seps: separators, the strongest first: a string of characters or a list of strings. They
            stay at the end of their piece.
        strips: characters taken off both ends of each piece, after whitespace.

    Returns:
        List of strings.

    Example:

    >>> text_segmentate("好的。谢谢你。再见！", 6, seps="\\n。")
    ['好的。', '谢谢你。', '再见！']
    """
    text = text.strip().strip(strips)
    if not seps or len(text) <= maxlen:
        return [text]
    pieces = []
    for piece in _joined(text, seps[0], maxlen):
        pieces += text_segmentate(piece, maxlen, seps[1:], strips)
    return pieces


def _joined(text, sep, maxlen):
    """`text` cut behind every `sep`, neighbours joined while they fit in `maxlen`."""
    current = ""
    # Bodies at the even places, separators at the odd ones.
    for number, part in enumerate(re.split(f"({re.escape(sep)})", text)):
        is_body = part and number % 2 == 0
        # Room for one separator is kept, as bert4keras does, also where none follows.
        if is_body and current and len(current) + len(part) >= maxlen:
            yield current
            current = ""
        current += part
    if current:
        yield current


def lowercase_and_normalize(text, never_split=()):
    """Lower case without accents: NFD, then all combining marks are dropped.

    `never_split` holds words (special tokens) that pass unchanged.

    >>> lowercase_and_normalize("Café [MASK]", never_split=["[MASK]"])
    'cafe [MASK]'
    """
    if never_split:
        words = "|".join(map(re.escape, never_split))
        parts = re.split(f"({words})", text)
        return "".join(
            part if number % 2 else lowercase_and_normalize(part)
            for number, part in enumerate(parts)
        )
    text = text.lower()
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(char for char in decomposed if unicodedata.category(char) != "Mn")


# U+FF01..U+FF5E are ASCII's printable characters shifted; the ideographic space stands apart.
_HALF_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}


def strQ2B(text):
    """Full-width characters to half-width ones. (bert4keras' fails on Python 3.)

    >>> strQ2B("ＢＥＲＴ，１２３　好")
    'BERT,123 好'
    """
    return text.translate(_HALF_WIDTH)


def string_matching(s, keywords):
    """Whether at least one of the regular expressions `keywords` is found in `s`.

    >>> string_matching("Transformer-0-Norm/gamma", ["Norm", "bias"])
    True
    """
    return any(re.search(keyword, s) for keyword in keywords)


def convert_to_unicode(text, encoding="utf-8", errors="ignore"):
    """`text` as `str`; bytes are decoded.

    >>> convert_to_unicode("你好".encode())
    '你好'
    """
    return text.decode(encoding, errors) if isinstance(text, bytes) else text


def convert_to_str(text, encoding="utf-8", errors="ignore"):
    """The same as `convert_to_unicode`: on Python 3 the two kinds of string are one."""
    return convert_to_unicode(text, encoding, errors)


def is_string(s):
    """Whether `s` is a `str`.

    >>> is_string("好"), is_string(b"x")
    (True, False)
    """
    return isinstance(s, str)
