"""Short texts of a wanted class: a language model whose layer normalizations depend on the class.

Data: a folder with train and dev files, one row a line: text, number of its class, parted by a tab
(*.data, *.txt, *.tsv), such as bert4keras' sentiment set.

Published: no score.
Ours: see README.md: how many of the texts a judge that never saw the model (naive Bayes on
characters and pairs of them) puts into the wanted class. Texts of a model that did not heed its
condition would be right as often as guesses.

    python examples/generation/conditional_text.py --data sentiment --config chinese_roberta_folder
    python examples/generation/conditional_text.py --smoke

Under --out: best.weights.h5, results.json, curve.png, conditional_text_predict.json (texts of each
class) and the state that --resume goes on from.

Source: article 7124, conditional text generation by conditional layer normalization.
"""

# ruff: noqa: E402 (the arguments are read before TensorFlow, which takes seconds, is imported)

import generation_flags
from generation_flags import checks, flags, program

# ---- config ---------------------------------------------------------------------------------


def read_arguments():
    parser = flags.training_parser(
        "conditional_text", __doc__, flags.DATA / "sentiment", maxlen=64, minlen=4, epochs=5,
        learning_rate=2e-4, settings=["condition_size"],
    )  # fmt: skip
    add = parser.add_argument
    add("--condition-size", type=checks.whole_number(1), default=128, help="numbers of a condition")
    add("--samples", type=checks.whole_number(1), default=100, help="texts of each class")
    add("--topp", type=float, default=0.95, help="tokens are drawn from so much probability")
    return flags.read(parser, generation_flags.SMOKE_ROWS)


if __name__ == "__main__":  # before the imports that take seconds
    arguments = program.start(read_arguments)

import finetuning
import keras
import labelled_texts
import numpy as np
import pretrained
import reports
import texts
from checks import clear_errors

from bert4keras_ext.data import BucketedGenerator, write_jsonl
from bert4keras_ext.losses import Seq2SeqLoss
from bert4keras_ext.training import KeepBest

# ---- data -----------------------------------------------------------------------------------


class Texts(BucketedGenerator):
    """Batches of texts of similar length, with their classes."""

    def __init__(self, data, tokenizer, args):
        super().__init__(data, args.batch_size, seed=args.seed)
        self.tokenizer = tokenizer
        self.maxlen = args.maxlen

    def __iter__(self, random=False):
        token_ids, classes = [], []
        for is_end, (text, number) in self.sample(random):
            token_ids.append(self.tokenizer.encode(text, maxlen=self.maxlen)[0])
            classes.append([number])
            if len(token_ids) == self.batch_size or is_end:
                token_ids = self.pad(token_ids, self.maxlen)
                yield ([token_ids, np.zeros_like(token_ids), np.array(classes)],)
                token_ids, classes = [], []


# ---- model ----------------------------------------------------------------------------------


def conditional_model(args, sentences, classes):
    """(builder, tokenizer) of a language model that is told a class as its last input."""
    number = keras.Input((1,), dtype="int32", name="Input-Class")
    vectors = keras.layers.Embedding(classes, args.condition_size, name="Embedding-Class")(number)
    return pretrained.language_model(
        args,
        sentences,
        application="lm",
        layer_norm_cond=keras.layers.Flatten()(vectors),
        additional_input_layers=number,
    )


def with_loss(transformer):
    """The model that `fit` takes: every token of a text but padding is to be foretold."""
    model = transformer.model
    tokens = model.inputs[0]
    is_token = keras.ops.cast(tokens > 0, "float32")
    return keras.Model(model.inputs, Seq2SeqLoss(name="Loss")([tokens, is_token, model.output]))


# ---- evaluation -----------------------------------------------------------------------------


def write_texts(transformer, tokenizer, args, classes):
    """`args.samples` texts of each class, at random: a list of (text, class)."""
    wanted = [number for number in range(classes) for _ in range(args.samples)]
    start = tokenizer._token_start_id
    inputs = {"Input-Token": [[start] for _ in wanted], "Input-Class": wanted}
    written = transformer.generate(
        inputs,
        max_new_tokens=args.maxlen - 1,
        method="sample",
        topp=args.topp,
        seed=args.seed,
        tokenizer=tokenizer,
    )
    return list(zip(written, wanted))


def loss_of(model, batches):
    return model.evaluate(batches.fortest(), steps=len(batches), verbose=0)


# ---- fit ------------------------------------------------------------------------------------


def write_report(args, run, best):
    """results.json and curve.png."""
    reports.write_json(args.out / "results.json", {"best_dev_loss": best.best, **run})
    history = run["scores"]
    reports.draw_curves(
        {"loss": {"train": history["loss"], "dev": history["val_loss"]}},
        args.out / "curve.png",
        title=f"{args.task}, {pretrained.model_name(args)}: dev loss {best.best:.3f}",
        best={"loss": best.best_epoch},
    )


def write_predictions(args, rows, judge, results):
    """conditional_text_predict.json, and what the judge says of it."""
    rows_of_file = ({"class": number, "judged": judge(text), "text": text} for text, number in rows)
    write_jsonl(args.out / f"{args.task}_predict.json", rows_of_file)
    texts.add_results(args, results)
    for text, number in rows[:: max(args.samples // 3, 1)]:
        print(f"class {number}: {text}")
    for name, value in results.items():
        print(f"{name.replace('_', ' ')}: {value:.4g}")


def main(args):
    finetuning.prepare(args, labelled_texts.write_samples)
    with clear_errors():
        rows, dev_rows = labelled_texts.load_texts(args)
        classes = 1 + max(number for _, number in rows)
        transformer, tokenizer = conditional_model(args, (text for text, _ in rows), classes)
    train, dev = (Texts(each, tokenizer, args) for each in (rows, dev_rows))
    others = [(text, (number + 1) % classes) for text, number in dev_rows]

    model, judge = with_loss(transformer), labelled_texts.Judge(rows, classes)
    best = KeepBest(
        lambda: {"val_loss": loss_of(model, dev)}, args.out / "best.weights.h5",
        monitor="val_loss", mode="min",
    )  # fmt: skip
    finetuning.train(
        model, args, train, best, lambda run: write_report(args, run, best),
        files=[f"{args.task}_predict.json"],
    )  # fmt: skip
    with clear_errors():
        best.load(model)
    written = write_texts(transformer, tokenizer, args, classes)
    write_predictions(args, written, judge, {
        "texts_in_wanted_class": judge.accuracy(written),
        "guesses_in_wanted_class": 1 / classes,
        "accuracy_of_judge_on_dev": judge.accuracy(dev_rows),
        "dev_loss": loss_of(model, dev),
        "dev_loss_with_other_classes": loss_of(model, Texts(others, tokenizer, args)),
    })  # fmt: skip


if __name__ == "__main__":
    program.run(main, arguments)
