"""Sample rows of our own for --smoke, in the form of CLUE's files; see ../sample_data.py."""

import json
import random

import sample_data
from sample_data import LABELS, REPORTS, make_report

from bert4keras_ext.data import write_jsonl

SIZES = {"train": 64, "dev": 32}

# What each of them is said of.
IDIOMS = {
    "画蛇添足": "多此一举", "雪中送炭": "急时相助", "草木皆兵": "自己吓自己",
    "守株待兔": "只等好运", "亡羊补牢": "出错后再改", "对牛弹琴": "讲给不懂的人",
    "井底之蛙": "见识太少", "一箭双雕": "一举两得", "半途而废": "做一半就停",
    "水落石出": "终于查明",
}  # fmt: skip


def write(folder, make):
    """train.json and dev.json; make(rng, number) gives a row."""
    for seed, (name, size) in enumerate(SIZES.items()):
        rng = random.Random(seed)
        write_jsonl(folder / f"{name}.json", (make(rng, number) for number in range(size)))


def write_titles(folder):
    """TNEWS, IFLYTEK; with labels.json."""
    sample_data.write_data(folder, train=128, dev=64)


def write_questions(folder):
    """AFQMC."""
    write_jsonl(folder / "train.json", sample_data.make_pairs(128, seed=0))
    write_jsonl(folder / "dev.json", sample_data.make_pairs(64, seed=1))


def _reports(rng, number):
    return [make_report(field, rng) for field in rng.sample(list(LABELS), number)]


def write_inferences(folder):
    """CMNLI, OCNLI; a few rows without a label, as OCNLI's, among them."""

    def make(rng, number):
        yes, no, other = _reports(rng, 3)
        premise = rng.choice(sample_data.TEMPLATES).format(yes=yes, no=no)
        label = ["entailment", "contradiction", "neutral"][number % 3]
        hypothesis = {"entailment": yes, "contradiction": no, "neutral": other}[label]
        label = label if number % 16 else "-"
        return {"sentence1": premise, "sentence2": hypothesis, "label": label, "id": number}

    write(folder, make)


def write_keywords(folder):
    """CSL."""

    def make(rng, number):
        first, second, other = _reports(rng, 3)
        keywords = [first, second if number % 2 else other]
        label = str(number % 2)
        return {"id": number, "abst": f"{second}，{first}", "keyword": keywords, "label": label}

    write(folder, make)


def write_pronouns(folder):
    """CLUEWSC2020."""

    def make(rng, number):
        (subjects, events), (others, _) = (REPORTS[f][0] for f in rng.sample(list(LABELS), 2))
        subject = rng.choice(subjects)
        other = rng.choice([each for each in others if each not in subjects])
        names = [subject, other] if rng.random() < 0.5 else [other, subject]
        text = f"{names[0]}和{names[1]}，它{rng.choice(events)}"
        span = subject if number % 2 else other
        target = {"span1_text": span, "span1_index": text.index(span),
                  "span2_text": "它", "span2_index": text.index("，它") + 1}  # fmt: skip
        return {"target": target, "idx": number, "label": ["false", "true"][number % 2],
                "text": text}  # fmt: skip

    write(folder, make)


def write_choices(folder):
    """C3: the files of texts ("m") and of dialogues ("d")."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in "md":
        for seed, (name, size) in enumerate(SIZES.items()):
            rng = random.Random(f"{kind}{seed}")
            document = [_passage(rng, kind, number) for number in range(size // 2)]
            text = json.dumps(document, ensure_ascii=False)
            (folder / f"c3-{kind}-{name}.json").write_text(text, encoding="utf-8")


def _passage(rng, kind, number):
    yes, *wrong = _reports(rng, 2 + number % 3)
    choices = [yes, *wrong]
    rng.shuffle(choices)
    passage = [f"男：{wrong[0]}吗？", f"女：不，{yes}。"] if kind == "d" else [f"{yes}。"]
    question = {"question": "说的是什么？", "choice": choices, "answer": yes}
    return [passage, [question], f"{kind}-{number}"]


def write_blanks(folder):
    """ChID, with the files of the answers; two blanks in a text, two texts in a row."""
    blank = 0
    for seed, (name, size) in enumerate(SIZES.items()):
        rng, rows, answers = random.Random(seed), [], {}
        for _ in range(size // 4):
            candidates = rng.sample(list(IDIOMS), len(IDIOMS))
            parts = []
            for idiom in rng.sample(candidates, 4):
                tag = f"#idiom{blank:06d}#"
                answers[tag] = candidates.index(idiom)
                parts.append(f"{IDIOMS[idiom]}叫{tag}")
                blank += 1
            content = ["，".join(parts[:2]), "，".join(parts[2:])]
            rows.append({"groupID": len(rows), "candidates": candidates, "content": content})
        write_jsonl(folder / f"{name}.json", rows)
        text = json.dumps(answers)
        (folder / f"{name}_answer.json").write_text(text, encoding="utf-8")
