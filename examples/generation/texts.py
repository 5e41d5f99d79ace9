"""Training, scores, tables, curves and files of all scripts here whose texts have a reference."""

import json

import finetuning
import pretrained
import reports
from checks import clear_errors

from bert4keras_ext.data import write_jsonl
from bert4keras_ext.metrics import generation_scores
from bert4keras_ext.training import KeepBest

NAMES = {"rouge-1": "ROUGE-1", "rouge-2": "ROUGE-2", "rouge-l": "ROUGE-L", "bleu": "BLEU"}

# ---- evaluation -----------------------------------------------------------------------------


def text_scores(predictions, references):
    """{name: percent} of ROUGE-1, -2, -L (F1) and BLEU over lower-case characters."""
    scores = generation_scores(predictions, references, progress=False)
    return {name: 100 * score for name, score in scores.items()}


def loss_of(model, batches):
    """The loss of these batches."""
    return model.evaluate(batches.fortest(), steps=len(batches), verbose=0)


def search(beam):
    """Settings of `generate` for a beam of this width."""
    return {"method": "greedy"} if beam == 1 else {"method": "beam", "topk": beam}


def print_scores(table):
    """{name: scores}, one line a name."""
    width = max(map(len, table))
    print(" " * width, *(f"{label:>8}" for label in NAMES.values()))
    for name, scores in table.items():
        print(f"{name:{width}}", *(f"{scores[each]:8.2f}" for each in NAMES))


# ---- fit ------------------------------------------------------------------------------------


def train(model, args, batches, dev, generate, baseline, loss=None, files=()):
    """Trains, or goes on (--resume), and leaves scores, curves and the best weights in --out.

    Args:
        model: what `fit` takes; its best weights are those with the best ROUGE-L of greedy texts.
        args: of the command line.
        batches, dev: generators of batches; rows are (source, target).
        generate: function of rows and of the width of the beam that gives a text for each row.
        baseline: (its name, function of a source): a text that needs no model.
        loss: of `compile`; none for a model with a loss layer.
        files: what the script writes into --out besides.

    Returns:
        The `KeepBest`.
    """
    references = [target for _, target in dev.data]
    name, make_text = baseline
    baseline = name, text_scores([make_text(source) for source, _ in dev.data], references)

    def evaluate():
        scores = text_scores(generate(dev.data, 1), references)
        return {"val_loss": loss_of(model, dev), **{f"val_{k}": v for k, v in scores.items()}}

    best = KeepBest(evaluate, args.out / "best.weights.h5", monitor="val_rouge-l")
    finetuning.train(
        model, args, batches, best, lambda run: write_report(args, run, best, baseline),
        loss=loss, files=[f"{args.task}_predict.json", *files],
    )  # fmt: skip
    return best


# ---- files ----------------------------------------------------------------------------------


def write_report(args, run, best, baseline):
    """results.json, curve.png and a table."""
    name, scores = baseline
    results = {"best_dev_rouge_l": best.best, "baseline": {"name": name, **scores}, **run}
    reports.write_json(args.out / "results.json", results)
    history = run["scores"]
    curves = {label: history[f"val_{each}"] for each, label in NAMES.items()}
    reports.draw_curves(
        {"loss": {"train": history["loss"], "dev": history["val_loss"]}, "dev": curves},
        args.out / "curve.png",
        title=f"{args.task}, {pretrained.model_name(args)}: ROUGE-L {best.best:.2f}",
        best={"loss": best.best_epoch, "dev": best.best_epoch},
        levels={"dev": {f"ROUGE-L of {name}": scores["rouge-l"]}},
    )
    ours = {each: history[f"val_{each}"][best.best_epoch - 1] for each in NAMES}
    print_scores({f"dev, {name}": scores, f"dev, greedy, epoch {best.best_epoch}": ours})


def write_predictions(model, args, best, test, generate, baseline):
    """TASK_predict.json with the best weights, and its scores: one line a row of `test`."""
    with clear_errors():
        best.load(model)
    name, make_text = baseline
    references = [target for _, target in test]
    texts = generate(test, args.beam)
    path = args.out / f"{args.task}_predict.json"
    rows = zip(texts, references)
    write_jsonl(path, ({"id": i, "text": a, "reference": b} for i, (a, b) in enumerate(rows)))
    table = {
        f"predicted, {name}": text_scores([make_text(source) for source, _ in test], references),
        f"predicted, beam {args.beam}": text_scores(texts, references),
    }
    print_scores(table)
    add_results(args, table)
    print(f"predictions, weights and curves are in {args.out}")


def add_results(args, more):
    """Puts more into results.json."""
    path = args.out / "results.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    reports.write_json(path, {**results, **more})
