"""What other libraries compute from our files, recorded: our environment has none of them.

A test writes a folder and says what a library makes of it. The answer stands in tests/recordings,
beside a digest of the folder: as long as we write the same, byte for byte, it holds. After a change
of what is written, in an environment that has the libraries (torch, transformers<5, pytorch-crf):

    B4K_RECORD_PEERS=1 python -m pytest tests/models tests/layers -k "transformers or pytorch"

and, where rouge and nltk (with its punkt_tab data) are installed:

    B4K_RECORD_PEERS=1 python -m pytest tests/metrics
"""

import hashlib
import json
import os
import zlib
from pathlib import Path

import numpy as np

RECORDINGS = Path(__file__).parent / "recordings"
IS_RECORDING = bool(os.environ.get("B4K_RECORD_PEERS"))


def values_for(name, shape):
    """Weights that depend on nothing but their name: any environment draws the same."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    around = 1.0 if len(shape) == 1 and name.endswith(("gamma", "weight")) else 0.0
    return (around + rng.normal(0, 0.2, shape)).astype("float32")


def fill(builder):
    """Gives every weight of a builder the values for its name."""
    for name, variable in builder.named_weights().items():
        if variable.trainable:
            variable.assign(values_for(name, tuple(variable.shape)))


def answer(name, question, compute):
    """{key: array} that a library answered.

    Args:
        name: of the recording.
        question: a folder with a checkpoint and a config.json, or a list of arrays.
        compute: function without arguments that asks the library and gives {key: array}.
    """
    path = RECORDINGS / f"{name}.npz"
    digest = _digest(question)
    if IS_RECORDING:
        path.parent.mkdir(exist_ok=True)
        np.savez_compressed(path, digest=digest, **compute())
    recorded = dict(np.load(path))
    assert recorded.pop("digest") == digest, (
        f"expected what {path.name} was recorded for, found other weights or another config: "
        "record it again, as tests/peers.py says"
    )
    return recorded


def _digest(question):
    found = hashlib.sha256()
    if isinstance(question, (str, Path)):
        import safetensors.numpy

        config = json.loads((Path(question) / "config.json").read_text())
        config.pop("transformers_version", None)
        found.update(json.dumps(config, sort_keys=True).encode())
        tensors = safetensors.numpy.load_file(Path(question) / "model.safetensors")
        question = [x for name in sorted(tensors) for x in (np.array([name]), tensors[name])]
    for array in question:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def with_values_for_names(model, folder):
    """Saves a PyTorch model, each of its weights filled with the values for its name."""
    import torch

    with torch.no_grad():
        for name, tensor in model.named_parameters():
            tensor.copy_(torch.tensor(values_for(name, tuple(tensor.shape))))
    model.save_pretrained(folder)
    return model.eval()


def logits(model, tokens, segments=None, **more):
    """{output: array} of a PyTorch model in evaluation; token 0 is padding."""
    import torch

    fed = {"input_ids": tokens, "attention_mask": (tokens != 0).astype("int64"), **more}
    if segments is not None:
        fed["token_type_ids"] = segments
    with torch.no_grad():
        outputs = model.eval()(**{key: torch.tensor(x) for key, x in fed.items()})
    return {key: x.numpy() for key, x in outputs.items() if hasattr(x, "numpy")}


def loaded(cls, folder, **kwargs):
    """A transformers model of a folder, all of whose weights were found, and none left over."""
    import transformers

    cls = getattr(transformers, cls) if isinstance(cls, str) else cls
    model, info = cls.from_pretrained(folder, output_loading_info=True, **kwargs)
    assert not any(info.values()), info
    return model
