"""The masked language model, on texts of yours: an encoder's further pretraining, and its head.

Encoders are often published without the head that names tokens (m3e, bge and others for sentence
vectors): this gives it back, and what is trained from it learns to write and to fill slots in a
fraction of the time. Others get used to the texts of a field.

Data: a folder with dev.txt and any number of other .txt files, one text a line (../corpus.py).

Of each text a stretch of --maxlen tokens is read, another one in each epoch. 15 % of its tokens are
to be told: 8 of 10 of them are masked, one is another token, one is itself.

Published: RoBERTa and its followers report no loss on these texts.
Ours: see README.md.

    python examples/pretraining/mlm.py --data corpus --config chinese_roberta_folder
    python examples/pretraining/mlm.py --smoke

Under --out: config.json, vocab.txt and model.safetensors, a folder that every script takes as
--config (and `transformers`), best.weights.h5, results.json, curve.png and the state that --resume
goes on from.

Source: arXiv 1810.04805, 1907.11692.
"""

# ruff: noqa: E402 (the arguments are read before TensorFlow, which takes seconds, is imported)

from collections import Counter
from contextlib import closing

from pretraining_flags import checks, flags, program

SHARE = 0.15  # of the tokens that are to be told

# ---- config ---------------------------------------------------------------------------------


def read_arguments():
    parser = flags.training_parser(
        "mlm", __doc__, flags.DATA / "corpus", maxlen=128, minlen=12, epochs=5,
        learning_rate=2e-4, settings=["least"],
    )  # fmt: skip
    parser.add_argument(
        "--least",
        type=checks.whole_number(1),
        default=8,
        help="characters of a text; shorter ones are left out (%(default)s)",
    )
    return flags.read(parser)


if __name__ == "__main__":  # before the imports that take seconds
    arguments = program.start(read_arguments)

import corpus
import finetuning
import keras
import numpy as np
import pretrained
import reports
from checks import clear_errors

from bert4keras_ext.data import BucketedGenerator, sequence_padding
from bert4keras_ext.training import KeepBest

# ---- data -----------------------------------------------------------------------------------


class MaskedTexts(BucketedGenerator):
    """Batches of ([ids, segments, places], tokens that stand there), anew in each epoch."""

    def __init__(self, data, tokenizer, args, seed):
        data = _Long(data, args.least)
        super().__init__(data, args.batch_size, seed=seed)
        self.tokenizer, self.maxlen = tokenizer, args.maxlen
        special = tokenizer.encode("")[0] + [tokenizer._token_mask_id, tokenizer._token_unk_id]
        words = set(range(tokenizer.vocab_size)) - {0, *special}
        self.words = np.array(sorted(words))

    def __iter__(self, random=False):
        # Of the seed and the epoch: the same in each run, another in each epoch.
        draw = np.random.default_rng([self.seed, self.epoch if random else 0, 2])
        batch = []
        for is_end, text in self.sample(random):
            batch.append(self._masked(self._stretch(text, draw), draw))
            if len(batch) == self.batch_size or is_end:
                ids, places, tokens = zip(*batch)
                ids = self.pad(ids, self.maxlen)
                # What is filled up is told nothing of: label 0, which the loss leaves out.
                places, tokens = sequence_padding(places), sequence_padding(tokens)
                yield [ids, np.zeros_like(ids), places], tokens
                batch = []

    def _stretch(self, text, draw):
        """Ids of a stretch of the text, from a place where a token may begin."""
        spare = len(text) - self.maxlen
        start = draw.integers(spare + 1) if spare > 0 else 0
        return np.array(self.tokenizer.encode(text[start:], maxlen=self.maxlen)[0])

    def _masked(self, ids, draw):
        """(ids with masks, places, tokens that stood there)"""
        candidates = np.flatnonzero(np.isin(ids, self.words))
        number = min(max(round(SHARE * len(ids)), 1), len(candidates))
        places = np.sort(draw.choice(candidates, number, replace=False))
        kind, tokens = draw.random(number), ids[places]
        others = draw.choice(self.words, number)
        ids = ids.copy()
        ids[places] = np.where(
            kind < 0.8, self.tokenizer._token_mask_id, np.where(kind < 0.9, others, tokens)
        )
        return ids, places, tokens


