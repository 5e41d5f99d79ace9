"""The eleven tasks of CLUE: folders, submission files, published scores. Change them here.

Published are scores of the test sets in percent: (CLUE, CLUE-bert4keras), None where there is none.
"""

from typing import NamedTuple


class Task(NamedTuple):
    """One task.

    name: of its script; folders: where CLUE's downloads, or ours, have its data; submission: what
    the site calls the file of CLUE 1.1; metric: what is compared; bert, roberta: published scores
    of BERT-base and RoBERTa-wwm-ext.
    """

    name: str
    folders: tuple
    submission: str
    metric: str
    bert: tuple
    roberta: tuple


def _task(name, bert, roberta, metric="accuracy", submission=None, folders=()):
    folders = (name, f"{name}_public", *folders, f"fewclue/{name}")
    return Task(name, folders, f"{submission or name}_predict.json", metric, bert, roberta)


TASKS = {
    task.name: task
    for task in (
        _task("iflytek", (60.29, 61.19), (60.31, 61.12)),
        _task("tnews", (57.42, 56.29), (None, 58.35), submission="tnews11"),
        _task("afqmc", (73.70, 73.37), (74.04, 73.61)),
        _task("cmnli", (79.69, 79.37), (80.51, 80.81)),
        _task("ocnli", (72.20, 71.73), (None, 74.27), submission="ocnli_50k"),
        _task(
            "wsc", (74.60, 73.85), (None, 82.28), submission="cluewsc11",
            folders=("cluewsc2020", "cluewsc2020_public"),
        ),
        _task("csl", (80.36, 84.03), (81.00, 85.33)),
        _task("cmrc2018", (71.60, 72.10), (75.20, 75.40), metric="EM"),
        _task("c3", (64.50, 61.33), (66.50, 67.11), submission="c311"),
        _task("chid", (82.04, 85.13), (83.62, 86.04), submission="chid11"),
        _task("cluener", (78.82, 78.68), (None, 79.38), metric="F1"),
    )
}  # fmt: skip


def find_folder(task, data):
    """The folder of a task's data in the folder of all: one that has a file to train on.

    Where none has, one that is there, or else the first name, which the script then names.
    """
    folders = [data / name for name in task.folders]
    there = [folder for folder in folders if folder.is_dir()]
    with_train = [folder for folder in there if any(folder.glob("*train*"))]
    return [*with_train, *there, *folders][0]
