"""examples/pretraining/mlm.py: its batches, a whole run, and what its folder is good for."""

import argparse
import json
import sys

import numpy as np
import pytest
from running import ROOT, check_quiet, message_of, run_example, run_here

sys.path.append(str(ROOT / "examples" / "pretraining"))
sys.path.append(str(ROOT / "examples" / "reading_comprehension"))
import by_mlm
import mlm
import pretrained

from bert4keras_ext.checkpoints import open_checkpoint
from bert4keras_ext.models import build_transformer_model
from bert4keras_ext.tokenizers import Tokenizer

LETTERS = "天地玄黄宇宙洪荒日月盈昃辰宿列张"


@pytest.fixture
def tokenizer():
    return Tokenizer(pretrained.character_vocabulary([LETTERS]))


def batches_of(tokenizer, texts, seed=1, maxlen=42):
    args = argparse.Namespace(batch_size=16, maxlen=maxlen, least=8)
    return mlm.MaskedTexts(texts, tokenizer, args, seed)


def test_of_ten_tokens_eight_are_masked_one_is_another_one_itself(tokenizer):
    draw = np.random.default_rng(0)
    texts = ["".join(draw.choice(list(LETTERS), 40)) for _ in range(2000)]
    kinds = {"masked": 0, "other": 0, "same": 0}
    for start, ((ids, segments, places), tokens) in enumerate(batches_of(tokenizer, texts)):
        text = np.array([tokenizer.encode(t)[0] for t in texts[16 * start : 16 * start + 16]])
        assert places.shape == tokens.shape == (16, 6) and not segments.any()  # 15 % of 42
        np.testing.assert_array_equal(np.take_along_axis(text, places, 1), tokens)
        touched = ids.copy()
        np.put_along_axis(touched, places, tokens, 1)
        np.testing.assert_array_equal(touched, text)  # nothing else was changed
        assert all(len(set(row)) == 6 for row in places.tolist())
        found = np.take_along_axis(ids, places, 1)
        kinds["masked"] += (found == tokenizer._token_mask_id).sum()
        kinds["same"] += (found == tokens).sum()
        kinds["other"] += ((found != tokens) & (found != tokenizer._token_mask_id)).sum()
        assert set(found.ravel()) - {tokenizer._token_mask_id} <= set(tokenizer.encode(LETTERS)[0])
    shares = np.array([*kinds.values()]) / 12000
    # One in sixteen of the tenth that is drawn anew is the token itself.
    np.testing.assert_allclose(shares, [0.8, 0.1 * 15 / 16, 0.1 + 0.1 / 16], atol=4 * 0.0037)


def test_masks_and_stretches_change_from_epoch_to_epoch_and_not_from_run_to_run(tokenizer):
    def epochs(seed):
        batches = batches_of(tokenizer, ["".join(LETTERS) * 6] * 20, seed, maxlen=34)
        for epoch in range(2):
            batches.epoch = epoch
            yield [x[0] for x, _ in batches.__iter__(random=True)]

    first, second = epochs(1)
    again, _ = epochs(1)
    other, _ = epochs(2)
    assert all(map(np.array_equal, first, again))
    assert not any(map(np.array_equal, first, second)) and not np.array_equal(first[0], other[0])
    assert len({tuple(row) for row in first[0]}) > 8 and first[0].shape == (16, 34)


def test_places_that_are_filled_up_have_no_token_to_tell(tokenizer):
    [((ids, _, places), tokens)] = batches_of(tokenizer, [LETTERS, LETTERS[:8], "天地玄"])
    assert ids.shape[0] == 2  # the third is too short
    assert places.shape == (2, 3) and (tokens[0] > 0).all()
    assert (tokens[1] > 0).tolist() == [True, True, False]


def test_scores_are_those_of_all_tokens(tokenizer):
    class Always:
        """Is sure of the token 6, and knows nothing of the others."""

        def predict_on_batch(self, inputs):
            logits = np.zeros((*inputs[2].shape, 20), "float32")
            logits[..., 6] = np.log(20)
            return logits

    batches = [(([0], [0], np.zeros((1, 3))), np.array([[6, 7, 0]])),
               (([0], [0], np.zeros((1, 3))), np.array([[6, 6, 8]]))]  # fmt: skip
    found = mlm.scores_of(Always(), batches)
    right, wrong = -np.log(20 / 39), -np.log(1 / 39)
    assert found["val_accuracy"] == 0.6
    assert found["val_loss"] == pytest.approx((3 * right + 2 * wrong) / 5, rel=1e-6)
    baseline = mlm.scores_of_frequencies(batches, batches)
    assert baseline["accuracy"] == 0.6
    counts = {6: 4, 7: 2, 8: 2}  # one more than seen, of 8
    wanted = np.mean([-np.log(counts[token] / 8) for token in (6, 7, 6, 6, 8)])
    assert baseline["loss"] == pytest.approx(wanted)


def test_as_a_user_runs_it_and_goes_on_with_the_folder(tmp_path, monkeypatch):
    result = run_example("pretraining/mlm.py", "--smoke", "--epochs", 1, folder=tmp_path)
    check_quiet(result)
    out = tmp_path / "runs" / "mlm"
    assert {path.name for path in out.iterdir()} == {
        "best.weights.h5", "config.json", "curve.png", "data", "model.safetensors", "results.json",
        "state.npz", "vocab.txt",
    }  # fmt: skip
    assert "frequencies of tokens" in result.stdout
    with open_checkpoint(out / "model.safetensors") as reader:
        assert "cls.predictions.transform.dense.weight" in reader
    model = build_transformer_model(out, with_mlm=True)  # every weight is there
    tokenizer = Tokenizer(str(out / "vocab.txt"))
    assert model.output_shape[-1] == tokenizer.vocab_size

    words = ("--smoke", "--epochs", 2, "--resume", "--out", out)
    run_here(mlm, *words, monkeypatch=monkeypatch)
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert len(results["scores"]["val_loss"]) == 2
    assert results["best_dev_loss"] == min(results["scores"]["val_loss"])

    words = ("--smoke", "--epochs", 1, "--config", out, "--maxlen", 64, "--out", tmp_path / "slots")
    words += ("--question-maxlen", 16, "--answer-maxlen", 8)
    run_here(by_mlm, *words, monkeypatch=monkeypatch)
    assert (tmp_path / "slots" / "results.json").exists()


def test_texts_that_are_all_too_short(tmp_path, monkeypatch):
    for name in ("train", "dev"):
        (tmp_path / f"{name}.txt").write_text("短。\n" * 9, encoding="utf-8")
    words = ("--smoke", "--data", tmp_path, "--out", tmp_path / "out")
    line = message_of(mlm, *words, monkeypatch=monkeypatch)
    assert "at least 8 characters" in line and "9 lines" in line
