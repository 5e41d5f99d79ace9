"""The schedule of extend_with_piecewise_linear_lr against bert4keras' recordings."""

import numpy as np
import pytest

from bert4keras_ext.optimizers.piecewise_linear_lr import piecewise_linear
from tests.shared import oracle

# The schedules that were recorded at steps 0 to 59.
SCHEDULES = [{10: 1, 40: 0.1}, {0: 1, 20: 0}, {5: 2}, {0: 1, 10: 1, 40: 0.1},
             {1: 1, 2: 0.5, 30: 0.25}]  # fmt: skip


@pytest.mark.parametrize("number", range(5))
def test_equals_bert4keras(number):
    recorded = np.load(oracle("bert4keras") / "backend.npz")[f"piecewise_linear/{number}"]
    found = [float(piecewise_linear(step, SCHEDULES[number])) for step in range(60)]
    np.testing.assert_allclose(found, recorded, atol=1e-6)
