"""The sample data has TNEWS' format, and no keyword solves it."""

import json
import sys
from collections import Counter, defaultdict

import pytest
from running import ROOT

sys.path.append(str(ROOT / "examples"))
import sample_data

from bert4keras_ext.data import read_afqmc, read_labels, read_tnews, write_jsonl


def words_of(sentence, longest=6):
    """Every stretch of up to `longest` characters: all characters and all words are among them."""
    places = range(len(sentence))
    return {sentence[i : i + size] for i in places for size in range(1, longest + 1)}


@pytest.fixture(scope="module")
def counts():
    """(rows, {word: Counter of labels of the rows that hold it})."""
    rows, counts = sample_data.make_rows(4000), defaultdict(Counter)
    for row in rows:
        for word in words_of(row["sentence"]):
            counts[word][row["label"]] += 1
    return rows, counts


def test_no_single_keyword_separates_the_labels(counts):
    """The best rule "word X there: label A, else label B", on the very rows it is chosen on."""
    rows, words = counts
    total = Counter(row["label"] for row in rows)
    right = max(max(count.values()) + max((total - count).values()) for count in words.values())
    assert right / len(rows) < 0.35


def test_the_most_telling_keyword_of_each_sentence_does_not_give_the_label(counts):
    """Each sentence gets the label of the frequent word in it that points to one label most."""
    rows, words = counts
    telling = {
        word: (max(count.values()) / sum(count.values()), count.most_common(1)[0][0])
        for word, count in words.items()
        if sum(count.values()) >= 20
    }
    fresh = sample_data.make_rows(1000, seed=1)
    right = sum(
        max(telling[word] for word in words_of(row["sentence"]) if word in telling)[1]
        == row["label"]
        for row in fresh
    )
    assert right / len(fresh) < 0.7


def test_no_report_belongs_to_two_fields():
    owners = defaultdict(set)
    for field, groups in sample_data.REPORTS.items():
        for subjects, events in groups:
            for subject in subjects:
                for event in events:
                    owners[subject + event].add(field)
    assert all(len(fields) == 1 for fields in owners.values())
    assert len(owners) > 300


def test_some_words_belong_to_two_fields():
    subjects = Counter(
        subject
        for groups in sample_data.REPORTS.values()
        for subjects, _ in groups
        for subject in set(subjects)
    )
    assert {word for word, number in subjects.items() if number > 1} >= {"苹果", "小米", "火箭"}


def test_thousands_of_distinct_short_sentences_in_equal_shares():
    rows = sample_data.make_rows(9000)
    assert len({row["sentence"] for row in rows}) == 9000
    assert set(Counter(row["label"] for row in rows).values()) == {1500}
    assert max(len(row["sentence"]) for row in rows) <= 30  # with [CLS] and [SEP] 32


def test_the_same_seed_gives_the_same_rows():
    assert sample_data.make_rows(50, seed=3) == sample_data.make_rows(50, seed=3)
    assert sample_data.make_rows(50, seed=3) != sample_data.make_rows(50, seed=4)


def test_files_are_in_the_official_format(tmp_path):
    sample_data.write_data(tmp_path, train=30, dev=12)
    row = json.loads((tmp_path / "train.json").read_text(encoding="utf-8").splitlines()[0])
    assert list(row) == ["label", "label_desc", "sentence"]
    labels = read_labels(tmp_path / "labels.json")
    assert labels[row["label"]] == row["label_desc"]
    train, dev = (read_tnews(tmp_path / f"{name}.json", list(labels)) for name in ("train", "dev"))
    assert (len(train), len(dev)) == (30, 12)
    assert not {text for text, _ in train} & {text for text, _ in dev}


def test_pairs_are_rows_of_afqmc(tmp_path):
    write_jsonl(tmp_path / "train.json", sample_data.make_pairs(10))
    rows = read_afqmc(tmp_path / "train.json")
    assert Counter(label for *_, label in rows) == {0: 5, 1: 5}
