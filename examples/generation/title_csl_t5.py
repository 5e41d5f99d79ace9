"""CSL: the title of a paper from its abstract, by T5; ROUGE and BLEU over characters.

Data: as title_csl.py. The model: that of t5_pegasus_pretrain.py, or T5-PEGASUS itself.

Published (greedy): T5-PEGASUS ROUGE-L 67.68, ROUGE-1 69.87, ROUGE-2 59.8, BLEU 49.37; mT5-base
66.96, 69.00, 58.74, 49.79.
Ours: see README.md.

    python examples/generation/title_csl_t5.py --data csl --config runs/t5_pegasus_pretrain
    python examples/generation/title_csl_t5.py --data csl --config t5_pegasus/config.json \
        --checkpoint t5_pegasus/model.ckpt --vocab t5_pegasus/vocab.txt
    python examples/generation/title_csl_t5.py --smoke

Under --out: best.weights.h5, results.json, curve.png, title_csl_t5_predict.json (titles of the test
file, or else of the dev file) and the state that --resume goes on from.
"""

# ruff: noqa: E402 (the arguments are read before TensorFlow, which takes seconds, is imported)

import generation_flags
from generation_flags import Path, flags, program

PRETRAINED = Path("runs") / "t5_pegasus_pretrain"  # where no --config is passed

# ---- config ---------------------------------------------------------------------------------


def read_arguments():
    parser = generation_flags.generation_parser(
        "title_csl_t5", __doc__, flags.DATA / "csl_title", source_maxlen=256, target_maxlen=32,
        epochs=20, learning_rate=5e-4, batch_size=16,
    )  # fmt: skip
    return generation_flags.read(parser)


if __name__ == "__main__":  # before the imports that take seconds
    arguments = program.start(read_arguments)

import csl_titles
import finetuning
import pretrained
import texts
from checks import clear_errors
from small_t5 import T5Pairs, crossentropy, new_t5, pretrained_t5

BASELINE = "first clause of the abstract", csl_titles.first_clause

# ---- fit ------------------------------------------------------------------------------------


def main(args):
    finetuning.prepare(args, csl_titles.write_samples)
    with clear_errors():
        rows, dev_rows, test = csl_titles.load_titles(args)
        if pretrained.is_tiny(args):
            transformer, tokenizer = new_t5(args, (text for row in rows for text in row))
        else:
            transformer, tokenizer = pretrained_t5(args, PRETRAINED)
    train, dev = (T5Pairs(each, tokenizer, args) for each in (rows, dev_rows))

    def generate(rows, beam):
        """The title of each abstract: the encoder reads it, the decoder begins with [CLS]."""
        return transformer.generate(
            [tokenizer.encode(abstract, maxlen=args.source_maxlen)[0] for abstract, _ in rows],
            max_new_tokens=args.target_maxlen,
            **texts.search(beam),
            tokenizer=tokenizer,
        )

    model = transformer.model
    best = texts.train(model, args, train, dev, generate, BASELINE, loss=crossentropy())
    texts.write_predictions(model, args, best, test, generate, BASELINE)


if __name__ == "__main__":
    program.run(main, arguments)
