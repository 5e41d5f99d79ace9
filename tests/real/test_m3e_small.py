"""A real Chinese BERT from safetensors, on real sentence pairs."""

import keras
import numpy as np
import pytest

from bert4keras_ext.data import read_sts
from bert4keras_ext.layers import GlobalAveragePooling1D
from bert4keras_ext.models import build_transformer_model
from bert4keras_ext.tokenizers import Tokenizer
from tests.shared import shared

FOLDER = shared("weights", "m3e_small_fp16")


@pytest.mark.exhaustive
def test_mean_pooled_similarity_on_chinese_sts_b():
    """Spearman 0.7925 on the dev set: the figure of the weights' authors' pooling in float32."""
    from scipy.stats import spearmanr

    encoder = build_transformer_model(FOLDER)
    model = keras.Model(encoder.inputs, GlobalAveragePooling1D()(encoder.output))
    tokenizer = Tokenizer(str(FOLDER / "vocab.txt"), do_lower_case=True)
    rows = read_sts(shared("data", "sts", "sts-b-dev.txt"))
    texts = sorted({text for first, second, _ in rows for text in (first, second)}, key=len)
    vectors = {}
    for start in range(0, len(texts), 64):
        chunk = texts[start : start + 64]
        inputs = tokenizer.encode_batch(chunk, maxlen=128, multiple=32)
        for text, vector in zip(chunk, model.predict_on_batch(list(inputs))):
            vectors[text] = vector / np.linalg.norm(vector)
    similarity = [vectors[first] @ vectors[second] for first, second, _ in rows]
    score = spearmanr(similarity, [score for *_, score in rows]).statistic
    assert len(rows) == 1458
    assert score == pytest.approx(0.7925, abs=0.0003)


def test_every_weight_of_the_file_but_its_buffers_is_used():
    builder = build_transformer_model(FOLDER, checkpoint_path=False, return_keras_model=False,
                                      with_pool=True)  # fmt: skip
    report = builder.load_weights_from_checkpoint(FOLDER)
    assert not report.missing and not report.unnamed
    assert all("position_ids" in name for name in report.unused)
    assert len(report.loaded) == len(builder.model.weights)
