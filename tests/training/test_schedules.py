import keras
import numpy as np
import pytest

from bert4keras_ext.training import WarmupDecay


def test_rises_linearly_then_falls_linearly_to_zero():
    rate = WarmupDecay(2.0, total_steps=10, warmup_steps=4)
    values = [float(rate(step)) for step in range(13)]
    np.testing.assert_allclose(values[:5], [0.5, 1.0, 1.5, 2.0, 2.0], rtol=1e-6)
    np.testing.assert_allclose(values[7], 1.0, rtol=1e-6)
    assert values[10:] == [0.0, 0.0, 0.0]


def test_without_warmup_begins_at_the_top():
    assert float(WarmupDecay(0.5, total_steps=4)(0)) == 0.5


def test_config_round_trip_inside_an_optimizer():
    rate = WarmupDecay(0.1, total_steps=8, warmup_steps=2)
    config = keras.optimizers.serialize(keras.optimizers.Adam(rate))
    again = keras.optimizers.deserialize(config)._learning_rate
    assert isinstance(again, WarmupDecay)
    assert again.get_config() == rate.get_config()


@pytest.mark.parametrize("warmup, total", [(5, 5), (-1, 5), (0, 0)])
def test_impossible_steps(warmup, total):
    with pytest.raises(ValueError, match="0 <= warmup_steps < total_steps"):
        WarmupDecay(0.1, total, warmup)
