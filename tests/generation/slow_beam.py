"""Beam search with lists, slowly, in float64: what BeamSearch says, written another way."""

import numpy as np

from tests.generation.toy import log_softmax


def slow_beam(
    table, pair, limit, width, end_ids=(), length_penalty=1.0, early_stopping=False, forbid=None,
    temperature=1.0,
):  # fmt: skip
    """[(ids, score)], best first, of one row; ``forbid(ids)`` gives the tokens not to come next."""
    running, finished = [(0.0, [])], []
    for count in range(limit):
        candidates = []
        for score, ids in running:
            last = [*pair, *ids][-2:]
            gains = log_softmax(table[count, last[0], last[1]] / temperature)
            if forbid is not None:
                gains[list(forbid(ids))] = -np.inf
            candidates += [(score + g, ids, t) for t, g in enumerate(gains) if g > -np.inf]
        candidates.sort(key=lambda candidate: -candidate[0])
        candidates = candidates[: (1 + max(len(end_ids), 1)) * width]
        length, at_limit, running = count + 1, count + 1 == limit, []
        for rank, (score, ids, token) in enumerate(candidates):
            if token in end_ids or at_limit:
                if rank < width:
                    text = ids if token in end_ids else [*ids, token]
                    finished.append((score / length**length_penalty, text))
            else:
                running.append((score, [*ids, token]))
        finished = sorted(finished, key=lambda text: -text[0])[:width]
        running = running[:width]
        if not running or _may_stop(running[0][0], finished, width, length, limit, length_penalty,
                                    early_stopping):  # fmt: skip
            break
    return [(ids, score) for score, ids in finished]


def _may_stop(best, finished, width, length, limit, length_penalty, early_stopping):
    if len(finished) < width:
        return False
    if early_stopping is True:
        return True
    if early_stopping == "never" and length_penalty > 0:
        length = limit
    return best / length**length_penalty <= finished[-1][0]
