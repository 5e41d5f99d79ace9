"""jieba's words in front of a BERT tokenizer."""

import copy
import json
import logging
import pickle
from pathlib import Path

import pytest

from bert4keras_ext.tokenizers import (
    JiebaSegmenter,
    Tokenizer,
    load_vocab,
    t5_pegasus_tokenizer,
    word_segmentation,
)
from tests.shared import oracle, shared

jieba = pytest.importorskip("jieba")
TEXT = "他来到了网易杭研大厦"


@pytest.fixture(scope="module")
def segmenter():
    return JiebaSegmenter()


@pytest.fixture(scope="module")
def corpus():
    path = shared("data", "corpus", "CLUECorpusSmall_sampled.txt")
    return path.read_text(encoding="utf-8").split("\n")[:150]


def test_recorded_cases(segmenter):
    folder = oracle("bert4keras", "tokenizer")
    recorded = json.loads((folder / "tokenizer.json").read_text())["pre_tokenize_jieba"]
    token_dict = load_vocab(folder / "vocab.txt")
    for word in recorded["extra"]:
        token_dict[word] = len(token_dict)
    tokenizer = t5_pegasus_tokenizer(token_dict, segmenter)
    for case in recorded["cases"]:
        tokens = tokenizer.tokenize(case["text"])
        assert tokens == case["tokens"]
        assert tokenizer.encode(case["text"])[0] == case["ids"]
        assert tokenizer.rematch(case["text"], tokens) == case["rematch"]


def test_published_vocabulary_by_the_definition(corpus):
    """Lower case, words without HMM; a known word is a token, any other goes BERT's way."""
    path = shared("data", "vocab", "t5_pegasus_vocab_50000.txt")
    tokenizer, plain = t5_pegasus_tokenizer(path), Tokenizer(path, do_lower_case=True)
    vocab = load_vocab(path)
    words_as_one = 0
    for text in [*corpus, "Café T恤 ｂｅｒｔ [MASK] Ａ股 😀 a\u0301 3.14% U.S.A", ""]:
        ids = [vocab["[CLS]"]]
        for word in jieba.cut(plain._normalize(text), HMM=False):
            if word in vocab:
                ids.append(vocab[word])
                words_as_one += len(word) > 1
            else:
                ids += plain.encode(word)[0][1:-1]
        assert tokenizer.encode(text) == ([*ids, vocab["[SEP]"]], [0] * (len(ids) + 1)), text
    assert words_as_one > 5000


def test_hidden_markov_model_is_off_unless_asked_for(segmenter):
    assert "".join(segmenter(TEXT)) == TEXT
    assert segmenter(TEXT) == list(jieba.cut(TEXT, HMM=False)) and "杭研" not in segmenter(TEXT)
    assert "杭研" in JiebaSegmenter(hmm=True)(TEXT)


def test_pickles_and_copies_are_light(segmenter, corpus):
    tokenizer = t5_pegasus_tokenizer({"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "公交": 3}, segmenter)
    expected = tokenizer.encode(corpus[0])
    assert segmenter._jieba is not None
    packed = pickle.dumps(tokenizer)
    assert len(packed) < 5000
    for other in (pickle.loads(packed), copy.deepcopy(tokenizer)):
        assert other._pre_tokenize._jieba is None
        assert other.encode(corpus[0]) == expected


def test_nothing_is_loaded_before_the_first_call():
    lazy = JiebaSegmenter(["杭研"])
    assert lazy._jieba is None and lazy("杭研") == ["杭研"] and lazy._jieba is not None


def test_loading_is_silent_and_leaves_the_log_level(capfd):
    logger = logging.getLogger("jieba")
    before = logger.level
    logger.setLevel(17)
    word_segmentation._plain_jieba.cache_clear()
    assert JiebaSegmenter()("好") == ["好"]
    captured = capfd.readouterr()
    assert captured.out == "" and "Prefix dict" not in captured.err
    assert logger.level == 17
    logger.setLevel(before)


def test_words_of_ones_own(tmp_path, segmenter):
    path = tmp_path / "words.txt"
    path.write_text("杭研 1000 n\n大厦里\n", encoding="utf-8")
    for words in (path, str(path), ["杭研"], (word for word in ["杭研"]), [("杭研", 1000)]):
        own = JiebaSegmenter(words)
        assert "杭研" in own(TEXT)
        assert "杭研" in pickle.loads(pickle.dumps(own))(TEXT)
    # Neither other segmenters nor jieba itself know them.
    assert "杭研" not in segmenter(TEXT) and "杭研" not in jieba.lcut(TEXT, HMM=False)
    assert "网易杭" not in JiebaSegmenter([("网易杭", 0)])(TEXT)  # a frequency that is no word


def test_most_frequent_words(segmenter):
    lines = Path(jieba.__file__).with_name("dict.txt").read_text(encoding="utf-8").split("\n")
    counts = dict(line.split(" ")[:2] for line in lines if line)
    ranked = sorted((-int(count), word) for word, count in counts.items() if int(count))
    assert segmenter.most_frequent_words(5000) == [word for _, word in ranked[:5000]]
    assert len(segmenter.most_frequent_words(10**6)) == len(ranked)
    assert JiebaSegmenter([("杭研", 10**9)]).most_frequent_words(1) == ["杭研"]


def test_wrong_dictionaries(tmp_path):
    with pytest.raises(FileNotFoundError, match="user_dict: expected a dictionary file"):
        JiebaSegmenter(tmp_path / "none.txt")
    with pytest.raises(TypeError, match="found 3"):
        JiebaSegmenter(["好", 3])


def test_options_reach_the_tokenizer(segmenter):
    token_dict = {"[UNK]": 0, "好": 1, "Bert": 2}
    tokenizer = t5_pegasus_tokenizer(
        token_dict, segmenter, token_start=None, token_end=None, do_lower_case=False
    )
    assert tokenizer.tokenize("Bert好") == ["Bert", "好"]


@pytest.mark.parametrize(
    "tokens, text",
    [
        (["ai", "模型"], "ai模型"),
        (["ai", "模型", "bert", "模型"], "ai模型bert模型"),
        (["用", "ai", "##s", "模型", "，", "模型"], "用ais模型，模型"),
        (["ai", "……", "模型"], "ai……模型"),
        (["ai", "bert", "模型"], "ai bert模型"),
    ],
)
def test_words_are_written_without_spaces_around_them(tokens, text):
    names = ["[UNK]", "[CLS]", "[SEP]", *dict.fromkeys(tokens)]
    tokenizer = t5_pegasus_tokenizer({name: i for i, name in enumerate(names)})
    assert tokenizer.decode([tokenizer.token_to_id(token) for token in tokens]) == text
