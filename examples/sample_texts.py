"""Sample rows for the scripts that write titles, in CSL's form.

Made of the reports of sample_data.py, so that there is something to learn in seconds.
"""

import random

from sample_data import LABELS, TEMPLATES, make_report

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
