"""A toy model for searches: its next token follows the last two and the place, by a table."""

import numpy as np
from keras import ops

from bert4keras_ext.backend.compiled import compiled
from bert4keras_ext.generation import Generated, advance, begin

PLACES = 8  # new tokens that a table tells apart


def table_of(vocabulary, seed=0, scale=2.0):
    """float32 (PLACES, vocabulary, vocabulary, vocabulary): logits at a place after two tokens.

    Without places, texts that go round the same tokens in another order would have equal scores.
    """
    shape = (PLACES, vocabulary, vocabulary, vocabulary)
    return np.random.default_rng(seed).normal(0, scale, shape).astype("float32")


def stepper(table, width, dtype="float32"):
    """(logits of the first token from pairs (batch, 2), with the caches, and the step function)."""
    vocabulary = table.shape[-1]
    flat = ops.cast(ops.convert_to_tensor(table.reshape(-1, vocabulary)), dtype)

    def logits_of(place, last):
        pair = last[..., 0] * vocabulary + last[..., 1]
        return ops.take(flat, place % PLACES * vocabulary**2 + pair, axis=0)

    def first(pairs):
        last = ops.repeat(pairs[:, None], width, axis=1)
        return logits_of(0, last[:, :1]), {"last": last}

    def step(tokens, parents, count, caches):
        last = caches["last"]
        if parents is not None:
            last = ops.take_along_axis(last, parents[..., None], axis=1)
        last = ops.stack([last[..., 1], tokens], axis=-1)
        return logits_of(count + 1, last), {"last": last}

    return first, step


def program_of(search, table, dtype="float32"):
    """A function (pairs, tokens, prompt, rows, limit, noise) -> (results, invalid)."""

    def program(pairs, tokens, prompt, rows, limit, noise):
        first, step = stepper(table, search.width, dtype)
        logits, caches = first(pairs)
        more = {} if noise is None else {"noise": noise}
        state = search.start(tokens, limit, prompt, rows, **more)
        carry = begin(search, logits, state)
        carry, _ = advance(search, step, carry, caches, limit)
        return search.results(carry["state"]), carry["state"]["invalid"]

    return program


def open_axes(tensor):
    return (0, 2) if len(tensor.shape) == 3 and "int" in str(tensor.dtype) else (0, 1)


def arrays_of(search, pairs, limit, prompt=None, rows=None, noise=None):
    batch = len(pairs)
    return (
        np.asarray(pairs, "int32"),
        np.zeros((batch, search.width, limit), "int32"),
        np.full((batch, 1), -1, "int32") if prompt is None else np.asarray(prompt, "int32"),
        np.arange(batch, dtype="int32") if rows is None else np.asarray(rows, "int32"),
        np.asarray(limit, "int32"),
        noise if noise is None else np.asarray(noise, "float32"),
    )


def read(results):
    """[[(ids, score) of each continuation] of each row]."""
    tokens, lengths, scores = (ops.convert_to_numpy(x) for x in results)
    return [
        [(t[:n].tolist(), float(s)) for t, n, s in zip(*row)]
        for row in zip(tokens, lengths, scores)
    ]


def run(search, table, pairs, limit, dtype="float32", jit_compile=None, **arrays):
    """The texts and scores that a search finds, eagerly where ``jit_compile`` is None."""
    program = program_of(search, table, dtype)
    if jit_compile is not None:
        program = compiled(program, jit_compile, open_axes)
    results, invalid = program(*arrays_of(search, pairs, limit, **arrays))
    assert not ops.convert_to_numpy(invalid).any()
    return read(results)


def assert_close(found, expected, tolerance=1e-5):
    """The same texts, and nearly the same scores."""
    for row, other in zip(found, expected, strict=True):
        assert [ids for ids, _ in row] == [ids for ids, _ in other]
        scores = [[score for _, score in texts] for texts in (row, other)]
        np.testing.assert_allclose(*scores, rtol=tolerance, atol=tolerance)


def log_softmax(logits):
    logits = np.asarray(logits, "float64")
    largest = logits.max()
    if largest == -np.inf:
        return logits
    return logits - largest - np.log(np.exp(logits - largest).sum())


def all_texts(table, pair, limit, end_ids):
    """Every (ids, sum of log-probabilities, length with the end), in float64."""
    found, beginnings = [], [((), 0.0)]
    for length in range(1, limit + 1):
        longer = []
        for ids, score in beginnings:
            last = (*pair, *ids)[-2:]
            for token, gain in enumerate(log_softmax(table[length - 1, last[0], last[1]])):
                if token in end_ids:
                    found.append((list(ids), score + gain, length))
                else:
                    longer.append(((*ids, token), score + gain))
        beginnings = longer
    return found + [(list(ids), score, limit) for ids, score in beginnings]


def generated_of(news, prompts=None, capacity=None, rows=None):
    """A Generated from lists: of each row several texts of one length; and its prompt."""
    length = len(news[0][0])
    capacity = length + 2 if capacity is None else capacity
    tokens = np.full((len(news), len(news[0]), capacity), 1, "int32")  # what is not written is any
    tokens[..., :length] = np.reshape(news, (len(news), len(news[0]), length))
    prompts = [[]] * len(news) if prompts is None else prompts
    places = max([1, *map(len, prompts)])
    prompt = [[-1] * (places - len(ids)) + list(ids) for ids in prompts]
    rows = range(len(news)) if rows is None else rows
    return Generated(
        ops.array(tokens), ops.array(length, "int32"), ops.array(prompt, "int32"),
        ops.array(list(rows), "int32"),
    )  # fmt: skip
