"""AutoRegressiveDecoder: bert4keras' recordings, and what its scripts do with it."""

import keras
import numpy as np
import pytest

from bert4keras_ext import snippets
from bert4keras_ext.generation import AutoRegressiveDecoder
from tests.generation.tables import TableStepper, lists, recorded, softmax, table_decoder

BEAM_CASES, TABLE = recorded("beam_search")
SAMPLE_CASES = recorded("random_sample")[0]


def decoder_of(case, cached):
    decoder = table_decoder(case["rtype"])(
        TABLE, case.get("start_id"), case["end_id"], case["maxlen"], case["minlen"]
    )
    return decoder.use_cache(TableStepper(TABLE)) if cached else decoder


@pytest.mark.parametrize("cached", [False, True])
def test_beam_search_gives_the_recorded_results(cached):
    assert len(BEAM_CASES) == 192
    for case in BEAM_CASES:
        found = decoder_of(case, cached).beam_search(
            [case["src"]], case["topk"], temperature=case["temperature"], min_ends=case["min_ends"]
        )
        assert found.tolist() == case["out"], case


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize(
    "case", SAMPLE_CASES, ids=lambda c: f"{c['rtype']}-{c['topk']}-{c['topp']}"
)
def test_random_sample_gives_the_recorded_draws(case, cached):
    np.random.seed(case["np_random_seed"])
    found = decoder_of(case, cached).random_sample(
        [case["src"]], case["n"], case["topk"], case["topp"]
    )
    assert lists(found) == case["out"]


def test_a_seed_leaves_the_global_state_alone():
    decoder = table_decoder()(TABLE, None, 4, 10)
    np.random.seed(3)
    wanted = np.random.random()
    np.random.seed(3)
    found = [lists(decoder.random_sample([[1, 3]], 4, topk=3, seed=seed)) for seed in (5, 5, 6)]
    assert found[0] == found[1] != found[2]
    generator = np.random.default_rng(5)
    assert lists(decoder.random_sample([[1, 3]], 4, topk=3, seed=generator)) == found[0]
    assert lists(decoder.random_sample([[1, 3]], 4, topk=3, seed=generator)) != found[0]
    assert np.random.random() == wanted


class Remembering(table_decoder()):
    """Keeps the tokens of each row in states, a tree, and checks that they follow their rows."""

    in_tensors = False

    @AutoRegressiveDecoder.wraps(use_states=True)
    def predict(self, inputs, output_ids, states):
        rows, count, shared = states["rows"]["ids"], states["count"], states["shared"]
        rows = np.concatenate([keras.ops.convert_to_numpy(rows), output_ids[:, -1:]], axis=1)
        np.testing.assert_array_equal(rows, output_ids)
        assert count == output_ids.shape[1] - 1 and shared is SHARED
        ids = np.concatenate([inputs[0], output_ids], 1)
        rows = keras.ops.convert_to_tensor(rows) if self.in_tensors else rows
        states = {"rows": {"ids": rows}, "count": count + 1, "shared": shared, "none": None}
        return softmax(self.table[ids[:, -2], ids[:, -1]]), states


SHARED = object()


@pytest.mark.parametrize("in_tensors", [False, True])
def test_states_follow_their_rows(in_tensors):
    plain, decoder = table_decoder()(TABLE, 2, 4, 9), Remembering(TABLE, 2, 4, 9)
    decoder.in_tensors = in_tensors
    states = {"rows": {"ids": np.zeros((1, 0), int)}, "count": 0, "shared": SHARED}
    for topk in (1, 3, 5):
        found = decoder.beam_search([[1, 3]], topk, states)
        assert found.tolist() == plain.beam_search([[1, 3]], topk).tolist()
    found = decoder.random_sample([[1, 3]], 5, states=states, seed=0)
    assert lists(found) == lists(plain.random_sample([[1, 3]], 5, seed=0))


def test_states_without_rows_stay_the_same_object():
    seen, log = [], {"steps": []}

    class Counting(table_decoder()):
        @AutoRegressiveDecoder.wraps(use_states=True)
        def predict(self, inputs, output_ids, states):
            seen.append(states)
            states["steps"].append(len(output_ids))
            return softmax(self.table[output_ids[:, -1], output_ids[:, -1]]), states

    Counting(TABLE, 2, 4, 5).beam_search([[1, 3]], 3, log)
    assert all(states is log for states in seen) and log["steps"][:2] == [1, 3]


