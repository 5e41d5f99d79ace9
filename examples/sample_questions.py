"""Sample rows for the scripts that read passages, in the sets' own forms.

Made of the reports of sample_data.py: a passage tells several, and is asked who did what.
"""

import random

from reports import write_json
from sample_data import LABELS, REPORTS

OPENINGS = ["据报道，", "记者了解到，", "昨天，", "有消息说，", "今年以来，"]


def make_spans(number, seed=0, reports=8):
    """`number` articles in SQuAD's form, of one passage of so many reports with a question each."""
    rng = random.Random(seed)
    return {"version": "sample", "data": [_article(rng, i, reports) for i in range(number)]}


def _article(rng, number, reports):
    passage, questions = "", []
    for place, (subject, event) in enumerate(_facts(rng, reports)):
        passage += rng.choice(OPENINGS)
        answer = {"text": subject, "answer_start": len(passage)}
        passage += f"{subject}{event}。"
        name = f"SAMPLE_{number}_QUERY_{place}"
        questions.append({"id": name, "question": f"谁{event}？", "answers": [answer]})
    paragraph = {"id": f"SAMPLE_{number}", "context": passage, "qas": questions}
    return {"title": f"报道{number}", "id": f"SAMPLE_{number}", "paragraphs": [paragraph]}


def _facts(rng, number):
    """(subject, event) pairs; no event is part of another one, so each has one answer."""
    facts = {}
    while len(facts) < number:
        subjects, events = rng.choice(REPORTS[rng.choice(list(LABELS))])
        event = rng.choice(events)
        if not any(event in other or other in event for other in facts):
            facts[event] = rng.choice(subjects)
    return [(subject, event) for event, subject in facts.items()]


def make_passages(number, seed=0, passages=4):
    """`number` questions in WebQA's form; about half of their passages have the answer."""
    rng, rows = random.Random(seed), []
    for place in range(number):
        (subject, event), *others = _facts(rng, passages)
        texts = []
        for other in others:
            told = f"{rng.choice(OPENINGS)}{other[0]}{other[1]}。"
            is_there = rng.random() < 0.5
            told += f"{rng.choice(OPENINGS)}{subject}{event}。" if is_there else ""
            texts.append({"answer": subject if is_there else "", "passage": told})
        texts.append({"answer": subject, "passage": f"{subject}{event}。"})
        rows.append({"id": f"S{place}", "question": f"谁{event}？", "passages": texts})
    return rows


def write_spans(folder):
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "sample_spans.json", make_spans(20))


def write_passages(folder):
    """Both forms; and, as the published samples do, one ends with an entry that was cut off."""
    write_spans(folder)
    rows = make_passages(32)
    rows[-1] = {"passages": rows[-1]["passages"]}
    write_json(folder / "sample_passages.json", rows)