class _Long:
    """The texts of a sequence that have some characters; of the others the next one that has."""

    def __init__(self, texts, least):
        self.texts = texts
        self.places = [i for i in range(len(texts)) if len(texts[i]) >= least]
        if not self.places:
            raise ValueError(f"expected texts of at least {least} characters, one text a line, "
                             f"found none among {len(texts)} lines")  # fmt: skip

    def __len__(self):
        return len(self.places)

    def __getitem__(self, place):
        return self.texts[self.places[place]]


# ---- evaluation -----------------------------------------------------------------------------


def scores_of(model, batches):
    """Loss and accuracy over all tokens that are to be told."""
    loss, right, number = 0.0, 0, 0
    for inputs, tokens in batches:
        logits = model.predict_on_batch(inputs)[tokens > 0].astype("float64")
        tokens = tokens[tokens > 0]
        logits -= logits.max(axis=-1, keepdims=True)
        of_tokens = np.take_along_axis(logits, tokens[:, None], axis=-1)[:, 0]
        loss += (np.log(np.exp(logits).sum(axis=-1)) - of_tokens).sum()
        right += (logits.argmax(axis=-1) == tokens).sum()
        number += len(tokens)
    return {"val_loss": float(loss / number), "val_accuracy": float(right / number)}


def scores_of_frequencies(train, dev):
    """The baseline: the same, where the frequencies of tokens are all that is known."""
    counts = Counter(token for _, tokens in train for token in tokens[tokens > 0].tolist())
    wanted = [token for _, tokens in dev for token in tokens[tokens > 0].tolist()]
    (likeliest, _), total = counts.most_common(1)[0], sum(counts.values()) + len(counts)
    return {
        "loss": float(np.mean([-np.log((counts[token] + 1) / total) for token in wanted])),
        "accuracy": sum(token == likeliest for token in wanted) / len(wanted),
    }


# ---- fit ------------------------------------------------------------------------------------


def write_report(args, run, best, baseline):
    """results.json and curve.png."""
    results = {"best_dev_loss": best.best, "frequencies_of_tokens": baseline, **run}
    reports.write_json(args.out / "results.json", results)
    history = run["scores"]
    reports.draw_curves(
        {
            "loss": {"train": history["loss"], "dev": history["val_loss"]},
            "accuracy": {"dev": history["val_accuracy"]},
        },
        args.out / "curve.png",
        title=f"masked tokens, {pretrained.model_name(args)}: dev loss {best.best:.3f}",
        best={"loss": best.best_epoch},
        levels={name: {"frequencies of tokens": value} for name, value in baseline.items()},
    )
    accuracy = history["val_accuracy"][best.best_epoch - 1]
    print(f"dev loss {best.best:.3f}, accuracy {accuracy:.3f} in epoch {best.best_epoch}; "
          f"frequencies of tokens {baseline['loss']:.3f}, {baseline['accuracy']:.3f}")  # fmt: skip


def main(args):
    finetuning.prepare(args, corpus.write_samples)
    with clear_errors():
        texts, dev_texts = corpus.open_corpora(args)
    with closing(texts), closing(dev_texts):
        pretrain(args, texts, dev_texts)


def pretrain(args, texts, dev_texts):
    with clear_errors():
        transformer, model, tokenizer = pretrained.masked_language_model(args, texts)
        train = MaskedTexts(texts, tokenizer, args, args.seed)
        dev = MaskedTexts(dev_texts, tokenizer, args, 0)  # the same masks whatever --seed is
    args.rows = f"{len(texts)} and {len(dev_texts)} texts, {len(train)} and {len(dev)} batches"

    best = KeepBest(
        lambda: scores_of(model, dev), args.out / "best.weights.h5", monitor="val_loss", mode="min"
    )
    finetuning.train(
        model, args, train, best,
        lambda run: write_report(args, run, best, scores_of_frequencies(train, dev)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0),
        files=["config.json", "vocab.txt", "model.safetensors"],
    )  # fmt: skip
    with clear_errors():
        best.load(model)
        pretrained.save_folder(args, transformer, tokenizer)
    print(f"{args.out} is a folder for --config of the other scripts")


if __name__ == "__main__":
    program.run(main, arguments)
