"""AutoRegressiveDecoder over a cached step: the results of bert4keras' own way, call by call."""

import numpy as np
import pytest

from bert4keras_ext.generation import AutoRegressiveDecoder
from bert4keras_ext.models import build_transformer_model

SIZES = dict(
    vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
    intermediate_size=32, hidden_act="gelu", max_position=160,
    pad_token_id=-1,  # else a text with token 0 in it is another one to the plain model
)  # fmt: skip
END = 3


def randomized(builder, seed=0):
    rng = np.random.default_rng(seed)
    model = builder.model
    model.set_weights([w + rng.normal(0, 0.3, w.shape) for w in model.get_weights()])
    return builder


@pytest.fixture(scope="module")
def unilm():
    builder = build_transformer_model(SIZES, application="unilm", return_keras_model=False)
    return randomized(builder)


@pytest.fixture(scope="module")
def gpt():
    config = {**SIZES, "segment_vocab_size": 0}
    return randomized(build_transformer_model(config, model="gpt", return_keras_model=False))


@pytest.fixture(scope="module")
def t5():
    config = {**SIZES, "hidden_act": ["gelu", "linear"]}
    return randomized(build_transformer_model(config, model="mt5.1.1", return_keras_model=False))


class Title(AutoRegressiveDecoder):
    """As bert4keras' script of titles writes it."""

    builder = None

    @AutoRegressiveDecoder.wraps(default_rtype="probas")
    def predict(self, inputs, output_ids, states):
        tokens, segments = inputs
        tokens = np.concatenate([tokens, output_ids], 1)
        segments = np.concatenate([segments, np.ones_like(output_ids)], 1)
        return self.last_token(self.builder.model).predict([tokens, segments])


class Story(AutoRegressiveDecoder):
    builder = None

    @AutoRegressiveDecoder.wraps(default_rtype="probas")
    def predict(self, inputs, output_ids, states):
        tokens = np.concatenate([inputs[0], output_ids], 1)
        return self.last_token(self.builder.model).predict(tokens)


class T5Title(AutoRegressiveDecoder):
    builder = None

    @AutoRegressiveDecoder.wraps(default_rtype="probas")
    def predict(self, inputs, output_ids, states):
        return self.last_token(self.builder.decoder).predict([inputs[0], output_ids])


def both(cls, builder, start_id=None, maxlen=20):
    plain = cls(start_id=start_id, end_id=END, maxlen=maxlen)
    plain.builder = builder
    return plain, cls(start_id=start_id, end_id=END, maxlen=maxlen, transformer=builder)


def assert_same(plain, cached, inputs):
    for topk in (1, 4):
        wanted = plain.beam_search(inputs, topk=topk)
        np.testing.assert_array_equal(cached.beam_search(inputs, topk=topk), wanted)
    wanted = plain.random_sample(inputs, 5, topk=20, topp=0.9, seed=1)
    found = cached.random_sample(inputs, 5, topk=20, topp=0.9, seed=1)
    assert [x.tolist() for x in found] == [x.tolist() for x in wanted]


def test_unilm(unilm):
    plain, cached = both(Title, unilm)
    for length in (4, 7):
        assert_same(plain, cached, [np.arange(5, 5 + length), np.zeros(length, "int")])


def test_language_model_with_a_start_token(gpt):
    assert_same(*both(Story, gpt, start_id=7), [[5, 6, 9]])
    assert_same(*both(Story, gpt), [[5, 6, 9]])


def test_t5_from_the_states_of_its_encoder(t5):
    states = t5.encoder.predict(np.array([[5, 6, 9, 8]]), verbose=0)[0]
    assert_same(*both(T5Title, t5, start_id=0), [states])


def test_t5_from_ids_of_the_source(t5):
    states = t5.encoder.predict(np.array([[5, 6, 9, 8]]), verbose=0)[0]
    plain, cached = both(T5Title, t5, start_id=0)
    wanted = plain.beam_search([states], topk=3)
    np.testing.assert_array_equal(cached.beam_search([[5, 6, 9, 8]], topk=3), wanted)


def test_more_tokens_than_there_was_room_for(gpt):
    plain, cached = both(Story, gpt, maxlen=140)
    plain.end_id = cached.end_id = -1
    wanted = plain.beam_search([[5, 6]], topk=2)
    np.testing.assert_array_equal(cached.beam_search([[5, 6]], topk=2), wanted)
    assert len(wanted) == 140


def test_the_window_is_an_error_and_not_a_wrong_text(gpt):
    _, cached = both(Story, gpt, maxlen=200)
    cached.end_id = -1
    with pytest.raises(ValueError, match="160 positions|has positions"):
        cached.beam_search([np.arange(5, 35)], topk=1)
