"""Hugging Face transformers' generate() on PyTorch, for ../generation.py: eager, with its cache.

It has no UniLM; a causal BERT of the same sizes stands in for it, whose steps cost the same.
mixed_bfloat16 is autocast (float32 weights), bfloat16 the whole model in bfloat16.
"""

import os
import sys

import generation_child as child

XLA = False
CACHED = True
TELLS = True
MODELS = ["unilm", "mt5", "gpt2"]


def import_all():
    global torch, transformers
    import torch
    import transformers

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))


def versions():
    return {"transformers": transformers.__version__, "torch": torch.__version__}


def unilm(config):
    config.update(max_position_embeddings=child.WINDOW, is_decoder=True, hidden_act="gelu")
    return transformers.BertLMHeadModel(transformers.BertConfig(**config))


def mt5(config):
    return transformers.MT5ForConditionalGeneration(
        transformers.MT5Config(
            vocab_size=config["vocab_size"],
            d_model=config["hidden_size"],
            d_kv=config["attention_head_size"],
            d_ff=config["intermediate_size"],
            num_layers=config["num_hidden_layers"],
            num_heads=config["num_attention_heads"],
            feed_forward_proj="gated-gelu",
            tie_word_embeddings=False,
            decoder_start_token_id=0,
        )
    )


def gpt2(config):
    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=config["vocab_size"],
            n_embd=config["hidden_size"],
            n_layer=config["num_hidden_layers"],
            n_head=config["num_attention_heads"],
            n_inner=config["intermediate_size"],
            n_positions=child.WINDOW,
        )
    )


class Teller:
    """What generate() calls a streamer: first with the prompt, then with each token."""

    def __init__(self, tell):
        self.tell, self.seen_prompt = tell, False

    def put(self, value):
        if self.seen_prompt:
            self.tell()
        self.seen_prompt = True

    def end(self):
        pass


def make_writer(request, config):
    torch.manual_seed(0)
    model = {"unilm": unilm, "mt5": mt5, "gpt2": gpt2}[request["model"]](config).eval()
    if request["precision"] == "bfloat16":
        model = model.to(torch.bfloat16)
    mixed = request["precision"] == "mixed_bfloat16"

    def write(rows, new, tell=None):
        tokens = torch.tensor(rows)
        settings = transformers.GenerationConfig(
            max_new_tokens=new, num_beams=request["beams"], do_sample=False, use_cache=True,
            pad_token_id=0, eos_token_id=None, decoder_start_token_id=0,
        )  # fmt: skip
        streamer = Teller(tell) if tell else None
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
            found = model.generate(
                tokens,
                attention_mask=torch.ones_like(tokens),
                generation_config=settings,
                streamer=streamer,
            )
        return found[:, -new:].tolist()

    return write


if __name__ == "__main__":
    child.serve(sys.modules[__name__])
