"""T5-PEGASUS' pre-training: from a text to the sentences that say best what the others say.

Data: a folder with dev.txt and any number of other .txt files, one text a line (../corpus.py).

Published, on 30 GB of text: base (275 million weights) loss 2.97, small (95 million) 3.40.
Ours: see README.md.

    python examples/generation/t5_pegasus_pretrain.py --data corpus --workers 8
    python examples/generation/t5_pegasus_pretrain.py --smoke

Under --out: config.json, vocab.txt and best.weights.h5, which title_csl_t5.py takes as --config,
results.json, curve.png and the state that --resume goes on from.

Source: article 8209, T5-PEGASUS.
"""

# ruff: noqa: E402 (the arguments are read before TensorFlow, which takes seconds, is imported)

from collections import Counter
from contextlib import closing
from itertools import islice

import generation_flags
from generation_flags import checks, flags, program

# ---- config ---------------------------------------------------------------------------------


def read_arguments():
    parser = flags.training_parser(
        "t5_pegasus_pretrain", __doc__, flags.DATA / "corpus", maxlen=512, minlen=12, epochs=20,
        learning_rate=1e-3, settings=["steps_per_epoch"],
    )  # fmt: skip
    add = parser.add_argument
    add(
        "--steps-per-epoch", type=checks.whole_number(1),
        help="steps after which the dev loss is taken (one pass over the data, for which all of "
        "it is read before)",
    )  # fmt: skip
    add("--workers", type=checks.whole_number(0), default=0, help="processes that prepare batches")
    return flags.read(parser, generation_flags.SMOKE_ROWS)


if __name__ == "__main__":  # before the imports that take seconds
    arguments = program.start(read_arguments)

import corpus
import finetuning
import numpy as np
import reports
from checks import clear_errors
from small_t5 import crossentropy, new_t5, save_t5

from bert4keras_ext.data import PseudoSummaryGenerator, summary_chunks
from bert4keras_ext.training import KeepBest

# ---- data -----------------------------------------------------------------------------------


class PseudoSummaries(PseudoSummaryGenerator):
    """Batches whose epochs have a number of steps of their own, so that a run can be resumed."""

    def __init__(self, data, tokenizer, args, steps=None):
        target_maxlen = args.maxlen // 4  # as T5-PEGASUS has it
        super().__init__(
            data, tokenizer, args.batch_size, seed=args.seed, workers=args.workers,
            source_maxlen=args.maxlen - target_maxlen, target_maxlen=target_maxlen,
        )  # fmt: skip
        self.steps = steps or -(-self.count_chunks() // self.batch_size)

    def count_chunks(self):
        sizes = self.sentence_length, self.chunk_length, self.min_sentences
        chunks = sum(1 for text in self.data for _ in summary_chunks(text, *sizes))
        if not chunks:
            raise ValueError(
                f"expected texts of at least {self.min_sentences} sentences, one text a line, "
                f"found none among {len(self.data)} lines"
            )
        return chunks

    def __iter__(self, random=False):
        yield from islice(super().__iter__(random), self.steps)


def frequency_loss(train, dev):
    """The baseline: the loss where the frequencies of tokens are all that is known."""
    counts, total = Counter(), 0
    for _, labels in train:
        counts.update(labels[labels > 0].tolist())
    total = sum(counts.values()) + len(counts)
    losses = [
        -np.log((counts[token] + 1) / total)
        for _, labels in dev
        for token in labels[labels > 0].tolist()
    ]
    return float(np.mean(losses))


# ---- fit ------------------------------------------------------------------------------------


def write_report(args, transformer, tokenizer, run, best, baseline):
    """What title_csl_t5.py starts from, results.json and curve.png."""
    save_t5(args, transformer, tokenizer)
    results = {"best_dev_loss": best.best, "loss_of_frequencies": baseline, **run}
    reports.write_json(args.out / "results.json", results)
    history = run["scores"]
    reports.draw_curves(
        {"loss": {"train": history["loss"], "dev": history["val_loss"]}},
        args.out / "curve.png",
        title=f"pseudo summaries: dev loss {best.best:.3f}",
        best={"loss": best.best_epoch},
        levels={"loss": {"frequencies of tokens": baseline}},
    )
    print(f"dev loss {best.best:.3f} in epoch {best.best_epoch}; frequencies of tokens "
          f"{baseline:.3f}; weights and curves are in {args.out}")  # fmt: skip


def main(args):
    finetuning.prepare(args, corpus.write_samples)
    with clear_errors():
        texts, dev_texts = corpus.open_corpora(args)
    with closing(texts), closing(dev_texts):
        pretrain(args, texts, dev_texts)


def pretrain(args, texts, dev_texts):
    with clear_errors():
        transformer, tokenizer = new_t5(args, texts)
        train = PseudoSummaries(texts, tokenizer, args, args.steps_per_epoch)
        dev = PseudoSummaries(dev_texts, tokenizer, args)
    args.rows = f"{len(texts)} and {len(dev_texts)} texts, {len(train)} and {len(dev)} batches"

    model = transformer.model
    best = KeepBest(
        lambda: {"val_loss": model.evaluate(dev.fortest(), steps=len(dev), verbose=0)},
        args.out / "best.weights.h5", monitor="val_loss", mode="min",
    )  # fmt: skip

    def report(run):
        baseline = frequency_loss(train, dev)
        write_report(args, transformer, tokenizer, run, best, baseline)

    finetuning.train(
        model, args, train, best, report, loss=crossentropy(), files=["config.json", "vocab.txt"]
    )


if __name__ == "__main__":
    program.run(main, arguments)
