"""One small classification task under ten optimizers: a table and learning curves.

    python examples/optimizers_compared.py

Nothing is downloaded: the headlines of sample_data.py, a small BERT with random weights, the same
initial weights and the same batches for every optimizer. Each composition shows how an optimizer is
derived and what it is given; docs/optimizers.md explains the rules. Under --out it leaves
curves.png and results.json.

Measured: dev accuracy after six epochs from 0.73 (Tiger) and 0.74 (lookahead) over 0.79 (LAMB),
0.87 (AdaFactor) and 0.89 (Lion) to 0.97 (AdamW with a schedule) and 0.98 (with decay by depth).

The task is small and the learning rates were not tuned one by one: read the curves as pictures of
how the rules behave, not as a ranking.
"""

# ruff: noqa: E402 (the arguments are read before TensorFlow, which takes seconds, is imported)
import time
from collections import Counter

import program
from checks import clear_errors, make_folder, whole_number

# ---- config ---------------------------------------------------------------------------------

SMALL_BERT = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "hidden_act": "gelu",
    "max_position": 64,
    "segment_vocab_size": 2,
}
SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
NO_DECAY = ["Norm", "bias"]
PANELS = {"train loss": "loss", "dev loss": "val_loss", "dev accuracy": "val_accuracy"}
FILES = ["vocab.txt", "curves.png", "results.json"]


def read_arguments():
    parser = program.argument_parser(__doc__, out="runs/optimizers", batch_size=32)
    parser.add_argument("--epochs", type=whole_number(1), default=6, help="(%(default)s)")
    parser.add_argument("--only", help="optimizers to run: parts of their names, with commas")
    args = parser.parse_args()
    with clear_errors():
        make_folder(args.out)
    if args.smoke:
        args.epochs = min(args.epochs, 1)
        SMALL_BERT.update(hidden_size=16, num_hidden_layers=1, intermediate_size=32)
    return args


if __name__ == "__main__":  # before the imports that take seconds
    arguments = program.start(read_arguments)

import keras
import numpy as np
from reports import draw_curves, write_json
from sample_data import write_data

from bert4keras_ext.backend import acceleration
from bert4keras_ext.data import DataGenerator, read_labels, read_tnews
from bert4keras_ext.models import build_transformer_model
from bert4keras_ext.optimizers import (
    LAMB,
    AdaFactor,
    Adam,
    Lion,
    Tiger,
    extend_with_exponential_moving_average,
    extend_with_gradient_accumulation,
    extend_with_layer_wise_lr_decay,
    extend_with_lazy_optimization,
    extend_with_lookahead,
    extend_with_piecewise_linear_lr,
    extend_with_weight_decay,
)
from bert4keras_ext.tokenizers import Tokenizer, save_vocab
from bert4keras_ext.training import EvaluateWithEMA

# ---- optimizers -----------------------------------------------------------------------------


