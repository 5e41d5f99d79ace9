"""PyTorch on the batches that ../clue_reference.py wrote: transformers' BertModel, nothing of ours.

    python clue_torch.py FOLDER SEED    (reads task.json, batches-SEED.npz; writes torch-SEED.npz)

Plain code, as one writes it for a baseline: the same weights, rows, order of batches, padding,
learning rates and Adam as ours; only what is drawn at random (new heads, dropout) is its own.
"""

import json
import os
import pathlib
import sys
import time

import numpy as np
import torch
import transformers

RANGE = 0.02  # of the heads' weights, as BERT's own


class Classifier(torch.nn.Module):
    """Logits of the classes from the state of [CLS]."""

    def __init__(self, encoder, task):
        super().__init__()
        self.encoder = encoder
        self.head = torch.nn.Linear(encoder.config.hidden_size, task["classes"])
        torch.nn.init.trunc_normal_(self.head.weight, 0, RANGE, -2 * RANGE, 2 * RANGE)
        torch.nn.init.zeros_(self.head.bias)

    def forward(self, ids):
        states = self.encoder(ids, attention_mask=(ids > 0).long()).last_hidden_state
        return self.head(states[:, 0])

    def loss(self, logits, labels, ids):
        return torch.nn.functional.cross_entropy(logits, labels)

    def predictions(self, logits, ids):
        return logits.argmax(-1).numpy()


class Pointer(torch.nn.Module):
    """GlobalPointer: a score for each type and span, with rotary positions (article 8373)."""

    SIZE = 64

    def __init__(self, encoder, task):
        super().__init__()
        self.encoder, self.types = encoder, task["classes"]
        self.head = torch.nn.Linear(encoder.config.hidden_size, self.types * self.SIZE * 2)
        torch.nn.init.trunc_normal_(self.head.weight, 0, RANGE, -2 * RANGE, 2 * RANGE)
        torch.nn.init.zeros_(self.head.bias)

    def forward(self, ids):
        states = self.encoder(ids, attention_mask=(ids > 0).long()).last_hidden_state
        x = self.head(states).unflatten(-1, (self.types, 2, self.SIZE))
        query, key = self._turned(x[..., 0, :]), self._turned(x[..., 1, :])
        scores = torch.einsum("bmtd,bntd->btmn", query, key) / self.SIZE**0.5
        real = ids > 0
        allowed = (real[:, None, :, None] & real[:, None, None, :]).triu()
        return scores.masked_fill(~allowed, -1e12)

    def _turned(self, x):
        places = torch.arange(x.shape[1], dtype=torch.float32)
        speeds = 10000 ** (-torch.arange(0, self.SIZE, 2) / self.SIZE)
        angles = (places[:, None] * speeds).repeat_interleave(2, -1)[:, None]  # (places, 1, size)
        turned = torch.stack([-x[..., 1::2], x[..., ::2]], -1).flatten(-2)
        return x * angles.cos() + turned * angles.sin()

    def loss(self, scores, spans, ids):
        """log(1 + sum over others exp s) + log(1 + sum over true ones exp(-s)), article 7359."""
        true = torch.zeros_like(scores, dtype=torch.bool)
        for row, own in enumerate(spans):
            for kind, start, end in own[own[:, 0] >= 0].tolist():
                true[row, kind, start, end] = True
        scores, true = scores.flatten(2), true.flatten(2)
        zero = torch.zeros_like(scores[..., :1])
        others = torch.cat([scores.masked_fill(true, -1e12), zero], -1).logsumexp(-1)
        those = torch.cat([(-scores).masked_fill(~true, -1e12), zero], -1).logsumexp(-1)
        return (others + those).mean()

    def predictions(self, scores, ids):
        """(n, 4): row, type, start, end."""
        return (scores > 0).nonzero().numpy()


KINDS = {"classes": Classifier, "spans": Pointer}


def rate(step, task):
    rising = (step + 1) / max(task["warmup"], 1)
    falling = (task["steps"] - step) / (task["steps"] - task["warmup"])
    return task["learning_rate"] * min(max(min(rising, falling), 0.0), 1.0)


def main(folder, seed):
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
    torch.manual_seed(seed)
    task = json.loads((folder / "task.json").read_text())
    batches = np.load(folder / f"batches-{seed}.npz")
    encoder = transformers.BertModel.from_pretrained(task["config"], torch_dtype=torch.float32)
    model = KINDS[task["kind"]](encoder, task)
    optimizer = torch.optim.Adam(model.parameters(), lr=1.0, eps=task["epsilon"])

    began, losses = time.monotonic(), []
    model.train()
    for step in range(task["steps"]):
        ids, labels = (torch.tensor(batches[f"train-{step}-{x}"]) for x in ("ids", "labels"))
        optimizer.param_groups[0]["lr"] = rate(step, task)
        loss = model.loss(model(ids), labels.long(), ids)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    seconds = time.monotonic() - began

    model.eval()
    found = []
    with torch.no_grad():
        for number in range(sum(name.startswith("dev") for name in batches)):
            ids = torch.tensor(batches[f"dev-{number}-ids"])
            found.append(model.predictions(model(ids), ids))
    np.savez(folder / f"torch-{seed}.npz", losses=losses, seconds=seconds,
             **{f"dev-{number}": x for number, x in enumerate(found)})  # fmt: skip


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
