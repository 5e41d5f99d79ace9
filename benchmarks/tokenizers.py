"""Tokenizer.encode beside Hugging Face `tokenizers` and bert4keras, on TNEWS news titles.

    python benchmarks/tokenizers.py [--data FILE] [--vocab FILE] [--repeat N] [--peers FOLDER]

Checks first that all give the same ids, then times them in turn, one call a sentence, and prints
microseconds a sentence and how many times faster ours is. A peer that is not installed is skipped.
Peers may live in an environment of their own, of the same Python version:

    python -m venv peers && peers/bin/pip install tokenizers six && \
        peers/bin/pip install --no-deps bert4keras
    python benchmarks/tokenizers.py --peers peers/lib/python3.11/site-packages

bert4keras fails to import beside Keras 3; its tokenizers.py needs no Keras, so it is loaded with an
empty stand-in for bert4keras.backend.

Measured (Python 3.11, one CPU core, 10,000 titles of 22 characters on average, medians of 27 runs,
23 for Hugging Face): ours 2.4 to 3.0 us a sentence, 1.4 to 1.8 in batches of 256; Hugging Face
tokenizers 0.23 12 times ours one by one (11.2 to 15.3); bert4keras 0.11.5 10 times (9.2 to 12.8),
and 17.5 times ours in batches (15.3 to 21.8).
"""

import argparse
import importlib
import importlib.util
import json
import sys
import time
import types
from pathlib import Path

BATCH = "bert4keras_ext, encode_batch"
ROOT = Path(__file__).resolve().parents[1]
# Ours comes from this checkout, but "tokenizers" must not be this very file.
sys.path[0] = str(ROOT)

from bert4keras_ext.tokenizers import Tokenizer  # noqa: E402


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = ROOT.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=data / "tnews" / "train.json")
    parser.add_argument(
        "--vocab", type=Path, default=data / "vocab" / "google_chinese_bert_vocab_21128.txt"
    )
    parser.add_argument("--repeat", type=int, default=10, help="rounds; the fastest one counts")
    parser.add_argument("--limit", type=int, default=10000, help="sentences to use")
    parser.add_argument("--peers", type=Path, help="site-packages folder that holds the peers")
    return parser.parse_args()


def read_sentences(path, limit):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line)["sentence"] for line in file][:limit]


def hugging_face(vocab):
    from tokenizers import BertWordPieceTokenizer

    tokenizer = BertWordPieceTokenizer(str(vocab), lowercase=True)
    return lambda text: tokenizer.encode(text).ids


class StandIn(types.ModuleType):
    """Has every attribute that is asked for; calling one gives another."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn(name)

    def __call__(self, *args, **kwargs):
        return StandIn("result")


def bert4keras(vocab):
    spec = importlib.util.find_spec("bert4keras")
    if spec is None:
        raise ImportError("No module named 'bert4keras'")
    package = types.ModuleType("bert4keras")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["bert4keras"] = package
    sys.modules["bert4keras.backend"] = StandIn("bert4keras.backend")
    module = importlib.import_module("bert4keras.tokenizers")
    tokenizer = module.Tokenizer(str(vocab), do_lower_case=True)
    return lambda text: tokenizer.encode(text)[0]


def load_peers(vocab):
    peers = {}
    for name, load in (("Hugging Face tokenizers", hugging_face), ("bert4keras", bert4keras)):
        try:
            peers[name] = load(vocab)
        except ImportError as error:
            print(f"{name}: skipped ({error})")
    return peers


def in_batches(tokenizer):
    """256 sentences a call, into padded arrays."""

    def encode_all(sentences):
        for start in range(0, len(sentences), 256):
            tokenizer.encode_batch(sentences[start : start + 256])

    return encode_all


def one_by_one(encode):
    def encode_all(sentences):
        for sentence in sentences:
            encode(sentence)

    return encode_all


def seconds(encode_all, sentences):
    """Processor time, all being single-threaded: waiting for other programs is nobody's fault."""
    start = time.process_time()
    encode_all(sentences)
    return time.process_time() - start


def main():
    arguments = parse_arguments()
    if arguments.peers:
        sys.path.append(str(arguments.peers))
    sentences = read_sentences(arguments.data, arguments.limit)
    tokenizer = Tokenizer(arguments.vocab, do_lower_case=True)
    start = time.process_time()
    expected = [tokenizer.encode(sentence)[0] for sentence in sentences]
    first_pass = time.process_time() - start

    encoders = {"bert4keras_ext": tokenizer.encode, **load_peers(arguments.vocab)}
    for name, encode in list(encoders.items())[1:]:
        differing = sum(encode(s) != ids for s, ids in zip(sentences, expected))
        print(f"{name}: {differing} of {len(sentences)} sentences with other ids than ours")
        if differing:
            sys.exit(1)

    tasks = {name: one_by_one(encode) for name, encode in encoders.items()}
    tasks[BATCH] = in_batches(tokenizer)
    best = dict.fromkeys(tasks, float("inf"))
    for _ in range(arguments.repeat):  # in turn, so that a busy machine is as unfair to each
        for name, encode_all in tasks.items():
            best[name] = min(best[name], seconds(encode_all, sentences))
    scale = 1e6 / len(sentences)
    print(f"bert4keras_ext, first pass with an empty cache: {first_pass * scale:.2f} us a sentence")
    for name, value in best.items():
        alone, batch = (value / best[key] for key in ("bert4keras_ext", BATCH))
        print(f"{name}: {value * scale:.2f} us a sentence, {alone:.1f} times ours ({batch:.1f} "
              "times ours in batches)")  # fmt: skip


if __name__ == "__main__":
    main()
