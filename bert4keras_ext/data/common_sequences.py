"""What two sequences have in common: the longest substring and the longest subsequence."""


def longest_common_substring(source, target):
    """The longest stretch that both sequences contain.

    Of equally long ones it is that which ends first in `source`, and there in `target`.
    About len(source) searches in `target`, each of them in C: 10,000 characters take
    milliseconds.

    Args:
        source, target: strings, or sequences of hashable elements.

    Returns:
        (length, (start in source, end, start in target, end)); zeros if nothing is common.

    Example:

    >>> longest_common_substring("abcde", "zabcx")
    (3, (0, 3, 1, 4))
    """
    source, target = _as_strings(source, target)
    length = source_end = 0
    # A longest match can only grow by one element when the end moves by one.
    for end in range(1, len(source) + 1):
        if source[end - length - 1 : end] in target:
            length, source_end = length + 1, end
    if not length:
        return 0, (0, 0, 0, 0)
    start = target.find(source[source_end - length : source_end])
    return length, (source_end - length, source_end, start, start + length)


def _as_strings(*sequences):
    """Sequences of anything hashable as strings in which equal elements are equal characters."""
    if all(isinstance(sequence, str) for sequence in sequences):
        return sequences
    codes = {}
    return tuple(
        "".join(chr(codes.setdefault(element, len(codes))) for element in sequence)
        for sequence in sequences
    )


def longest_common_subsequence(source, target):
    """The longest sequence that both contain in this order, gaps allowed.

    Rows of the dynamic programme are single long integers, one bit for each place of `target`
    (Hyyrö 2004, "Bit-parallel LCS-length computation revisited"), so 10,000 against 10,000
    characters take a fraction of a second and some ten megabytes.

    Args:
        source, target: strings, or sequences of hashable elements.

    Returns:
        (length, list of pairs (position in source, position in target)), in order. Of several
        solutions it is the one that bert4keras finds.

    Example:

    >>> longest_common_subsequence("abcde", "zabcx")
    (3, [(0, 1), (1, 2), (2, 3)])
    """
    rows = _bit_rows(source, target)
    i, j = len(source), len(target)
    length = remaining = rows[i].bit_count()
    pairs = []
    while remaining:
        if source[i - 1] == target[j - 1]:
            i, j, remaining = i - 1, j - 1, remaining - 1
            pairs.append((i, j))
        elif _length(rows[i - 1], j) == remaining:
            i -= 1
        else:
            j -= 1
    return length, pairs[::-1]


def _bit_rows(source, target):
    """Row i has bit j set where target's place j lengthens what source[:i] shares with it."""
    places = {}
    for j, element in enumerate(target):
        places[element] = places.get(element, 0) | (1 << j)
    every = (1 << len(target)) - 1
    unset, rows = every, [0]
    for element in source:
        matches = unset & places.get(element, 0)
        unset = ((unset + matches) | (unset - matches)) & every
        rows.append(every & ~unset)
    return rows


def _length(row, j):
    """How long the common subsequence with target[:j] is."""
    return (row & ((1 << j) - 1)).bit_count()
