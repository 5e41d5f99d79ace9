"""CSL: abstracts and titles of Chinese papers, and what a title needs no model for."""

import re

import checks
import finetuning
import sample_texts

from bert4keras_ext.data import read_jsonl, read_table, write_jsonl

TRAIN = ["train.json", "csl_title_train.json", "train.tsv", "summarization_csl_train.tsv"]
DEV = ["val.json", "dev.json", "csl_title_dev.json", "dev.tsv", "summarization_csl_dev.tsv"]
TEST = ["test.json", "csl_title_test.json", "test.tsv"]


def load_titles(args):
    """(train, dev, test): lists of (abstract, title); test is dev where there is none."""
    train, dev = (checks.find_file(args.data, names) for names in (TRAIN, DEV))
    test = checks.find_file(args.data, TEST, needed=False) or dev
    splits = [read_titles(path)[: args.limit] for path in (train, dev, test)]
    args.rows = finetuning.fingerprint(*splits[:2])
    return splits


def read_titles(path):
    """Rows of a file: JSON lines with "abst" and "title", or a table of title and abstract."""
    checks.check_text(path)
    if path.suffix == ".tsv":
        return read_table(path, columns=("title", "abst"), convert=_pair)
    return read_jsonl(path, required=("title", "abst"), convert=_pair)


def _pair(row):
    return row["abst"], row["title"]


def write_samples(folder):
    write_jsonl(folder / "train.json", sample_texts.make_titles(64, seed=0))
    write_jsonl(folder / "dev.json", sample_texts.make_titles(16, seed=1))


def first_clause(abstract):
    """The baseline: the abstract up to the first mark that ends a clause."""
    return re.split("[。；;，,.！？]", abstract, maxsplit=1)[0]