def test_passages_vote_as_in_the_reading_script():
    """Marks passages by writing into its inputs, and counts its steps in states."""
    passages = {10: softmax(TABLE[0]), 11: softmax(TABLE[1]), 12: np.eye(12)[[4] * 12]}

    class Reader(AutoRegressiveDecoder):
        @AutoRegressiveDecoder.wraps(default_rtype="probas", use_states=True)
        def predict(self, inputs, output_ids, states):
            inputs = [x for x in inputs if x[0, 0] > -1]
            found = np.array([passages[x[0, 0]][output_ids[:, -1]] for x in inputs])
            if states == 0:
                for i, x in enumerate(inputs):
                    if found[i, 0].argmax() == self.end_id:
                        x[:, 0] = -1
                found = found[[x[0, 0] > -1 for x in inputs]]
            self.voters.append(len(found))
            return (found**2).sum(0) / (found.sum(0) + 1), states + 1

    decoder = Reader(2, 4, 6)
    decoder.voters = []
    found = decoder.beam_search([[10, 1], [11], [12, 1, 1]], 3, states=0)
    assert set(decoder.voters) == {2} and len(decoder.voters) > 2
    two = Reader(2, 4, 6)
    two.voters = []
    assert two.beam_search([[10, 1], [11]], 3, states=0).tolist() == found.tolist()


def test_decorator_under_its_old_name():
    class Old(AutoRegressiveDecoder):
        @AutoRegressiveDecoder.set_rtype("probas")
        def predict(self, inputs, output_ids, step):
            return np.full((len(output_ids), 3), 1 / 3)

    assert len(Old(start_id=None, end_id=2, maxlen=4).random_sample([[1]], 5)) == 5


def test_decorated_predict_can_be_called():
    decoder = table_decoder("logits")(TABLE, None, 4, 8)
    logits, arguments = TABLE[[1], [3]], ([np.array([[1, 3]])], np.zeros((1, 0), int))
    found, states = decoder.predict(*arguments, None, 0.5, "probas")
    np.testing.assert_allclose(found, softmax(logits / 0.5))
    assert states is None
    found, _ = decoder.predict(*arguments)  # the kind that it returns itself
    np.testing.assert_allclose(found, np.log(softmax(logits) + 1e-12))


def test_predict_without_decorator_may_take_all_arguments():
    class Own(AutoRegressiveDecoder):
        def predict(self, inputs, output_ids, states, temperature, rtype):
            assert (temperature, rtype) == (0.5, "logits")
            return np.log([[0.1, 0.9]] * len(output_ids)), None

    assert Own(None, 1, 4, minlen=3).beam_search([], 2, temperature=0.5).tolist() == [1, 1, 1]


def test_temperature_0_is_greedy():
    decoder = table_decoder()(TABLE, None, 4, 8)
    greedy = decoder.beam_search([[1, 3]], 1).tolist()
    assert lists(decoder.random_sample([[1, 3]], 3, temperature=0)) == [greedy] * 3
    assert decoder.beam_search([[1, 3]], 3, temperature=0).tolist() == greedy


def test_outputs_that_never_end_have_maxlen_tokens():
    decoder = table_decoder()(TABLE, None, -1, 6)
    assert len(decoder.beam_search([[1, 3]], 3)) == 6
    assert [len(ids) for ids in decoder.random_sample([[1, 3]], 3)] == [6] * 3


def test_topk_may_exceed_the_vocabulary():
    decoder = table_decoder()(TABLE, None, 4, 4)
    assert (
        decoder.beam_search([[1, 3]], 500).tolist() == decoder.beam_search([[1, 3]], 144).tolist()
    )
    found = decoder.random_sample([[1, 3]], 4, topk=500, seed=1)
    assert lists(found) == lists(decoder.random_sample([[1, 3]], 4, seed=1))


def test_constructor_takes_the_cache():
    decoder = table_decoder()(TABLE, None, 4, 8, transformer=TableStepper(TABLE))
    plain = table_decoder()(TABLE, None, 4, 8)
    assert decoder.beam_search([[1, 3]], 3).tolist() == plain.beam_search([[1, 3]], 3).tolist()
    decoder.stepper.table = TABLE[::-1]
    assert decoder.beam_search([[1, 3]], 3).tolist() != plain.beam_search([[1, 3]], 3).tolist()
    assert decoder.use_cache(None).stepper is None
    assert decoder.beam_search([[1, 3]], 3).tolist() == plain.beam_search([[1, 3]], 3).tolist()

    class Builder:
        def stepper(self):
            return TableStepper(TABLE)

    assert isinstance(decoder.use_cache(Builder()).stepper, TableStepper)


def test_a_cache_is_told_how_much_room_it_needs():
    class Roomy(TableStepper):
        def prepare(self, rows, steps):
            self.room, self.used, self.steps = (rows, steps), 0, 1

        def step(self, tokens, parents):
            self.used, self.steps = max(self.used, len(tokens)), self.steps + 1
            return super().step(tokens, parents)

    decoder = table_decoder()(TABLE, 2, -1, 5, transformer=Roomy(TABLE))
    for search in (decoder.beam_search, decoder.random_sample):
        search([[1, 3]], 3)
        assert decoder.stepper.room == (decoder.stepper.used, decoder.stepper.steps) == (3, 5)


