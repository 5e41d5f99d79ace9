"""Hugging Face transformers' BertModel and others on PyTorch: eager mode, default attention.

See child.py. mixed_bfloat16 is autocast (float32 weights), bfloat16 the whole model in bfloat16.
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
    global transformers
    import transformers


def versions():
    config = {**child.SHARED, **child.SIZES["tiny"], **child.FAMILIES["bert"]}
    attention = make_encoder(config).config._attn_implementation
    return {
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "attention": attention,
        "optimizer": "torch.optim.Adam(fused=True)",
        "mixed_bfloat16": "torch.autocast",
    }


def nezha():
    from transformers.models.deprecated import nezha  # until version 4

    return nezha.NezhaConfig, nezha.NezhaModel


def families():
    try:
        nezha()
    except ImportError:
        return ["bert", "roformer", "albert", "t5"]
    return ["bert", "roformer", "nezha", "albert", "t5"]


def make_encoder(config):
    torch.manual_seed(0)
    model = config.pop("model")
    if model.startswith("t5"):
        return transformers.T5EncoderModel(
            transformers.T5Config(
                vocab_size=config["vocab_size"],
                d_model=config["hidden_size"],
                d_kv=config["hidden_size"] // config["num_attention_heads"],
                d_ff=config["intermediate_size"],
                num_layers=config["num_hidden_layers"],
                num_heads=config["num_attention_heads"],
                dropout_rate=config["hidden_dropout_prob"],
            )
        )
    if model == "roformer":
        return transformers.RoFormerModel(transformers.RoFormerConfig(**config))
    if model == "nezha":
        config_class, model_class = nezha()
    else:
        prefix = {"bert": "Bert", "albert": "Albert"}[model]
        config_class = getattr(transformers, f"{prefix}Config")
        model_class = getattr(transformers, f"{prefix}Model")
    return model_class(config_class(**config), add_pooling_layer=False)


def tensors(batch, encoder):
    # Copied in every step: the other peers also convert NumPy arrays in every step.
    arrays = {
        "input_ids": torch.tensor(batch["tokens"], dtype=torch.long),
        "token_type_ids": torch.tensor(batch["segments"], dtype=torch.long),
        "attention_mask": torch.tensor(batch["mask"], dtype=torch.long),
    }
    if encoder.config.model_type == "t5":
        del arrays["token_type_ids"]
    return arrays


def autocast(precision):
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "mixed_bfloat16")


def make_forward(config, precision, xla):
    model = make_encoder(config).eval()
    if precision == "bfloat16":
        model = model.to(torch.bfloat16)

    def forward(batch):
        with torch.inference_mode(), autocast(precision):
            return model(**tensors(batch, model)).last_hidden_state.float().numpy()

    return forward


def make_training(config, precision, xla):
    encoder = make_encoder(config).train()
    head = torch.nn.Linear(config["hidden_size"], 2)
    weights = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(weights, lr=child.LEARNING_RATE, fused=True)

    def step(batch):
        labels = torch.tensor(batch["labels"], dtype=torch.long)
        with autocast(precision):
            scores = head(encoder(**tensors(batch, encoder)).last_hidden_state[:, 0])
        loss = torch.nn.functional.cross_entropy(scores.float(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss)

    return step


if __name__ == "__main__":
    child.serve(sys.modules[__name__])
