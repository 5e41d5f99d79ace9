"""Question-answer pairs from a passage, by UniLM: it writes an answer, and then its question.

    [CLS] passage [SEP] answer [SEP] question [SEP]     segments 0 ... 0 1 ... 1

Data: a folder with train.json and dev.json in the form of CMRC2018, DRCD and SQuAD, or one such
file, of which every tenth article is kept for dev.

Published: no score.
Ours: see README.md: ROUGE and BLEU of the questions that are asked for the true answers.

    python examples/generation/question_answer_pairs.py --data cmrc2018 --config bert_folder
    python examples/generation/question_answer_pairs.py --smoke

Under --out: best.weights.h5, results.json, curve.png, question_answer_pairs_predict.json (the
questions for the true answers), pairs.json (answers that the model found itself, and their
questions) and the state that --resume goes on from.
"""

# ruff: noqa: E402 (the arguments are read before TensorFlow, which takes seconds, is imported)

import re

import generation_flags
from generation_flags import checks, flags, program

# ---- config ---------------------------------------------------------------------------------


def read_arguments():
    parser = generation_flags.generation_parser(
        "question_answer_pairs", __doc__, flags.DATA / "drcd" / "DRCD_dev.json",
        source_maxlen=256, target_maxlen=64, epochs=10, learning_rate=2e-4, batch_size=16,
        settings=["answer_maxlen"],
    )  # fmt: skip
    add = parser.add_argument
    add("--answer-maxlen", type=checks.whole_number(3), default=16, help="of --target-maxlen")
    add("--samples", type=checks.whole_number(1), default=3, help="pairs for each passage")
    add("--topp", type=float, default=0.95, help="answers are drawn from so much probability")
    return generation_flags.read(parser)


if __name__ == "__main__":  # before the imports that take seconds
    arguments = program.start(read_arguments)

import finetuning
import reports
import sample_questions
import texts
from checks import clear_errors
from unilm import UniLMPairs, unilm, with_loss

from bert4keras_ext.data import read_squad, write_jsonl

# ---- data -----------------------------------------------------------------------------------


def load_questions(args):
    """(train, dev): lists of ((passage, answer), question)."""
    if args.data.is_file():
        questions = _read(args.data)
        articles = list(dict.fromkeys(each.article for each in questions))
        kept = set(articles[::10])
        splits = [[q for q in questions if (q.article in kept) == is_dev] for is_dev in (0, 1)]
    else:
        splits = [_read(checks.find_file(args.data, [f"{name}.json"])) for name in ("train", "dev")]
    splits = [
        [((stretch(q.passage, *q.answers[0], args), q.answers[0][0]), q.question) for q in split]
        for split in splits
    ]
    splits = [split[: args.limit] for split in splits]
    args.rows = finetuning.fingerprint(*splits)
    return splits


def _read(path):
    checks.check_text(path)
    return [question for question in read_squad(path) if question.answers]


def stretch(passage, answer, start, args):
    """The part of a long passage that is read: the first of overlapping ones with the answer."""
    size = args.source_maxlen - 2
    for begin in range(0, start + 1, size // 2):
        if start + len(answer) <= begin + size:
            return passage[begin : begin + size]
    return passage[start : start + size]


def write_samples(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, number in (("train", 32), ("dev", 8)):
        reports.write_json(
            folder / f"{name}.json", sample_questions.make_spans(number, number, reports=2)
        )


class Questions(UniLMPairs):
    """Batches of ((passage, answer), question)."""

    def encode(self, source, question):
        ids, segments = encode_source(self.tokenizer, *source, self.args)
        maxlen = self.args.target_maxlen - self.args.answer_maxlen
        written = self.tokenizer.encode(question, maxlen=maxlen + 1)[0][1:]
        return ids + written, segments + [1] * len(written)


def encode_source(tokenizer, passage, answer, args):
    """(ids, segments) of what the question is asked for; without an answer of the passage alone."""
    ids, segments = tokenizer.encode(passage, maxlen=args.source_maxlen)
    if answer is None:
        return ids, segments
    written = tokenizer.encode(answer, maxlen=args.answer_maxlen + 1)[0][1:]
    return ids + written, segments + [1] * len(written)


def clause_of_answer(source):
    """The baseline: the clause of the passage that the answer stands in."""
    passage, answer = source
    clauses = re.split("(?<=[。！？；，])", passage)
    return next((clause for clause in clauses if answer in clause), answer)


BASELINE = "clause of the answer", clause_of_answer

# ---- evaluation -----------------------------------------------------------------------------


class Writer:
    """Answers and questions from the model as it is."""

    def __init__(self, transformer, tokenizer, args):
        self.transformer, self.tokenizer, self.args = transformer, tokenizer, args

    def ask(self, rows, beam):
        """A question for each row ((passage, answer), ...)."""
        args = self.args
        return self.transformer.generate(
            [encode_source(self.tokenizer, *source, args) for source, _ in rows],
            max_new_tokens=args.target_maxlen - args.answer_maxlen,
            **texts.search(beam),
            tokenizer=self.tokenizer,
        )

    def find_answers(self, passages):
        """`args.samples` answers at random from each passage."""
        args = self.args
        found = self.transformer.generate(
            [encode_source(self.tokenizer, passage, None, args) for passage in passages],
            max_new_tokens=args.answer_maxlen, method="sample", topp=args.topp,
            num_return=args.samples, seed=args.seed, tokenizer=self.tokenizer,
        )  # fmt: skip
        return found if args.samples > 1 else [[answer] for answer in found]


def write_pairs(writer, dev, args):
    """pairs.json: what the model finds worth asking in the dev passages."""
    passages = list(dict.fromkeys(passage for (passage, _), _ in dev))
    answers = writer.find_answers(passages)
    sources = [(p, a) for p, found in zip(passages, answers) for a in dict.fromkeys(found) if a]
    questions = writer.ask([(source, None) for source in sources], args.beam)
    rows = [
        {"passage": passage, "answer": answer, "question": question}
        for (passage, answer), question in zip(sources, questions)
    ]
    write_jsonl(args.out / "pairs.json", rows)
    inside = sum(row["answer"] in row["passage"] for row in rows) / max(len(rows), 1)
    print(f"{len(rows)} pairs in pairs.json; {100 * inside:.1f} % of the answers stand in the text")
    texts.add_results(args, {"pairs": len(rows), "answers_in_passage": inside})


# ---- fit ------------------------------------------------------------------------------------


def main(args):
    finetuning.prepare(args, write_samples)
    with clear_errors():
        rows, dev_rows = load_questions(args)
        words = (text for (passage, _), question in rows for text in (passage, question))
        transformer, tokenizer = unilm(args, words)
    train, dev = (Questions(each, tokenizer, args) for each in (rows, dev_rows))

    model, writer = with_loss(transformer, args.target_maxlen), Writer(transformer, tokenizer, args)
    best = texts.train(model, args, train, dev, writer.ask, BASELINE)
    texts.write_predictions(model, args, best, dev_rows, writer.ask, BASELINE)
    write_pairs(writer, dev_rows, args)


if __name__ == "__main__":
    program.run(main, arguments)
