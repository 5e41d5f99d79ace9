"""WebQA and SogouQA: the answer written by UniLM, token by token, on which all passages vote.

Data: files in WebQA's form, [{"id": ..., "question": ..., "passages": [{"passage": ...,
"answer": ...}, ...]}, ...]; files in SQuAD's form are cut into passages. Some are to train on and
some to score on (--dev); without --dev one question (or article) in five of each file.

The model reads a passage and a question, and goes on with the answer, nothing where the passage has
none:

    [CLS] passage [SEP] question [SEP] answer [SEP]     segments 0 ... 0 1 ... 1

At the first token the passages that would write nothing drop out. Of the others' probabilities p
for the next token, sum p^2 / (1 + sum p) is what the beam search sees; what it writes has to stand
in a passage.

Published (BERT-base, SogouQA, a third held out): accuracy 72.59, F1 81.39, final 76.99.
Ours: see README.md.

    python examples/reading_comprehension/by_seq2seq.py --data WebQA.json SogouQA.json \\
        --config chinese_roberta_folder
    python examples/reading_comprehension/by_seq2seq.py --smoke --show 2

Under --out: best.weights.h5, results.json, curve.png, FILE_predict.txt (id, tab, answer: what
SogouQA's scorer reads) for each file that is scored on, and the state that --resume goes on from.

Source: article 7115.
"""

# ruff: noqa: E402 (the arguments are read before TensorFlow, which takes seconds, is imported)
import reading_flags
from reading_flags import checks, program

# ---- config ---------------------------------------------------------------------------------


def read_arguments():
    parser = reading_flags.passages_parser("by_seq2seq", __doc__, epochs=8, learning_rate=5e-5)
    parser.add_argument(
        "--beam", type=checks.whole_number(1), default=2,
        help="width of the beam search for the predictions; the scores after each epoch are of "
        "width 1 (%(default)s)",
    )  # fmt: skip
    return reading_flags.read_passages(parser)


if __name__ == "__main__":  # before the imports that take seconds
    arguments = program.start(read_arguments)

import finetuning
import numpy as np
import passages
import reading
import sample_questions
from checks import clear_errors
from unilm import unilm, with_loss

from bert4keras_ext.data import BucketedGenerator
from bert4keras_ext.generation import ExtractiveNgrams
from bert4keras_ext.training import KeepBest

# ---- data -----------------------------------------------------------------------------------


class Answers(BucketedGenerator):
    """Batches of rows with answers: one passage of each question, drawn anew in each epoch."""

    def __init__(self, data, tokenizer, args):
        super().__init__(data, args.batch_size, seed=args.seed)
        self.tokenizer = tokenizer
        self.lengths = args.lengths

    def __iter__(self, random=False):
        draw = np.random.default_rng([self.seed, self.epoch, 2])
        token_ids, segment_ids = [], []
        for is_end, row in self.sample(random):
            passage, answer = passages.draw_sample(row, draw)
            read = passages.encode(self.tokenizer, passage, row.question, self.lengths)
            written = passages.encode_answer(self.tokenizer, answer, self.lengths)
            token_ids.append(read + written)
            segment_ids.append([0] * len(read) + [1] * len(written))
            if len(token_ids) == self.batch_size or is_end:
                yield ([self.pad(token_ids), self.pad(segment_ids)],)
                token_ids, segment_ids = [], []


# ---- evaluation -----------------------------------------------------------------------------


class Reader:
    """Answers questions with a UniLM model.

    Args:
        transformer: its builder.
        tokenizer: a Tokenizer.
        args: of the command line.
    """

    def __init__(self, transformer, tokenizer, args):
        self.transformer, self.tokenizer, self.args = transformer, tokenizer, args

    def answers(self, rows, beam=1):
        """{id: answer}, on which the passages of a question agree."""
        prompts = [self.prompts(row) for row in rows]
        sources = [[self.passage_of(ids) for ids in group] for group in prompts]
        counts = [len(group) for group in prompts]
        texts = self.write(sum(prompts, []), sources, votes=counts, method="beam", topk=beam)
        return dict(zip((row.id for row in rows), texts))

    def votes(self, row):
        """What each passage alone would answer: [(mean probability, answer, passage)]"""
        prompts = self.prompts(row)
        sources = [[self.passage_of(ids)] for ids in prompts]
        answers, scores = self.write(prompts, sources, return_scores=True)
        return list(zip(np.exp(scores), answers, (text for text, _ in row.passages)))

    def write(self, prompts, sources, **settings):
        """What `generate` writes behind the prompts, as far as it stands in the sources."""
        end = self.tokenizer._token_end_id
        return self.transformer.generate(
            prompts,
            max_new_tokens=self.args.lengths.answer,
            tokenizer=self.tokenizer,
            processors=[ExtractiveNgrams(sources, end_id=end)],
            batch_size=self.args.batch_size,
            progress=False,
            **settings,
        )

    def prompts(self, row):
        lengths = self.args.lengths
        texts = [text for text, _ in row.passages]
        return [passages.encode(self.tokenizer, text, row.question, lengths) for text in texts]

    def passage_of(self, ids):
        return ids[1 : ids.index(self.tokenizer._token_end_id)]


# ---- fit ------------------------------------------------------------------------------------


def main(args):
    finetuning.prepare(args, sample_questions.write_passages)
    with clear_errors():
        train, dev = passages.load_splits(args)
        rows, dev_rows = reading.flat(train), reading.flat(dev)
        transformer, tokenizer = unilm(args, passages.texts_of(rows))
    model = with_loss(transformer, args.lengths.answer)
    reader, batches = Reader(transformer, tokenizer, args), Answers(rows, tokenizer, args)
    guesses = passages.random_spans(rows, dev_rows)

    def evaluate():
        scores = passages.score(reader.answers(dev_rows), dev_rows)
        return {f"val_{name}": value for name, value in scores.items()}

    best = KeepBest(evaluate, args.out / "best.weights.h5", monitor="val_final")
    baseline = "random spans", passages.score(guesses, dev_rows)
    finetuning.train(
        model, args, batches, best,
        lambda run: reading.write_report(args, run, best, passages.CURVES, baseline),
        files=[f"{name}_predict.txt" for name in dev],
    )  # fmt: skip
    with clear_errors():
        best.load(model)
    answers = reader.answers(dev_rows, args.beam)
    votes = [reader.votes(row) for row in dev_rows[: args.show]]
    passages.write_predictions(args, dev, answers, votes, guesses)


if __name__ == "__main__":
    program.run(main, arguments)
