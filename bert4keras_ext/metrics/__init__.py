"""Scores of predictions: generation, reading comprehension, spans. NumPy and Python only."""

from bert4keras_ext.metrics.bleu import bleu, corpus_bleu
from bert4keras_ext.metrics.cmrc2018 import cmrc2018_rows, cmrc2018_score, evaluate_cmrc2018
from bert4keras_ext.metrics.fuzzy_matching import FuzzyMatcher
from bert4keras_ext.metrics.generation import generation_scores
from bert4keras_ext.metrics.rouge import rouge, rouge_corpus
from bert4keras_ext.metrics.sogou_qa import evaluate_sogou_qa, sogou_qa_rows, sogou_qa_score
from bert4keras_ext.metrics.span_f1 import span_f1, span_f1_report
from bert4keras_ext.metrics.web_qa import webqa_score

__all__ = [
    "FuzzyMatcher",
    "bleu",
    "cmrc2018_rows",
    "cmrc2018_score",
    "corpus_bleu",
    "evaluate_cmrc2018",
    "evaluate_sogou_qa",
    "generation_scores",
    "rouge",
    "rouge_corpus",
    "sogou_qa_rows",
    "sogou_qa_score",
    "span_f1",
    "span_f1_report",
    "webqa_score",
]
