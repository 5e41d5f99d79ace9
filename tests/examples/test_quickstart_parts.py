"""Functions of examples/quickstart.py, without a process for each."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from running import ROOT, message_of

sys.path.append(str(ROOT / "examples"))
import quickstart

from bert4keras_ext.backend import acceleration
from bert4keras_ext.tokenizers import Tokenizer, save_vocab
from tests.training.limits import small_files

# What Keras says of things that are done here on purpose.
pytestmark = [
    pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built"),
]
TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 32}  # fmt: skip


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(quickstart, "SMALL_BERT", {**quickstart.SMALL_BERT, **TINY})
    acceleration.set_xla(False)


def arguments(folder, **changes):
    values = {"out": folder, "data": None, "config": None, "checkpoint": None, "vocab": None}
    return SimpleNamespace(**{**values, "smoke": True, "maxlen": 16, **changes})


def parse(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["quickstart.py", *words])
    return quickstart.read_arguments()


@pytest.mark.filterwarnings("error:Your input ran out of data")
def test_every_epoch_is_scored_on_all_dev_rows(tmp_path):
    """With learning rate 0 nothing changes, so no score may."""
    rng = np.random.default_rng(0)
    rows = [("".join(rng.choice(list("天地人你我他"), 6)), int(rng.integers(3))) for _ in range(40)]
    args = arguments(tmp_path)
    tokenizer, vocab = quickstart.load_tokenizer(args, rows)
    model = quickstart.build_classifier(quickstart.load_bert(args, tokenizer, vocab), 3)
    train, dev = (quickstart.Texts(part, tokenizer, 16, 8, 1) for part in (rows[:8], rows))
    history = quickstart.fit(
        model, train, 4, 0.0, "sparse_categorical_crossentropy", validation=dev,
        metrics=["accuracy"],
    )  # fmt: skip
    labels = np.array([label for _, label in rows])
    right = np.mean(quickstart.predict(model, dev).argmax(-1) == labels)
    np.testing.assert_allclose(history["val_accuracy"], [right] * 4, rtol=1e-6)
    np.testing.assert_allclose(history["val_loss"], history["val_loss"][:1] * 4, rtol=1e-6)


def test_white_space_leaves_no_gap_in_the_vocabulary(tmp_path):
    rows = [("天 地\u3000人%", 0), ("A\tb", 1)]
    tokenizer, path = quickstart.load_tokenizer(arguments(tmp_path), rows)
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    assert lines == [*quickstart.SPECIAL_TOKENS, *sorted("天地人%ab")]
    assert tokenizer.vocab_size == len(lines)


def test_a_vocabulary_larger_than_the_table(tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**quickstart.SMALL_BERT, "vocab_size": 6}))
    tokens = [*quickstart.SPECIAL_TOKENS, "天", "地"]
    save_vocab(tmp_path / "vocab.txt", {token: number for number, token in enumerate(tokens)})
    tokenizer = Tokenizer(tmp_path / "vocab.txt", do_lower_case=True)
    args = arguments(tmp_path, config=config, checkpoint=False)
    with pytest.raises(ValueError, match=r"vocab\.txt: expected at most 6 .*config\.json, found 7"):
        quickstart.load_bert(args, tokenizer, tmp_path / "vocab.txt")


def test_a_config_file_without_its_weights(tmp_path):
    config = tmp_path / "bert_config.json"
    config.write_text(json.dumps({**quickstart.SMALL_BERT, "vocab_size": 5}))
    tokenizer = Tokenizer({token: n for n, token in enumerate(quickstart.SPECIAL_TOKENS)})
    with pytest.raises(ValueError, match="--checkpoint PATH"):
        quickstart.load_bert(arguments(tmp_path, config=str(config)), tokenizer, "vocab.txt")


@pytest.mark.parametrize(
    "flag, value",
    [
        ("--epochs", "0"),
        ("--batch-size", "0"),
        ("--maxlen", "2"),
        ("--seed", "-1"),
        ("--pretrain-epochs", "-1"),
        ("--learning-rate", "nan"),
    ],
)
def test_bad_flags(monkeypatch, capsys, flag, value):
    with pytest.raises(SystemExit):
        parse(monkeypatch, flag, value)
    assert f"argument {flag}: expected" in capsys.readouterr().err


def test_a_long_maxlen_gives_the_small_model_more_positions(tmp_path, monkeypatch):
    args = parse(monkeypatch, "--smoke", "--maxlen", "200", "--out", str(tmp_path))
    assert quickstart.small_config(args, 50)["max_position"] == 200
    assert quickstart.SMALL_BERT["max_position"] == 128


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match="^quickstart.py: --out .*file: expected a folder"):
        parse(monkeypatch, "--out", str(tmp_path / "file"))


def test_limit_and_smoke_cut_each_file(tmp_path, monkeypatch):
    args = parse(monkeypatch, "--limit", "40", "--out", str(tmp_path))
    train, dev, labels = quickstart.load_data(args)
    assert (len(train), len(dev), len(labels)) == (40, 40, 6)
    assert parse(monkeypatch, "--smoke", "--out", str(tmp_path)).limit == 256
    assert parse(monkeypatch, "--smoke", "--limit", "9", "--out", str(tmp_path)).limit == 9


def test_a_model_that_cannot_be_saved_leaves_the_former_one(tmp_path):
    model = quickstart.keras.Sequential([quickstart.keras.Input((4,))])
    path = tmp_path / "classifier.keras"
    path.write_bytes(b"the former one")
    with small_files(500), pytest.raises(OSError):
        quickstart.save_model(model, path)
    assert path.read_bytes() == b"the former one" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "words, found",
    [
        (["--data", "nowhere"], ["nowhere", "no such file"]),
        (["--config", "nowhere"], ["nowhere"]),
        (["--vocab", "nowhere.txt"], ["nowhere.txt", "no file"]),
    ],
)
def test_bad_paths(tmp_path, monkeypatch, words, found):
    line = message_of(quickstart, "--smoke", "--out", tmp_path, *words, monkeypatch=monkeypatch)
    assert line.startswith("quickstart.py: ") and all(word in line for word in found)
