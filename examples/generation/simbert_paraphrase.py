"""SimBERT: one UniLM that writes paraphrases of a sentence, and tells how similar sentences are.

    [CLS] a [SEP] b [SEP]  and  [CLS] b [SEP] a [SEP]     segments 0 ... 0 1 ... 1

stand next to each other in a batch: each is to be written from the other, and their [CLS] vectors,
which see the first sentence alone, are to be more similar than those of others.

Data: a table of pairs: sentence, sentence, label ("1" for similar), parted by tabs, such as
LCQMC's. Every tenth row is kept for dev. Or a folder with train.txt and dev.txt of that kind.

Published: SimBERT has no scores of its paraphrases.
Ours: see README.md: how well a threshold on the cosine tells similar pairs of dev from others.

    python examples/generation/simbert_paraphrase.py --data lcqmc/train.txt --config bert_folder
    python examples/generation/simbert_paraphrase.py --smoke

Under --out: best.weights.h5, results.json, curve.png, simbert_paraphrase_predict.json (paraphrases
of dev sentences, the most similar first) and the state that --resume goes on from.

Source: article 7427, SimBERT.
"""

# ruff: noqa: E402 (the arguments are read before TensorFlow, which takes seconds, is imported)

import generation_flags
from generation_flags import checks, flags, program

# ---- config ---------------------------------------------------------------------------------


def read_arguments():
    parser = generation_flags.generation_parser(
        "simbert_paraphrase", __doc__, flags.DATA / "lcqmc" / "dev.txt", source_maxlen=32,
        target_maxlen=32, epochs=5, learning_rate=1e-4, batch_size=64, settings=["scale"],
    )  # fmt: skip
    add = parser.add_argument
    add("--scale", type=float, default=30.0, help="of the cosines in the loss (%(default)s)")
    add("--samples", type=checks.whole_number(2), default=10, help="paraphrases to choose from")
    add("--topp", type=float, default=0.95, help="tokens are drawn from so much probability")
    add("--sentences", type=checks.whole_number(1), default=100, help="dev sentences to rewrite")
    return generation_flags.read(parser)


if __name__ == "__main__":  # before the imports that take seconds
    arguments = program.start(read_arguments)

import finetuning
import keras
import labelled_pairs
import numpy as np
import pretrained
import reports
import texts
from checks import clear_errors
from unilm import UniLMPairs, target_logits, unilm

from bert4keras_ext.data import write_jsonl
from bert4keras_ext.losses import SimBERTLoss
from bert4keras_ext.numerics import optimal_threshold
from bert4keras_ext.training import KeepBest

# ---- data -----------------------------------------------------------------------------------


class BothWays(UniLMPairs):
    """Batches of similar pairs: a -> b and b -> a in neighbouring rows."""

    def __init__(self, data, tokenizer, args):
        super().__init__(data, tokenizer, args)
        self.batch_size = max(args.batch_size // 2, 1)
        self.steps = self._count_steps()

    def __iter__(self, random=False):
        rows = []
        for is_end, (first, second) in self.sample(random):
            rows += [self.encode(first, second), self.encode(second, first)]
            if len(rows) == 2 * self.batch_size or is_end:
                yield ([self.pad(part) for part in zip(*rows)],)
                rows = []


# ---- model ----------------------------------------------------------------------------------


def with_loss(transformer, args):
    """The model that `fit` takes, which adds the loss of generation and of similarity."""
    inputs = target_logits(transformer, args.target_maxlen) + [transformer.model.outputs[0]]
    logits = SimBERTLoss(scale=args.scale, name="Loss")(inputs)
    return keras.Model(transformer.model.inputs, logits)


# ---- evaluation -----------------------------------------------------------------------------


class SimBERT:
    """What the model, as it is, says of sentences."""

    def __init__(self, transformer, tokenizer, args):
        self.transformer, self.tokenizer, self.args = transformer, tokenizer, args
        model = transformer.model
        self.encoder = keras.Model(model.inputs, model.outputs[0])

    def vectors(self, sentences):
        """(sentences, hidden): unit vectors."""
        ids = self.tokenizer.encode_batch(sentences, maxlen=self.args.source_maxlen, length=32)
        vectors = self.encoder.predict(ids, batch_size=64, verbose=0)
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)

    def accuracy(self, pairs):
        """How many labelled pairs the best threshold on their cosine gets right."""
        first, second, labels = zip(*pairs)
        cosines = np.sum(self.vectors(first) * self.vectors(second), axis=-1)
        return optimal_threshold(labels, cosines)[1]

    def paraphrases(self, sentences):
        """For each sentence its paraphrases [(text, cosine)], the most similar first."""
        args = self.args
        samples = self.transformer.generate(
            [self.tokenizer.encode(text, maxlen=args.source_maxlen) for text in sentences],
            max_new_tokens=args.target_maxlen, method="sample", topp=args.topp,
            num_return=args.samples, seed=args.seed, tokenizer=self.tokenizer,
        )  # fmt: skip
        return [self.ranked(*row) for row in zip(sentences, samples)]

    def ranked(self, sentence, samples):
        new = [text for text in dict.fromkeys(samples) if text and text != sentence]
        own, *vectors = self.vectors([sentence, *new])
        cosines = [float(vector @ own) for vector in vectors]
        return sorted(zip(new, cosines), key=lambda pair: -pair[1])


