"""A real Chinese ELECTRA from a PyTorch file: LTP's tiny model, and its word segmentation."""

import json

import numpy as np
import pytest

from bert4keras_ext.checkpoints import open_checkpoint
from bert4keras_ext.models import build_transformer_model
from bert4keras_ext.tokenizers import Tokenizer
from tests.shared import shared

FOLDER = shared("weights", "ltp_tiny")
# As the model cuts them, and as a reader finds right. In each the logits of the two labels differ
# by more than 1 at every character, so that no rounding decides.
SENTENCES = (
    "他/叫/汤姆/去/拿/外衣/。",
    "我们/明天/上午/去/北京大学/参观/图书馆/。",
    "今天/天气/很/好/，/适合/出去/散步/。",
    "这/本/书/的/作者/是/一/位/年轻/的/医生/。",
    "他/每天/早上/七点/起床/，/然后/跑步/上班/。",
    "南京市/长江/大桥/是/一/座/著名/的/桥梁/。",
    "请/把/窗户/打开/，/屋里/太/热/了/。",
    "小明/硕士/毕业/于/中国/科学院/计算所/。",
    "妈妈/在/厨房/里/做/晚饭/，/爸爸/在/客厅/看/报纸/。",
    "我/想/买/一/张/去/广州/的/火车票/。",
)


@pytest.fixture(scope="module")
def config():
    return json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def builder(config):
    # The folder's config is that of several tasks; the encoder's own lies inside.
    encoder = config["model"]["backbone"]["config"]
    return build_transformer_model(encoder, FOLDER, return_keras_model=False)


def test_every_weight_of_the_backbone_is_used(builder):
    report = builder.load_weights_from_checkpoint(FOLDER)
    with open_checkpoint(FOLDER) as reader:
        backbone = {name for name in reader.names() if name.startswith("backbone.")}
    assert set(report.loaded.values()) == backbone - {"backbone.embeddings.position_ids"}
    assert len(report.loaded) == len(builder.model.weights) == 55
    assert not report.missing and not report.unnamed
    assert all(name.startswith("task_heads.") for name in report.unused)


def test_ten_sentences_are_cut_into_words(builder, config):
    with open_checkpoint(FOLDER) as reader:
        kernel = reader.read("task_heads.cws.classifier.0.weight").T  # (256, labels)
        bias = reader.read("task_heads.cws.classifier.0.bias")
    tokenizer = Tokenizer(str(FOLDER / "vocab.txt"), do_lower_case=True)
    begins = config["vocabs"]["cws"].index("B-W")
    texts = [sentence.replace("/", "") for sentence in SENTENCES]
    inputs = tokenizer.encode_batch(texts)
    logits = builder.model.predict_on_batch(list(inputs)) @ kernel + bias
    for text, sentence, row in zip(texts, SENTENCES, logits):
        scores = row[1 : len(text) + 1]  # every character is a token, after [CLS]
        starts = scores.argmax(-1) == begins
        cuts = [0, *(i for i in range(1, len(text)) if starts[i]), len(text)]
        assert "/".join(text[a:b] for a, b in zip(cuts, cuts[1:])) == sentence
        assert np.abs(scores[:, 0] - scores[:, 1]).min() > 1
