"""Pairs of texts for the metrics of generation: written for this test, and drawn at random."""

import numpy as np

WRITTEN = [
    ("今天天气很好", "今天天气真好"),
    ("今天天气很好", "今天天气很好"),
    ("好", "好"),
    ("好", "坏"),
    ("好好好好", "好"),
    ("好", "好好好好"),
    ("基于图神经网络的推荐", "一种基于图神经网络的序列推荐方法"),
    ("BERT模型", "bert 模型"),
    ("深度学习, 机器学习", "机器学习, 深度学习"),
    ("版本1.2.3发布", "版本1.2发布了"),
    ("第一句. 第二句. 第三句", "第三句. 第一句"),
    ("一二三。四五六。", "四五六。一二三。"),
    ("结尾有点.", "结尾有点"),
    ("a..b", "a.b"),
    (". a", "a ."),
    ("中间 有 空格", "中间有空格"),
    ("the cat sat on the mat", "the cat is on the mat"),
    ("甲乙丙丁" * 30, "丁丙乙甲" * 30),
    ("长" * 60 + "短", "短" + "长" * 40),
]


def pairs():
    """[(candidate, reference)], none of them empty."""
    rng = np.random.default_rng(4)
    drawn = ["".join(rng.choice(list("甲乙丙丁戊Aa. "), rng.integers(1, 40))) for _ in range(240)]
    drawn = [text for text in drawn if text.strip(" .")]
    return WRITTEN + list(zip(drawn[::2], drawn[1::2]))


def spaced(text):
    """As bert4keras' scripts hand texts to rouge and nltk."""
    return " ".join(text).lower()
