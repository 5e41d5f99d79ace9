"""WebQA's precision, recall and F1, and what fuzzy matching takes for the same."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert4keras_ext.metrics import FuzzyMatcher, webqa_score

ANSWERS = {"1": "北京市", "2": ["萧何", "萧相国"], "3": "红色", "4": "no_answer"}


def test_by_hand():
    found = {"1": "北京", "2": ["韩信", "萧 何"], "3": "", "4": "no_result"}
    scores = webqa_score(found, ANSWERS)
    assert scores["answered"] == scores["total"] == 4
    assert scores["strict"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert scores["fuzzy"] == {"precision": 0.75, "recall": 0.75, "f1": 0.75}


def test_who_does_not_answer_keeps_the_precision():
    scores = webqa_score({"1": "北京市"}, ANSWERS, strict=False)
    assert scores["strict"] == {"precision": 1, "recall": 0.25, "f1": 0.4}
    nothing = webqa_score(dict.fromkeys(ANSWERS, ""), ANSWERS)
    assert nothing["fuzzy"] == {"precision": 0, "recall": 0, "f1": 0}


@given(
    st.lists(st.tuples(st.sampled_from("甲乙丙"), st.sampled_from(["甲", "乙", ""])), min_size=1)
)
@settings(max_examples=60, deadline=None)
def test_by_brute_force(rows):
    correct, found = zip(*rows)
    scores = webqa_score(dict(enumerate(found)), dict(enumerate(correct)))
    right = sum(a == b for a, b in rows)
    answered = sum(bool(b) for _, b in rows)
    assert scores["strict"] == scores["fuzzy"]
    assert scores["strict"]["recall"] == right / len(rows)
    assert scores["strict"]["precision"] == (right / answered if answered else 0)
    assert abs(scores["strict"]["f1"] - 2 * right / (len(rows) + answered)) < 1e-12


def test_synonyms():
    scores = webqa_score({"1": "番茄"}, {"1": "西红柿"}, synonyms=[["番茄", "西红柿"]])
    assert scores["strict"]["f1"] == 0 and scores["fuzzy"]["f1"] == 1


# The longer one, what it is as good as, and after "!" what it is not.
SAME = """
3个=3 第3个=3 第3个=3个 15岁=15 十二月份=十二 三个月=三个 5分钟=5分 公元前221年=221年 第3个!3本
3个!3本 4个!3 《红楼梦》=红楼梦 <红楼梦>=红楼梦 红楼梦!西游记 双鱼座=双鱼 法国人=法国
日本人=日本 主持人!主持 男性=男 江南地区=江南 满族=满 红色=红 唐朝=唐 成反比=反比 反比例=反比
氧元素=氧 北京市=北京 杭州!杭 杭州市=杭州 南京市!北京 广西壮族自治区=广西 新疆维吾尔自治区=新疆
内蒙古自治区=内蒙古 延边朝鲜族自治州=延边 香港特别行政区=香港 广东省广州市=广州
广东省广州市=广州市 越国人=越国 越国人!越 BERT模型=bert模型
""".split()


@pytest.mark.parametrize("pair", SAME)
def test_the_same_and_not_the_same(pair):
    a, _, b = pair.partition("=" if "=" in pair else "!")
    assert FuzzyMatcher()(a, b) == FuzzyMatcher()(b, a) == ("=" in pair)


@pytest.mark.parametrize(
    "predicted, correct",
    [("腾讯公司", "腾讯"), ("越国", "越"), ("红色", "红色的"), ("鼠", "鼠年"), ("甲", "“甲”")],
)
def test_the_same_in_one_direction(predicted, correct):
    assert FuzzyMatcher()(predicted, correct) and not FuzzyMatcher()(correct, predicted)


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"predictions": {"1": "甲", "9": "乙"}}, "ids of the 1 questions, found 1 others: '9'"),
        ({"predictions": {}}, "answer for each of 1 questions, found none for 1: '1'; fix"),
        ({"predictions": {"1": 3}}, "'1': expected an answer as text, or a list of texts, found 3"),
        ({"answers": {}}, "answers: expected at least one question"),
        ({"synonyms": ["甲乙"]}, "synonyms: expected groups of names"),
    ],
)
def test_bad_rows(kwargs, message):
    with pytest.raises(ValueError, match=message):
        webqa_score(**({"predictions": {"1": "甲"}, "answers": {"1": "甲"}} | kwargs))
