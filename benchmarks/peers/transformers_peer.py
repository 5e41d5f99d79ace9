"""Hugging Face transformers' BertModel on PyTorch, eager mode, its default attention. See child.py.

bfloat16: the whole model in bfloat16 for inference, autocast over float32 weights for training.
Optimizer: torch.optim.Adam(fused=True), fused as the optimizer of the library's Trainer is.
"""

import os
import sys

import child

XLA = False


def import_base():
    global torch
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))


def import_library():
    global transformers, BertConfig, BertModel
    import transformers
    from transformers import BertConfig, BertModel


def versions():
    attention = make_encoder({**child.SHARED, **child.SIZES["tiny"]}).config._attn_implementation
    return {
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "attention": attention,
        "optimizer": "torch.optim.Adam(fused=True)",
        "bfloat16": "whole model for inference, autocast for training",
    }


def make_encoder(config):
    torch.manual_seed(0)
    return BertModel(BertConfig(**config), add_pooling_layer=False)


def tensors(batch):
    # Copied in every step: the other peers also convert NumPy arrays in every step.
    return {
        "input_ids": torch.tensor(batch["tokens"], dtype=torch.long),
        "token_type_ids": torch.tensor(batch["segments"], dtype=torch.long),
        "attention_mask": torch.tensor(batch["mask"], dtype=torch.long),
    }


def make_forward(config, precision, xla):
    model = make_encoder(config).eval()
    if precision in ("mixed_bfloat16", "bfloat16"):
        model = model.to(torch.bfloat16)

    def forward(batch):
        with torch.inference_mode():
            return model(**tensors(batch)).last_hidden_state.float().numpy()

    return forward


def make_training(config, precision, xla):
    encoder = make_encoder(config).train()
    head = torch.nn.Linear(config["hidden_size"], 2)
    weights = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(weights, lr=child.LEARNING_RATE, fused=True)
    low = precision == "mixed_bfloat16"

    def step(batch):
        labels = torch.tensor(batch["labels"], dtype=torch.long)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
            scores = head(encoder(**tensors(batch)).last_hidden_state[:, 0])
        loss = torch.nn.functional.cross_entropy(scores.float(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss)

    return step


if __name__ == "__main__":
    child.serve(sys.modules[__name__])
