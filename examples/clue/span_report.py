"""results.json and curve.png of the tasks whose answers are spans: the loss, and scores on dev."""

import pretrained
import reports


def write_report(args, run, best, curves):
    """The files of a run; prints the best score.

    Args:
        args: of the command line.
        run: what `finetuning.train` reports.
        best: the `KeepBest`; scores go from 0 to 1.
        curves: {score: its name in the picture}; the first is that of `best`.
    """
    main, name = next(iter(curves.items()))
    results = {f"best_dev_{main}": best.best, "score": {"name": name, "value": best.best}, **run}
    reports.write_json(args.out / "results.json", results)
    scores, title = run["scores"], f"{args.task.upper()}, {pretrained.model_name(args)}"
    reports.draw_curves(
        {
            "loss": {"train": scores["loss"]},
            "dev": {label: scores[f"val_{each}"] for each, label in curves.items()},
        },
        args.out / "curve.png",
        title=f"{title}: dev {name} {100 * best.best:.2f} %",
        best={"dev": best.best_epoch},
    )
    print(f"best dev {name} {best.best:.4f} in epoch {best.best_epoch}")
