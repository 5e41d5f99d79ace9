"""WebQA and SogouQA: the answer of all passages at once, by a masked language model.

Data: files in WebQA's form, [{"id": ..., "question": ..., "passages": [{"passage": ...,
"answer": ...}, ...]}, ...]; files in SQuAD's form are cut into passages. Some are to train on and
some to score on (--dev); without --dev one question (or article) in five of each file.

The model reads

    [CLS] passage [SEP] question [SEP] [MASK] ... [MASK]

and the head of the masked language model fills the slots in one step: the answer, then [SEP]. The
token in each slot has to go on with what the slots before it took from the passage. The
passages of a question vote: sum p^2 / (1 + sum p), p the mean probability of an answer's slots.

Published (BERT-base, SogouQA, a third held out): accuracy 72.82, F1 82.07, final 77.45.
Ours: see README.md.

    python examples/reading_comprehension/by_mlm.py --data WebQA.json SogouQA.json \\
        --config chinese_roberta_folder
    python examples/reading_comprehension/by_mlm.py --smoke --show 2

Under --out: best.weights.h5, results.json, curve.png, FILE_predict.txt (id, tab, answer: what
SogouQA's scorer reads) for each file that is scored on, and the state that --resume goes on from.

Source: article 7148.
"""

# ruff: noqa: E402 (the arguments are read before TensorFlow, which takes seconds, is imported)
import reading_flags
from reading_flags import program

# ---- config ---------------------------------------------------------------------------------


def read_arguments():
    parser = reading_flags.passages_parser("by_mlm", __doc__, epochs=10, learning_rate=5e-5)
    return reading_flags.read_passages(parser)


if __name__ == "__main__":  # before the imports that take seconds
    arguments = program.start(read_arguments)

import finetuning
import keras
import numpy as np
import passages
import pretrained
import reading
import sample_questions
from checks import clear_errors

from bert4keras_ext.data import BucketedGenerator, sequence_padding, softmax
from bert4keras_ext.training import KeepBest

# ---- data -----------------------------------------------------------------------------------


class Slots(BucketedGenerator):
    """Batches of rows with slots: one passage of each question, drawn anew in each epoch."""

    def __init__(self, data, tokenizer, args):
        super().__init__(data, args.batch_size, seed=args.seed)
        self.tokenizer = tokenizer
        self.lengths = args.lengths

    def __iter__(self, random=False):
        draw = np.random.default_rng([self.seed, self.epoch, 2])
        rows, answers = [], []
        for is_end, row in self.sample(random):
            passage, answer = passages.draw_sample(row, draw)
            rows.append(passages.encode(self.tokenizer, passage, row.question, self.lengths))
            answers.append(passages.encode_answer(self.tokenizer, answer, self.lengths))
            if len(rows) == self.batch_size or is_end:
                # What is filled up behind the answer's end is 0, which the loss leaves out.
                yield self.inputs(rows), sequence_padding(answers, self.lengths.answer)
                rows, answers = [], []

    def inputs(self, rows):
        """Ids, segments (1 for slots), and the places of the slots."""
        count = self.lengths.answer
        masks = [self.tokenizer._token_mask_id] * count
        ids = self.pad([row + masks for row in rows])
        segments = self.pad([[0] * len(row) + [1] * count for row in rows])
        return [ids, segments, np.array([range(len(row), len(row) + count) for row in rows])]


# ---- evaluation -----------------------------------------------------------------------------


def read_passages(model, rows, batches):
    """For each question the votes of its passages: [(mean probability, answer, passage)]"""
    texts = [(text, row.question) for row in rows for text, _ in row.passages]
    ids = [passages.encode(batches.tokenizer, *each, batches.lengths) for each in texts]
    votes = []
    for start in range(0, len(ids), batches.batch_size):
        part = ids[start : start + batches.batch_size]
        slots = softmax(model.predict_on_batch(batches.inputs(part)))
        votes += [fill_slots(batches.tokenizer, *each) for each in zip(part, slots)]
    votes = iter((*vote, text) for vote, (text, _) in zip(votes, texts))
    return [[next(votes) for _ in row.passages] for row in rows]


def fill_slots(tokenizer, ids, slots):
    """(mean probability, answer): the likeliest tokens that follow each other in the passage."""
    end = tokenizer._token_end_id
    passage = ids[1 : ids.index(end)]
    answer, chosen, places = [], [], range(len(passage))
    for slot in slots:
        candidates = [end, *(passage[place] for place in places)]
        token = candidates[int(slot[candidates].argmax())]
        chosen.append(float(slot[token]))
        if token == end:
            break
        answer.append(token)
        places = [place + 1 for place in places if passage[place] == token]
        places = [place for place in places if place < len(passage)]
    return np.mean(chosen), tokenizer.decode(answer)


# ---- fit ------------------------------------------------------------------------------------


def main(args):
    finetuning.prepare(args, sample_questions.write_passages)
    with clear_errors():
        train, dev = passages.load_splits(args)
        rows, dev_rows = reading.flat(train), reading.flat(dev)
        _, model, tokenizer = pretrained.masked_language_model(args, passages.texts_of(rows))
    batches = Slots(rows, tokenizer, args)
    guesses = passages.random_spans(rows, dev_rows)

    def read():
        votes = read_passages(model, dev_rows, batches)
        return votes, {row.id: passages.elect(each) for row, each in zip(dev_rows, votes)}

    def evaluate():
        scores = passages.score(read()[1], dev_rows)
        return {f"val_{name}": value for name, value in scores.items()}

    best = KeepBest(evaluate, args.out / "best.weights.h5", monitor="val_final")
    baseline = "random spans", passages.score(guesses, dev_rows)
    finetuning.train(
        model, args, batches, best,
        lambda run: reading.write_report(args, run, best, passages.CURVES, baseline),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0),
        files=[f"{name}_predict.txt" for name in dev],
    )  # fmt: skip
    with clear_errors():
        best.load(model)
    votes, answers = read()
    passages.write_predictions(args, dev, answers, votes, guesses)


if __name__ == "__main__":
    program.run(main, arguments)
