"""How sequences of tokens lose what is too much."""


def truncate(sequences, maxlen, position):
    """Drops items, one by one from the longest sequence, until maxlen are left in all.

    Args:
        sequences: one or two lists, left as they are.
        maxlen: the sum of lengths to reach.
        position: index of the item to drop each time, counted in what is left: -2 is the one
            before the last.

    Returns the list of shortened sequences; of two equally long ones the first loses first.
    """
    lengths = [len(sequence) for sequence in sequences]
    excess = sum(lengths) - maxlen
    if excess <= 0:
        return sequences
    return [
        _without(sequence, position, count)
        for sequence, count in zip(sequences, _shares(lengths, excess))
    ]


def _shares(lengths, excess):
    """How many items each sequence loses."""
    if len(lengths) == 1:
        return [excess]
    ahead = min(abs(lengths[0] - lengths[1]), excess)
    alternating = excess - ahead
    shares = [(alternating + 1) // 2, alternating // 2]
    shares[lengths[1] > lengths[0]] += ahead
    return shares


def _without(sequence, position, count):
    """The sequence after `count` times `del sequence[position]`."""
    if count == 0:
        return sequence
    # From the left the gap begins at the position, from the right it ends there.
    start = position if position >= 0 else len(sequence) + position + 1 - count
    if start < 0 or start + count > len(sequence):
        raise ValueError(
            f"truncate_from: cannot drop {count} of {len(sequence)} tokens at position "
            f"{position}: too few tokens stand there. Give 'right', 'left', a position nearer "
            f"to the {'beginning' if position >= 0 else 'end'}, or a larger maxlen"
        )
    return sequence[:start] + sequence[start + count :]
