"""A small labelled Chinese data set made of our own templates, in TNEWS' file format.

Each sentence is a headline of two reports from two different fields, one of which it affirms and
one of which it denies; the label is the field of the affirmed one:

    网传果园的苹果减产，其实是新能源车降价    -> news_car
    果园的苹果减产并不是谣言，新能源车降价才是  -> news_agriculture

Every word of a field is found in sentences of all labels, denied as often as affirmed; words like
苹果, 小米, 火箭 and 长城 belong to two fields; negations come in pairs. So no keyword gives the
label away (a bag of characters gets half of them right): a model has to find out which report is
affirmed and what it is about.
"""

import random

from bert4keras_ext.data import write_jsonl

# TNEWS' own numbers and names of these fields.
LABELS = {
    "103": "news_sports",
    "104": "news_finance",
    "107": "news_car",
    "109": "news_tech",
    "112": "news_travel",
    "115": "news_agriculture",
}

# For each field what reports are about and what happens to it: any subject with any event.
REPORTS = {
    "103": [
        (["火箭", "勇士", "主队", "客队", "国足", "女排", "球队", "老将"],
         ["夺冠", "输球", "赢下决赛", "换帅", "止步半决赛", "迎来三连胜", "签下新秀"]),
        (["门将", "队长", "前锋", "名帅", "教练"],
         ["受伤", "退役", "首秀", "上涨薪水", "缺席比赛", "打破纪录"]),
    ],
    "104": [
        (["基金", "股市", "黄金", "债券", "油价", "汇率", "大盘"],
         ["大跌", "上涨", "创新高", "反弹", "连跌三天", "迎来拐点"]),
        (["央行", "银行", "券商", "保险公司", "交易所"],
         ["降息", "换帅", "上市", "裁员", "发布年报", "打破刚兑"]),
    ],
    "107": [
        (["新能源车", "长城", "大众", "越野车", "轿车", "皮卡", "跑车"],
         ["降价", "召回", "油耗大跌", "下线", "换上新轮胎", "发布新款", "销量创新高"]),
        (["车主", "司机", "车企", "经销商"],
         ["试驾", "抱怨刹车", "涨价提车", "缺席车展"]),
    ],
    "109": [
        (["苹果", "小米", "火箭", "芯片", "手机", "无人机", "机器人"],
         ["发布新系统", "发射成功", "续航减半", "断货", "屏幕升级", "专利获批"]),
        (["程序员", "工程师", "实验室", "科技公司"],
         ["开源代码", "裁员", "破解算法", "打破封锁", "迎来融资"]),
    ],
    "112": [
        (["长城", "古镇", "黄金周", "海岛", "草原", "景区", "民宿"],
         ["门票降价", "游客创新高", "一房难求", "闭园", "迎来旺季", "大雪封山"]),
        (["导游", "游客", "航空公司", "旅行社"],
         ["宰客", "滞留机场", "推出特价线路", "上涨团费", "缺席签证面试"]),
    ],
    "115": [
        (["苹果", "小米", "大豆", "果园", "玉米", "小麦", "猪肉", "茶园"],
         ["丰收", "减产", "遭虫害", "滞销", "迎来播种", "亩产创新高"]),
        (["农民", "养殖户", "合作社", "果农"],
         ["降价卖粮", "上山采茶", "换上新农机", "发布收成", "抱怨化肥"]),
    ],
}  # fmt: skip

# {yes} is affirmed, {no} denied; each wording comes with the one that turns it round.
TEMPLATES = [
    "网传{no}，其实是{yes}", "网传{yes}，并不是{no}",
    "{no}是谣言，{yes}才是真的", "{yes}不是谣言，{no}才是",
    "{no}并不属实，{yes}属实", "{yes}属实，{no}并不属实",
    "{yes}，而不是{no}", "不是{no}，而是{yes}",
    "谁说{no}？明明是{yes}", "谁说不是{yes}？哪有{no}",
    "与{no}无关，记者看到{yes}", "记者看到{yes}，与{no}无关",
    "{no}被否认，{yes}获证实", "{yes}获证实，{no}被否认",
    "先别信{no}，可以信{yes}", "可以信{yes}，先别信{no}",
]  # fmt: skip


def make_rows(number, seed=0):
    """`number` distinct rows of TNEWS' form, the labels in turn, shuffled."""
    rng, sentences = random.Random(seed), {}
    labels = list(LABELS)
    while len(sentences) < number:
        label = labels[len(sentences) % len(labels)]
        sentences.setdefault(_sentence(label, rng), label)
    rows = [
        {"label": label, "label_desc": LABELS[label], "sentence": sentence}
        for sentence, label in sentences.items()
    ]
    rng.shuffle(rows)
    return rows


def _sentence(label, rng):
    other = rng.choice([field for field in LABELS if field != label])
    return rng.choice(TEMPLATES).format(yes=make_report(label, rng), no=make_report(other, rng))


def make_report(field, rng):
    """A subject of this field and what happened to it."""
    subjects, events = rng.choice(REPORTS[field])
    return rng.choice(subjects) + rng.choice(events)


def make_pairs(number, seed=0):
    """`number` rows of AFQMC's form: do two headlines affirm the same report ("1") or not ("0")?"""
    rng, rows = random.Random(seed), []
    for place in range(number):
        field, other = rng.sample(list(LABELS), 2)
        reports = make_report(field, rng), make_report(other, rng)
        is_same = place % 2
        first, second = (
            rng.choice(TEMPLATES).format(yes=yes, no=no)
            for yes, no in (reports, reports if is_same else reports[::-1])
        )
        rows.append({"sentence1": first, "sentence2": second, "label": str(is_same)})
    return rows


def write_data(folder, train=7680, dev=1024, seed=0):
    """Writes train.json, dev.json and labels.json, as CLUE's tnews_public has them."""
    rows = make_rows(train + dev, seed)
    write_jsonl(folder / "train.json", rows[:train])
    write_jsonl(folder / "dev.json", rows[train:])
    labels = ({"label": label, "label_desc": name} for label, name in LABELS.items())
    write_jsonl(folder / "labels.json", labels)