# ---- fit ------------------------------------------------------------------------------------


def write_report(args, run, best, baseline):
    """results.json and curve.png."""
    results = {"best_dev_accuracy": best.best, "common_characters": baseline, **run}
    reports.write_json(args.out / "results.json", results)
    history = run["scores"]
    reports.draw_curves(
        {"loss": {"train": history["loss"]}, "accuracy": {"dev": history["val_accuracy"]}},
        args.out / "curve.png",
        title=f"{args.task}, {pretrained.model_name(args)}: {100 * best.best:.2f} %",
        best={"accuracy": best.best_epoch},
        levels={"accuracy": {"common characters": baseline}},
    )
    print(f"dev accuracy of similarity {best.best:.4f} in epoch {best.best_epoch}; common "
          f"characters {baseline:.4f}")  # fmt: skip


def write_predictions(args, sentences, paraphrases):
    rows = [{"text": text, "paraphrases": found} for text, found in zip(sentences, paraphrases)]
    write_jsonl(args.out / f"{args.task}_predict.json", rows)
    for row in rows[:5]:
        print(row["text"], *(f"    {c:.3f} {text}" for text, c in row["paraphrases"][:3]), sep="\n")
    cosines = [[cosine for _, cosine in found] for found in paraphrases if found]
    texts.add_results(args, {
        "new_texts": sum(map(len, paraphrases)) / (len(rows) * args.samples),
        "mean_cosine": float(np.mean([np.mean(each) for each in cosines])),
        "mean_cosine_of_the_first": float(np.mean([each[0] for each in cosines])),
    })  # fmt: skip
    print(f"predictions, weights and curves are in {args.out}")


def main(args):
    finetuning.prepare(args, labelled_pairs.write_samples)
    with clear_errors():
        rows, dev = labelled_pairs.load_pairs(args)
        sentences = (text for pair in rows for text in pair)
        transformer, tokenizer = unilm(args, sentences, with_pool="linear")
    train, simbert = BothWays(rows, tokenizer, args), SimBERT(transformer, tokenizer, args)

    model = with_loss(transformer, args)
    best = KeepBest(
        lambda: {"val_accuracy": simbert.accuracy(dev)}, args.out / "best.weights.h5",
        monitor="val_accuracy",
    )  # fmt: skip
    finetuning.train(
        model, args, train, best,
        lambda run: write_report(args, run, best, labelled_pairs.overlap_accuracy(dev)),
        files=[f"{args.task}_predict.json"],
    )  # fmt: skip
    with clear_errors():
        best.load(model)
    sentences = list(dict.fromkeys(first for first, *_ in dev))[: args.sentences]
    write_predictions(args, sentences, simbert.paraphrases(sentences))


if __name__ == "__main__":
    program.run(main, arguments)