def test_flat_name():
    assert snippets.AutoRegressiveDecoder is AutoRegressiveDecoder


def predicting(outputs, **kwargs):
    """A decoder that gives these outputs for every row."""

    class Predicting(AutoRegressiveDecoder):
        @AutoRegressiveDecoder.wraps(**kwargs)
        def predict(self, inputs, output_ids, states):
            return outputs

    return Predicting(None, 1, 4)


NAN = np.array([[0.5, np.nan, 0.5]])
BAD_SEARCHES = {
    "not defined": (lambda: AutoRegressiveDecoder(None, 1, 4), {}, "defines no predict"),
    "all positions": (lambda: predicting(np.ones((1, 3, 5))), {}, r"\(1, 3, 5\).*last_token"),
    "rows": (lambda: predicting(np.ones((2, 5))), {}, "1 rows.*found the shape"),
    "nan": (lambda: predicting(NAN), {}, "found NaN"),
    "nan logits": (lambda: predicting(NAN, default_rtype="logits"), {}, "found NaN"),
    "inf": (lambda: predicting([[1, np.inf]], default_rtype="logits"), {}, r"\+inf"),
    "logits": (lambda: predicting([[1.0, -2.0]]), {}, r"found -2: .*wraps\('logits'\)"),
    "pair": (lambda: predicting((np.ones((1, 3)), 0)), {}, "use_states=True"),
    "no pair": (lambda: predicting(np.ones((1, 3)), use_states=True), {}, r"\(outputs, states\)"),
    "vocabulary": (lambda: predicting([[1.0]]), {}, "end_id=1 is beyond the 1 tokens"),
    "topk": (lambda: predicting([[0.0, 1.0]]), dict(topk=0), "topk expects an integer >= 1"),
    "ends": (lambda: predicting([[0.0, 1.0]]), dict(min_ends=0), "min_ends expects"),
    "heat": (lambda: predicting([[0.0, 1.0]]), dict(temperature=-1), "temperature expects"),
}


@pytest.mark.parametrize("name", BAD_SEARCHES)
def test_errors_of_beam_search(name):
    make, arguments, message = BAD_SEARCHES[name]
    with pytest.raises((ValueError, NotImplementedError), match=message):
        make().beam_search([[1]], **{"topk": 2, **arguments})


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(n=0), "n expects"),
        (dict(topk=0), "topk expects"),
        (dict(topp=0), "0 < topp <= 1, received 0"),
        (dict(topp=1.5), "0 < topp <= 1, received 1.5"),
        (dict(min_ends=-1), "min_ends expects"),
    ],
)
def test_errors_of_random_sample(arguments, message):
    with pytest.raises(ValueError, match=message):
        predicting([[0.0, 1.0]]).random_sample([[1]], **{"n": 2, **arguments})
    with pytest.raises(ValueError, match="no token has any probability left"):
        predicting([[0.0, 0.0]]).random_sample([[1]], 2)


def test_errors_of_definitions():
    with pytest.raises(ValueError, match="end_id expects.*end_id=-1"):
        AutoRegressiveDecoder(None, None, 4)
    with pytest.raises(ValueError, match="minlen <= 4, received maxlen=4 and minlen=5"):
        AutoRegressiveDecoder(None, 1, 4, minlen=5)
    AutoRegressiveDecoder(2, 1, 4, minlen=5)
    with pytest.raises(ValueError, match="maxlen >= 1"):
        AutoRegressiveDecoder(None, 1, 0)
    with pytest.raises(ValueError, match="default_rtype"):

        class Forgotten(AutoRegressiveDecoder):
            @AutoRegressiveDecoder.wraps
            def predict(self, inputs, output_ids, states):
                pass

    class Undecorated(AutoRegressiveDecoder):
        def predict(self, inputs, output_ids, states):
            pass

    with pytest.raises(TypeError, match="Undecorated.predict takes no temperature.*decorate it"):
        Undecorated(None, 1, 4).beam_search([[1]], 2)
    with pytest.raises(ValueError, match="rtype expects"):
        predicting([[1.0]]).predict([], np.zeros((1, 0)), rtype="scores")
    with pytest.raises(TypeError, match="without start and step"):
        predicting([[1.0]]).use_cache(object())
    with pytest.raises(ValueError, match="states are for predict"):
        predicting([[1.0]]).use_cache(TableStepper(TABLE)).beam_search([[1]], 2, states=0)
