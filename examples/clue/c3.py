"""C3: multiple-choice questions about a text ("m") or a dialogue ("d"); accuracy.

Data: CLUE's c3_public folder (c3-m-train.json, c3-d-train.json, c3-m-dev.json, c3-d-dev.json,
test1.1.json), each file one JSON document:

    [[["男：...", "女：..."],
      [{"question": "...", "choice": ["...", "..."], "answer": "..."}], "1-2"], ...]

Each choice is scored in a row of its own, [CLS] passage [SEP] question choice [SEP]; the softmax
goes over the choices of a question. Those with fewer than four are filled up with fake ones that
can never win. --batch-size counts questions.

Published: BERT-base 64.50 (CLUE), 61.33 (CLUE-bert4keras), both on the test set.
Ours: see README.md.

    python examples/clue/c3.py --data c3_public --config chinese_roberta_folder
    python examples/clue/c3.py --smoke

Under --out: best.weights.h5, results.json, curve.png, c3_predict.json (of the test file, or
else of the dev file) and the state that --resume goes on from.
"""

# ruff: noqa: E402 (the arguments are read before TensorFlow, which takes seconds, is imported)
import arguments
from arguments import program

MINLEN = 32


def read_arguments():
    return arguments.read_arguments(
        "c3", __doc__, epochs=5, head=True, maxlen=512, minlen=MINLEN, batch_size=4, accumulate=4
    )


if __name__ == "__main__":  # before the imports that take seconds
    args = program.start(read_arguments)

import choices
import config
import samples

from bert4keras_ext.data import read_c3, write_jsonl

NAMES = {
    "train": ("c3-m-train.json", "c3-d-train.json"),  # both
    "dev": ("c3-m-dev.json", "c3-d-dev.json"),
    "test": ["test1.1.json", "test.json", "test1.0.json"],
}

# ---- data -----------------------------------------------------------------------------------


def load_data(args):
    """[train, dev, test], rows as `read_c3` gives them."""
    return config.load_splits(args, read_c3, check=check_answers, names=NAMES)[0]


def check_answers(path, questions):
    for question in questions:
        if question.answer is None:
            raise ValueError(
                f"{path}, question {question.id} ({question.question!r}): expected an answer out "
                f"of {question.choices}, found none"
            )


# ---- model, evaluation and fit --------------------------------------------------------------


def main(args):
    config.prepare(args, samples.write_choices)
    with config.clear_errors():
        splits = load_data(args)
        texts = (text for row in splits[0] for text in (*row.passage, row.question, *row.choices))
        encoder, tokenizer = config.base_model(args, texts)

    def encode(row):
        """The token ids of each choice; of a row that is too long the passage loses its end."""
        passage = "\n".join(row.passage)
        return [
            tokenizer.encode(passage, f"{row.question}{choice}", maxlen=args.maxlen)[0]
            for choice in row.choices
        ]

    size = choices.most_choices(*splits)
    batches = [choices.Questions(rows, encode, args, size) for rows in splits]
    scores = config.train(
        args, encoder, lambda: choices.scorer(encoder, args), batches, **choices.compiling(size)
    )
    write_submission(args, splits[2], scores)


def write_submission(args, questions, scores):
    """c3_predict.json: {"id": ..., "label": number of the choice} of each question, in order."""
    answers, ids = scores.argmax(axis=-1).tolist(), [row.id for row in questions]
    if len(set(ids)) < len(ids):  # places in several files, of dev
        ids = range(len(ids))
    rows = ({"id": name, "label": answer} for name, answer in zip(ids, answers))
    write_jsonl(args.out / "c3_predict.json", rows)
    print(f"predictions, weights and curves are in {args.out}")


if __name__ == "__main__":
    program.run(main, args)