def make_optimizers(steps):
    """{name: function that makes the optimizer} for a training of so many batches."""
    AdamW = extend_with_weight_decay(Adam, "AdamW")
    AdamWLR = extend_with_piecewise_linear_lr(AdamW, "AdamWLR")
    AdamWLA = extend_with_lookahead(AdamWLR, "AdamWLA")
    AdamWG = extend_with_gradient_accumulation(AdamWLR, "AdamWG")
    AdamWLazy = extend_with_lazy_optimization(AdamWLR, "AdamWLazy")
    AdamWDepth = extend_with_layer_wise_lr_decay(AdamWLR, "AdamWDepth")
    AdamWEMA = extend_with_exponential_moving_average(AdamWLR, "AdamWEMA")
    LAMBLR = extend_with_piecewise_linear_lr(LAMB, "LAMBLR")
    LionW = extend_with_piecewise_linear_lr(extend_with_weight_decay(Lion), "LionW")
    TigerLR = extend_with_piecewise_linear_lr(Tiger, "TigerLR")
    AdaFactorLR = extend_with_piecewise_linear_lr(AdaFactor, "AdaFactorLR")

    rise_and_fall = {"lr_schedule": {max(steps // 10, 1): 1, max(steps, 2): 0}}
    updates = max(steps // 4, 2)  # with accumulation, schedules count these
    decay = {"exclude_from_weight_decay": NO_DECAY, **rise_and_fall}
    return {
        "AdamW, schedule": lambda: AdamWLR(1e-3, **decay),
        "+ lookahead": lambda: AdamWLA(1e-3, steps_per_slow_update=5, **decay),
        "+ accumulation of 4": lambda: AdamWG(
            2e-3, grad_accum_steps=4,
            **{**decay, "lr_schedule": {max(updates // 10, 1): 1, updates: 0}},
        ),
        "+ lazy embeddings": lambda: AdamWLazy(
            1e-3, include_in_lazy_optimization=["Embedding-Token"], **decay
        ),
        "+ decay by depth": lambda: AdamWDepth(1.5e-3, layer_lr_decay=0.8, **decay),
        "+ moving average": lambda: AdamWEMA(1e-3, ema_momentum=0.98, **decay),
        "LAMB": lambda: LAMBLR(5e-3, exclude_from_layer_adaptation=NO_DECAY, **decay),
        "Lion": lambda: LionW(2e-4, weight_decay_rate=0.1, **decay),
        "Tiger": lambda: TigerLR(5e-3, **rise_and_fall),
        "AdaFactor": lambda: AdaFactorLR(2e-2, **rise_and_fall),
    }  # fmt: skip


# ---- data and model -------------------------------------------------------------------------


class Texts(DataGenerator):
    """Batches of token ids, segment ids and labels, all of one length."""

    def __init__(self, data, tokenizer, batch_size, seed, maxlen=32):
        super().__init__(data, batch_size, seed=seed, buckets=[maxlen])
        self.tokenizer = tokenizer
        self.maxlen = maxlen

    def __iter__(self, random=False):
        token_ids, labels = [], []
        for is_end, (text, label) in self.sample(random):
            token_ids.append(self.tokenizer.encode(text, maxlen=self.maxlen)[0])
            labels.append(label)
            if len(token_ids) == self.batch_size or is_end:
                padded = self.pad(token_ids)
                yield [padded, np.zeros_like(padded)], np.array(labels)
                token_ids, labels = [], []


def load_data(args):
    """(training batches, dev batches, number of labels, number of tokens)."""
    program.set_aside(args, FILES)
    folder = args.out / "data"
    write_data(folder, *((256, 64) if args.smoke else ()))
    labels = list(read_labels(folder / "labels.json"))
    train, dev = (
        read_tnews(folder / name, labels)[: args.limit] for name in ("train.json", "dev.json")
    )
    characters = sorted({char for text, _ in train for char in text.lower() if char.strip()})
    path = args.out / "vocab.txt"
    save_vocab(path, {token: n for n, token in enumerate(SPECIAL_TOKENS + characters)})
    tokenizer = Tokenizer(path, do_lower_case=True)
    batches = [Texts(rows, tokenizer, args.batch_size, args.seed) for rows in (train, dev)]
    return *batches, len(labels), tokenizer.vocab_size


def build_classifier(num_labels, vocab_size, seed):
    """The same weights at every call."""
    keras.utils.set_random_seed(seed)
    bert = build_transformer_model({**SMALL_BERT, "vocab_size": vocab_size})
    x = keras.layers.GlobalAveragePooling1D(name="Mean")(bert.output)
    outputs = keras.layers.Dense(num_labels, "softmax", dtype="float32", name="Label")(x)
    return keras.Model(bert.inputs, outputs)


# ---- fit ------------------------------------------------------------------------------------


def train(make, data, args):
    """{name: [value after each epoch]}, with "seconds" for the whole training."""
    train_data, dev_data, num_labels, vocab_size = data
    model = build_classifier(num_labels, vocab_size, args.seed)
    model.compile(
        make(), "sparse_categorical_crossentropy", metrics=["accuracy"],
        jit_compile=acceleration.jit_compile(),
    )  # fmt: skip
    callbacks = [EvaluateWithEMA()] if hasattr(model.optimizer, "apply_ema_weights") else []
    start = time.perf_counter()
    history = model.fit(
        train_data.to_dataset(), steps_per_epoch=len(train_data), epochs=args.epochs,
        validation_data=dev_data.to_dataset(random=False), validation_steps=len(dev_data),
        callbacks=callbacks, shuffle=False, verbose=0,
    ).history  # fmt: skip
    slots = sum(int(np.prod(v.shape)) for v in model.optimizer.variables) / model.count_params()
    return {**history, "seconds": time.perf_counter() - start, "slots": round(slots, 2)}


def print_line(name, result):
    print(
        f"{name:22}{result['loss'][-1]:12.4f}{result['val_loss'][-1]:10.4f}"
        f"{result['val_accuracy'][-1]:14.3f}{result['slots']:16.2f}{result['seconds']:9.1f}",
        flush=True,
    )


def chosen(only):
    """Names of the optimizers that --only means; all without it."""
    names = list(make_optimizers(steps=10))
    wanted = [part.strip().lower() for part in (only or "").split(",")]
    names = [name for name in names if any(part in name.lower() for part in wanted)]
    if not names:
        raise ValueError(f"--only {only}: no such optimizer")
    return names


def main(args):
    acceleration.apply_arguments(args)
    with clear_errors():
        names = chosen(args.only)
    data = load_data(args)
    optimizers = make_optimizers(steps=len(data[0]) * args.epochs)
    print(f"{'optimizer':22}{'train loss':>12}{'dev loss':>10}{'dev accuracy':>14}"
          f"{'state / weights':>16}{'seconds':>9}")  # fmt: skip
    labels = Counter(label for _, label in data[1].data)
    results = {}
    for name in names:
        results[name] = train(optimizers[name], data, args)
        print_line(name, results[name])
    draw_curves(
        {
            title: {name: result[key] for name, result in results.items()}
            for title, key in PANELS.items()
        },
        args.out / "curves.png",
        title=f"Topics of headlines: one small BERT, the same batches, {len(results)} optimizers",
        levels={"dev accuracy": {"majority class": max(labels.values()) / labels.total()}},
    )
    write_json(args.out / "results.json", results, indent=1)
    print(f"all files are in {args.out}")


if __name__ == "__main__":
    program.run(main, arguments)
