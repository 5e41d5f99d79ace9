"""ChID: which of ten idioms belongs into which blank? Accuracy.

Data: CLUE's chid_public folder (train.json, dev.json, test1.1.json; train_answer.json,
dev_answer.json), one row a line, and the answers {"#idiom000000#": 3, ...}:

    {"candidates": ["画蛇添足", ...], "content": ["...#idiom000000#...", "...#idiom000001#..."]}

or FewCLUE's, one blank a row:

    {"id": 0, "candidates": [...], "content": "...#idiom#...", "answer": 3}

One blank at a time: [CLS] candidate [SEP] text [SEP], in which this blank is one token of its own
and others are four [MASK]; the text is cut so that the blank is in its middle. The softmax goes
over the candidates. Each candidate of a row fills one blank: the best assignment of all blanks of a
row is what is predicted and scored. --batch-size counts blanks.

Published: BERT-base 82.04 (CLUE), 85.13 (CLUE-bert4keras), both on the test set.
Ours: see README.md.

    python examples/clue/chid.py --data chid_public --config chinese_roberta_folder
    python examples/clue/chid.py --smoke

Under --out: best.weights.h5, results.json, curve.png, chid_predict.json (of the test file, or
else of the dev file) and the state that --resume goes on from.
"""

# ruff: noqa: E402 (the arguments are read before TensorFlow, which takes seconds, is imported)
import arguments
from arguments import program

MINLEN = 24


def add_own(parser):
    parser.add_argument("--blank", default="[unused1]", metavar="TOKEN",
                        help="stands for the blank at hand (%(default)s)")  # fmt: skip
    return ["blank"]


def read_arguments():
    return arguments.read_arguments(
        "chid", __doc__, epochs=5, head=True, add_own=add_own, maxlen=64, minlen=MINLEN,
        batch_size=12, accumulate=2, folder="fewclue/chid",
    )  # fmt: skip


if __name__ == "__main__":  # before the imports that take seconds
    args = program.start(read_arguments)

import itertools
import sys

import choices
import config
import numpy as np
import reports
import samples

from bert4keras_ext.data import read_chid, write_jsonl
from bert4keras_ext.data.clue_choices import BLANK

try:
    from scipy.optimize import linear_sum_assignment
except ImportError:
    sys.exit('chid.py: scipy is not installed: pip install scipy (or "bert4keras_ext[eval]")')

OTHER_BLANK = ["[MASK]"] * 4  # as many as most idioms have characters

# ---- data -----------------------------------------------------------------------------------


def load_data(args):
    """[train, dev, test], a row for each blank, as `read_chid` gives them."""
    return config.load_splits(args, read_chid, check=check_answers)[0]


def check_answers(path, blanks):
    if any(blank.answer is None for blank in blanks):
        raise ValueError(
            f"{path}: expected an answer of each blank, found none: put {path.stem}_answer.json "
            "beside it"
        )


def blank_token(args, tokenizer):
    """--blank, which must be a token of its own; the vocabulary of --smoke has no spare one."""
    token = "[UNK]" if config.is_tiny(args) else args.blank
    if token not in tokenizer._token_dict:
        raise ValueError(
            f"--blank {token}: expected a token of the vocabulary, found none of that name: pass "
            "one that no text has"
        )
    return token


def tokens_around(row, tokenizer, token):
    """(tokens of the text, place of the blank)"""

    def tokens_of(text):
        parts = [tokenizer.tokenize(part)[1:-1] for part in BLANK.split(text)]
        return parts[0] + [each for part in parts[1:] for each in (*OTHER_BLANK, *part)]

    left, right = tokens_of(row.text[: row.start]), tokens_of(row.text[row.end :])
    return [*left, token, *right], len(left)


# ---- evaluation -----------------------------------------------------------------------------


def assign(blanks, scores):
    """The candidate of each blank: the likeliest ones of which no two of a group are the same."""
    answers = scores.argmax(axis=-1)  # stays, where a group has more blanks than candidates
    of_group = lambda place: (blanks[place].group, blanks[place].candidates)  # noqa: E731
    for _, places in itertools.groupby(range(len(blanks)), of_group):
        places = np.array(list(places))
        likelihoods = np.log(np.maximum(scores[places], 1e-30))
        rows, columns = linear_sum_assignment(likelihoods, maximize=True)
        answers[places[rows]] = columns
    return answers


def measure(scores, blanks):
    """Loss, and accuracy with and without the assignment."""
    each = config.measure(scores, blanks)
    right = assign(blanks, scores) == [blank.answer for blank in blanks]
    return {
        "val_loss": each["val_loss"],
        "val_accuracy": right.mean(),
        "val_accuracy_one_by_one": each["val_accuracy"],
    }


# ---- model and fit --------------------------------------------------------------------------


def main(args):
    config.prepare(args, samples.write_blanks)
    with config.clear_errors():
        splits = load_data(args)
        texts = (text for row in splits[0] for text in (row.text, *row.candidates))
        encoder, tokenizer = config.base_model(args, texts)
        token = blank_token(args, tokenizer)

    def encode(row):
        """The token ids of each candidate with the text."""
        text, place = tokens_around(row, tokenizer, token)
        idioms = [tokenizer.tokenize(idiom) for idiom in row.candidates]  # [CLS] ... [SEP]
        room = max(args.maxlen - max(map(len, idioms)) - 1, 1)
        text = config.centred(text, place, room)
        return [tokenizer.tokens_to_ids([*idiom, *text, "[SEP]"]) for idiom in idioms]

    size = choices.most_choices(*splits)
    batches = [choices.Questions(rows, encode, args, size) for rows in splits]
    scores = config.train(
        args, encoder, lambda: choices.scorer(encoder, args), batches, measure,
        **choices.compiling(size),
    )  # fmt: skip
    write_submission(args, splits[2], assign(splits[2], scores))


def write_submission(args, blanks, answers):
    """chid_predict.json: {"#idiom000000#": 3, ...}; of FewCLUE's blanks a row each."""
    path, answers = args.out / "chid_predict.json", answers.tolist()
    if all(isinstance(blank.id, str) for blank in blanks):
        reports.write_json(path, {blank.id: answer for blank, answer in zip(blanks, answers)})
    else:
        rows = ({"id": blank.id, "answer": answer} for blank, answer in zip(blanks, answers))
        write_jsonl(path, rows)
    print(f"predictions, weights and curves are in {args.out}")


if __name__ == "__main__":
    program.run(main, args)
