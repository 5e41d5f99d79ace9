"""Sample rows for the scripts that generate texts: titles and questions, in the sets' own forms.

Made of the reports of sample_data.py, so that there is something to learn in seconds.
"""

import random

from sample_data import LABELS, REPORTS, TEMPLATES, make_report

PLACES = ["当地", "三座城市", "有关部门", "几家公司", "现场"]


def make_titles(number, seed=0):
    """Rows of CSL's form: a text of three sentences, whose first affirms its title."""
    rng, rows = random.Random(seed), []
    for _ in range(number):
        field, other = rng.sample(list(LABELS), 2)
        title, denied = make_report(field, rng), make_report(other, rng)
        first = rng.choice(TEMPLATES).format(yes=title, no=denied)
        text = f"{first}。记者走访了{rng.choice(PLACES)}。{make_report(other, rng)}，与此无关。"
        rows.append({"title": title, "abst": text})
    return rows


def make_questions(number, seed=0):
    """Articles of CMRC's form: a passage of two reports, and who did what in each."""
    rng, articles = random.Random(seed), []
    for place in range(number):
        facts = []
        for field in rng.sample(list(LABELS), 2):
            subjects, events = rng.choice(REPORTS[field])
            facts.append((rng.choice(subjects), rng.choice(events)))
        passage = "".join(f"据报道，{subject}{event}。" for subject, event in facts)
        questions = [
            {
                "id": f"{place}-{i}",
                "question": f"谁{event}？",
                "answers": [{"text": subject, "answer_start": passage.index(subject)}],
            }
            for i, (subject, event) in enumerate(facts)
        ]
        paragraph = {"id": str(place), "context": passage, "qas": questions}
        articles.append({"title": f"报道{place}", "paragraphs": [paragraph]})
    return {"version": "sample", "data": articles}
