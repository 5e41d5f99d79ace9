"""Every recorded BERT of bert4keras: checkpoint in, outputs, layer names and weight order equal."""

import pytest

from tests.models.recorded_models import bert4keras_cases, check_bert4keras_case

BERT = [n for n, case in bert4keras_cases().items() if case["model"] in ("bert", "roberta")]


@pytest.mark.parametrize("name", BERT)
def test_equals_bert4keras(name):
    # Float32 rounding through two layers is about 2e-6 here.
    check_bert4keras_case(name, tolerance=2e-5)


def test_all_28_recorded_berts_were_compared():
    assert len([name for name in BERT if name != "roberta"]) == 27 and "roberta" in BERT
