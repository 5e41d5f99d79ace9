"""Bars where they are asked for, or where work takes long."""

import pytest

from bert4keras_ext import metrics
from bert4keras_ext.metrics import progress

TEXTS = ["今天"] * 3
SPANS = [[(0, 1)]] * 3
IDS = {"1": "甲", "2": "乙"}
CALLS = [
    (metrics.rouge_corpus, TEXTS),
    (metrics.corpus_bleu, TEXTS),
    (metrics.generation_scores, TEXTS),
    (metrics.span_f1, SPANS),
    (metrics.cmrc2018_score, IDS),
    (metrics.sogou_qa_score, IDS),
    (metrics.webqa_score, IDS),
]


@pytest.mark.parametrize("call, rows", CALLS, ids=lambda x: getattr(x, "__name__", ""))
def test_every_long_one_has_a_bar(call, rows, capsys, monkeypatch):
    shown = {}
    for wish in (True, False, None):
        call(rows, rows, progress=wish)
        shown[wish] = capsys.readouterr().err
    assert f"{len(rows)}/{len(rows)}" in shown[True] and not shown[False] and not shown[None]
    monkeypatch.setattr(progress, "PATIENCE", 1e-9)
    call(rows, rows)
    assert f"{len(rows)}/{len(rows)}" in capsys.readouterr().err
