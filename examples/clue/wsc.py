"""WSC: does a pronoun mean this noun of the text (CLUEWSC2020)? Accuracy.

Data: CLUE's cluewsc2020_public folder (train.json, dev.json, test.json), one row a line:

    {"target": {"span1_index": 3, "span1_text": "伤口", "span2_index": 27, "span2_text": "它们"},
     "idx": 258, "label": "false", "text": "裂开的伤口涂满尘土，...我小心翼翼把它们剔除出去。"}

or FewCLUE's (train_few_all.json, dev_few_all.json, ...), in the same form.

The noun is marked with underscores, the pronoun with brackets: _伤口_涂满...把[它们]剔除出去。

Published: BERT-base 74.60 (CLUE), 73.85 (CLUE-bert4keras), both on the test set.
Ours: see README.md.

    python examples/clue/wsc.py --data cluewsc2020_public --config chinese_roberta_folder
    python examples/clue/wsc.py --smoke

Under --out: best.weights.h5, results.json, curve.png, wsc_predict.json (of the test file, or
else of the dev file) and the state that --resume goes on from.
"""

# ruff: noqa: E402 (the arguments are read before TensorFlow, which takes seconds, is imported)
import arguments
from arguments import program

MINLEN = 16


def read_arguments():
    return arguments.read_arguments(
        "wsc", __doc__, epochs=30, head=True, minlen=MINLEN, batch_size=16, folder="cluewsc2020"
    )


if __name__ == "__main__":  # before the imports that take seconds
    args = program.start(read_arguments)

import config
import samples

from bert4keras_ext.data import read_wsc

LABELS = ["false", "true"]

# ---- data -----------------------------------------------------------------------------------


def load_data(args):
    """([train, dev, test], ids of test); a row is (text, span, span, number of its label)."""
    splits, test = config.load_splits(args, read_wsc, LABELS)
    return splits, config.read_ids(args, test)


def mark(text, noun, pronoun):
    """The text with _noun_ and [pronoun]; both are (start, end)."""
    marks = [(noun, "_", "_"), (pronoun, "[", "]")]
    for (start, end), before, after in sorted(marks, reverse=True):  # from behind
        text = text[:start] + before + text[start:end] + after + text[end:]
    return text


# ---- model, evaluation and fit --------------------------------------------------------------


def main(args):
    config.prepare(args, samples.write_pronouns)
    with config.clear_errors():
        splits, ids = load_data(args)
        encoder, tokenizer = config.base_model(args, (mark(*row[:3]) for row in splits[0]))

    def encode(row):
        text, noun, pronoun, _ = row
        middle = (noun[0] + pronoun[1]) // 2  # a text that is too long is cut around the two
        text = config.centred(mark(text, noun, pronoun), middle, args.maxlen - 2)
        return tokenizer.encode(text, maxlen=args.maxlen)[0]

    def build():
        return config.classifier(encoder, len(LABELS), args)

    batches = [config.Batches(rows, encode, args) for rows in splits]
    scores = config.train(args, encoder, build, batches)  # scores dev after each epoch
    config.write_submission(args, scores, ids, LABELS)


if __name__ == "__main__":
    program.run(main, args)
