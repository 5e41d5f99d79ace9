"""CSL: the title of a paper from its abstract, by UniLM; ROUGE and BLEU over characters.

Data: a folder with train.json, val.json and, if there is one, test.json, one row a line,

    {"title": "...", "abst": "..."}

or with tables train.tsv, dev.tsv: title, abstract, parted by a tab.

Published (BERT-base, greedy): ROUGE-L 63.81, ROUGE-1 65.45, ROUGE-2 54.91, BLEU 45.52.
Ours: see README.md.

    python examples/generation/title_csl.py --data csl --config chinese_roberta_folder
    python examples/generation/title_csl.py --smoke

Under --out: best.weights.h5, results.json, curve.png, title_csl_predict.json (titles of the test
file, or else of the dev file) and the state that --resume goes on from.
"""

# ruff: noqa: E402 (the arguments are read before TensorFlow, which takes seconds, is imported)

import generation_flags
from generation_flags import flags, program

# ---- config ---------------------------------------------------------------------------------


def read_arguments():
    parser = generation_flags.generation_parser(
        "title_csl", __doc__, flags.DATA / "csl_title", source_maxlen=256, target_maxlen=32,
        epochs=10, learning_rate=2e-4, batch_size=16,
    )  # fmt: skip
    return generation_flags.read(parser)


if __name__ == "__main__":  # before the imports that take seconds
    arguments = program.start(read_arguments)

import csl_titles
import finetuning
import texts
from checks import clear_errors
from unilm import UniLMPairs, unilm, with_loss

BASELINE = "first clause of the abstract", csl_titles.first_clause

# ---- fit ------------------------------------------------------------------------------------


def main(args):
    finetuning.prepare(args, csl_titles.write_samples)
    with clear_errors():
        rows, dev_rows, test = csl_titles.load_titles(args)
        transformer, tokenizer = unilm(args, (text for row in rows for text in row))
    train, dev = (UniLMPairs(each, tokenizer, args) for each in (rows, dev_rows))

    def generate(rows, beam):
        """The title of each abstract: what UniLM writes behind it."""
        return transformer.generate(
            [tokenizer.encode(abstract, maxlen=args.source_maxlen) for abstract, _ in rows],
            max_new_tokens=args.target_maxlen,
            **texts.search(beam),
            tokenizer=tokenizer,
        )

    model = with_loss(transformer, args.target_maxlen)
    best = texts.train(model, args, train, dev, generate, BASELINE)
    texts.write_predictions(model, args, best, test, generate, BASELINE)


if __name__ == "__main__":
    program.run(main, arguments)
