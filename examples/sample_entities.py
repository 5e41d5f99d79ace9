"""Sample rows in CLUENER's form, made of the reports of sample_data.py: who a headline tells of.

What a subject is depends on what happens to it: 苹果 is a company in one headline, a fruit in the
next one.
"""

import random

from sample_data import LABELS, REPORTS, TEMPLATES

from bert4keras_ext.data import write_jsonl


def make_entities(number, seed=0):
    """`number` rows {"text": ..., "label": {type: {text: [[start, end]]}}}, the end inclusive."""
    rng = random.Random(seed)
    return [_row(rng) for _ in range(number)]


def _row(rng):
    fields = rng.sample(list(LABELS), 2)
    reports = [_report(field, rng) for field in fields]
    yes, no = ("".join(report) for report in reports)
    text, label = rng.choice(TEMPLATES).format(yes=yes, no=no), {}
    for field, (subject, event) in zip(fields, reports):
        start = text.index(subject + event)
        label[LABELS[field]] = {subject: [[start, start + len(subject) - 1]]}
    return {"text": text, "label": label}


def _report(field, rng):
    subjects, events = rng.choice(REPORTS[field])
    return rng.choice(subjects), rng.choice(events)


def write_entities(folder):
    write_jsonl(folder / "train.json", make_entities(128, seed=0))
    write_jsonl(folder / "dev.json", make_entities(64, seed=1))
