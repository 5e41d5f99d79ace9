"""Many rows: their order, their batches, seeds, streams, votes and the progress bar."""

import numpy as np
import pytest

from tests.models.generation_cases import builder_of

STEPS = 6


@pytest.fixture(scope="module")
def builder():
    return builder_of("bert-unilm", num_hidden_layers=1)


def rows_of(count, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(4, 40, rng.integers(1, 12)).tolist() for _ in range(count)]


def test_results_come_in_the_order_of_the_inputs(builder, capfd):
    rows = rows_of(11)
    wanted = builder.generate(rows, max_new_tokens=STEPS)
    assert "tokens/s" not in capfd.readouterr().err  # one batch shows no bar
    assert builder.generate(rows, max_new_tokens=STEPS, batch_size=3) == wanted
    assert "tokens/s" in capfd.readouterr().err
    assert builder.generate(rows, max_new_tokens=STEPS, batch_size=3, progress=False) == wanted
    assert "tokens/s" not in capfd.readouterr().err
    builder.generate(rows[:2], max_new_tokens=STEPS, progress=True)
    assert "tokens/s" in capfd.readouterr().err
    order = np.random.default_rng(1).permutation(11)
    found = builder.generate([rows[i] for i in order], max_new_tokens=STEPS)
    assert found == [wanted[i] for i in order]


def test_samples_depend_on_the_seed_and_their_row_alone(builder):
    rows = rows_of(5)
    settings = dict(max_new_tokens=STEPS, method="sample", topk=20, temperature=3.0, progress=False)
    wanted = builder.generate(rows, seed=4, **settings)
    assert builder.generate(rows, seed=4, batch_size=2, **settings) == wanted
    assert builder.generate(rows[:2], seed=4, **settings) == wanted[:2]
    assert builder.generate(rows[:1] + rows_of(4, seed=9), seed=4, **settings)[0] == wanted[0]
    assert builder.generate(rows, seed=5, **settings) != wanted
    assert builder.generate(rows, **settings) != builder.generate(rows, **settings)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "settings", [dict(end_id=[7, 9, 29, 6]), dict(method="sample", seed=3, topk=9)], ids=str
)
def test_a_stream_is_what_generate_writes(builder, settings):
    rows = rows_of(4)
    wanted = builder.generate(rows, max_new_tokens=STEPS, **settings)
    pieces = list(builder.stream(rows, max_new_tokens=STEPS, **settings))
    found = [[piece[i] for piece in pieces if piece[i] is not None] for i in range(4)]
    assert found == wanted
    (alone,) = builder.generate(rows[:1], max_new_tokens=STEPS, **settings)
    assert list(builder.stream(rows[:1], max_new_tokens=STEPS, **settings)) == alone


@pytest.mark.exhaustive
def test_several_ends(builder):
    rows = rows_of(6)
    whole = builder.generate(rows, max_new_tokens=STEPS)
    ends = {whole[0][2], whole[1][0]}
    found = builder.generate(rows, max_new_tokens=STEPS, end_id=sorted(ends))
    for text, written in zip(whole, found):
        places = [i for i, token in enumerate(text) if token in ends]
        assert written == text[: places[0] if places else STEPS]


@pytest.mark.exhaustive
def test_votes_are_counted_by_hand(builder):
    """Greedy answers of groups against a loop over the plain model's probabilities."""
    rows, counts, end = rows_of(5), [2, 3], 7
    found = builder.generate(rows, votes=counts, max_new_tokens=4, end_id=end)
    ones = builder.generate(rows, votes=[1] * 5, max_new_tokens=4, end_id=end)
    split = builder.generate(rows, votes=counts, max_new_tokens=4, end_id=end, batch_size=1)
    assert ones == builder.generate(rows, max_new_tokens=4, end_id=end)
    assert found == split == [voted(builder, rows[:2], end), voted(builder, rows[2:], end)]


def voted(builder, rows, end, steps=4):
    from tests.models.generation_cases import logs, plain_logits

    def chances(row, text):
        return np.exp(logs(plain_logits(builder, row, text)[-1]))

    rows = [row for row in rows if chances(row, []).argmax() != end]
    text = []
    while rows and len(text) < steps:
        p = np.array([chances(row, text) for row in rows])
        token = int(((p**2).sum(0) / (1 + p.sum(0))).argmax())
        if token == end:
            break
        text.append(token)
    return text
