"""Functions of the scripts of examples/generation, without training."""

import sys
from contextlib import closing
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from running import ROOT

sys.path += [str(ROOT / "examples"), str(ROOT / "examples" / "generation")]
import corpus
import csl_titles
import labelled_pairs
import labelled_texts
import pretrained
import question_answer_pairs
import sample_questions
import sample_texts
import simbert_paraphrase
import small_t5
import t5_pegasus_pretrain
import texts
import unilm

from bert4keras_ext.data import write_jsonl
from bert4keras_ext.models import build_transformer_model
from bert4keras_ext.tokenizers import Tokenizer

TEXT = "今天北京下大雨，有人没带伞。谁下了？"
PAD, UNK, CLS, SEP = range(4)


@pytest.fixture
def tokenizer():
    return Tokenizer(pretrained.character_vocabulary([TEXT]))


@pytest.fixture
def args(tmp_path):
    return SimpleNamespace(
        maxlen=20, source_maxlen=12, target_maxlen=8, answer_maxlen=4, batch_size=2, seed=1,
        data=tmp_path, limit=None, workers=0,
    )  # fmt: skip


def texts_of(tokenizer, ids):
    return [tokenizer.id_to_token(i) for i in ids]


# ---- CSL and scores -------------------------------------------------------------------------


def test_titles_of_both_forms(args, tmp_path):
    write_jsonl(tmp_path / "train.json", [{"title": "题", "abst": "文"}])
    (tmp_path / "dev.tsv").write_text("标题\t正文。\n", encoding="utf-8")
    assert csl_titles.load_titles(args) == [
        [("文", "题")],
        [("正文。", "标题")],
        [("正文。", "标题")],
    ]
    assert args.rows.startswith("1 train, 1 dev")


@pytest.mark.parametrize(
    "abstract, clause", [("提出甲;分析乙。", "提出甲"), ("甲。", "甲"), ("甲", "甲")]
)
def test_the_first_clause(abstract, clause):
    assert csl_titles.first_clause(abstract) == clause


def test_scores_are_percent_and_the_table_names_them(capsys):
    scores = texts.text_scores(["今天很好", ""], ["今天很好", "明天"])
    assert list(scores) == list(texts.NAMES)
    assert scores["rouge-l"] == pytest.approx(50)
    texts.print_scores({"ours": scores})
    assert capsys.readouterr().out.splitlines()[1].split() == ["ours"] + ["50.00"] * 4


# ---- UniLM ----------------------------------------------------------------------------------


def test_a_row_of_unilm(args, tokenizer):
    rows = [("今天北京下大雨今天北京下大雨", "下雨"), ("伞", "今天北京下大雨今天北京下大雨")]
    batches = unilm.UniLMPairs(rows, tokenizer, args)
    ids, segments = batches.encode(*rows[0])
    assert texts_of(tokenizer, ids) == ["[CLS]", *"今天北京下大雨今天北", "[SEP]", *"下雨", "[SEP]"]
    assert segments == [0] * 12 + [1] * 3
    ids, segments = batches.encode(*rows[1])
    assert len(ids) == 3 + 8 and ids[-1] == SEP and segments == [0] * 3 + [1] * 8
    ((tokens, segments),) = next(batches.forfit(random=False))
    assert tokens.shape == segments.shape == (2, 32)


def test_the_loss_is_that_of_the_targets_alone(args, tokenizer):
    """Against all logits of the model and a loop in NumPy."""
    keras.utils.set_random_seed(0)
    config = {**pretrained.TINY_BERT, "vocab_size": tokenizer.vocab_size, "max_position": 32,
              "dropout_rate": 0, "attention_dropout_rate": 0}  # fmt: skip
    transformer = build_transformer_model(
        config, application="unilm", with_mlm="linear", return_keras_model=False
    )
    rows = [("今天下雨", "今天北京下大雨"), ("伞", "雨"), ("今天北京下大雨，有", "谁下了？")]
    args.batch_size = 3
    batches = unilm.UniLMPairs(
        rows,
        tokenizer,
        args,
    )
    batches.multiple = 1  # so that the longest row ends with the batch
    ((ids, segments),) = next(batches.forfit(random=False))
    logits = keras.ops.convert_to_numpy(transformer.model([ids, segments])).astype("float64")
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    losses = [-logs[row, place - 1, ids[row, place]] for row, place in zip(*np.nonzero(segments))]
    assert ids.shape == (3, 16) and len(losses) == 8 + 2 + 5
    model = unilm.with_loss(transformer, args.target_maxlen)
    model([ids, segments])
    np.testing.assert_allclose(float(sum(model.losses)), np.mean(losses), rtol=1e-5)


def test_questions_follow_answers(args, tokenizer):
    batches = question_answer_pairs.Questions([], tokenizer, args)
    ids, segments = batches.encode(("今天北京下大雨", "北京"), "谁下了？")
    assert texts_of(tokenizer, ids) == [
        "[CLS]", *"今天北京下大雨", "[SEP]", *"北京", "[SEP]", *"谁下了", "[SEP]"
    ]  # fmt: skip
    assert segments == [0] * 9 + [1] * 7
    prompt, _ = question_answer_pairs.encode_source(tokenizer, "今天北京下大雨", "北京", args)
    assert ids[: len(prompt)] == prompt
    alone, _ = question_answer_pairs.encode_source(tokenizer, "今天北京下大雨", None, args)
    assert prompt[: len(alone)] == alone


@pytest.mark.parametrize("start", range(0, 40, 3))
def test_the_stretch_that_is_read_holds_the_answer(args, start):
    passage = "".join(chr(0x4E00 + i) for i in range(40))
    answer = passage[start : start + 4]
    found = question_answer_pairs.stretch(passage, answer, start, args)
    assert answer in found and found in passage and len(found) <= 10


def test_articles_are_kept_apart(args, tmp_path):
    from reports import write_json

    write_json(tmp_path / "all.json", sample_questions.make_spans(20, reports=2))
    args.data = tmp_path / "all.json"
    args.source_maxlen = 64
    train, dev = question_answer_pairs.load_questions(args)
    assert len(train) == 36 and len(dev) == 4
    for (passage, answer), question in train + dev:
        assert answer in passage and question.startswith("谁")
    source = ("甲来了。乙走了，丙笑。", "乙")
    assert question_answer_pairs.clause_of_answer(source) == "乙走了，"


def test_neighbours_of_simbert(args, tokenizer):
    rows = [("今天", "北京"), ("下雨", "带伞"), ("有人", "没")]
    args.batch_size = 4
    batches = simbert_paraphrase.BothWays(rows, tokenizer, args)
    assert len(batches) == 2
    ((ids, segments),) = next(batches.forfit(random=False))
    assert texts_of(tokenizer, ids[0, :7]) == ["[CLS]", *"今天", "[SEP]", *"北京", "[SEP]"]
    assert texts_of(tokenizer, ids[1, :7]) == ["[CLS]", *"北京", "[SEP]", *"今天", "[SEP]"]
    assert segments[:, :8].tolist() == [[0] * 4 + [1] * 3 + [0]] * 4


def test_the_overlap_of_characters():
    pairs = [("今天", "今天", 1), ("今天", "昨天", 1), ("今天", "后日", 0), ("天地", "玄黄", 0)]
    assert labelled_pairs.overlap_accuracy(pairs) == 1
    assert labelled_pairs.overlap_accuracy([(a, b, 1 - y) for a, b, y in pairs]) == 0.5


# ---- T5 -------------------------------------------------------------------------------------


def test_a_batch_of_t5(args, tokenizer):
    batches = small_t5.T5Pairs([("今天下雨", "下雨"), ("伞", "没带伞")], tokenizer, args)
    inputs, labels = next(batches.forfit(random=False))
    source, target = (inputs[f"{side}coder-Input-Token"] for side in ("En", "De"))
    assert texts_of(tokenizer, source[0, :6]) == ["[CLS]", *"今天下雨", "[SEP]"]
    assert texts_of(tokenizer, target[0, :3]) == ["[CLS]", *"下雨"]
    assert texts_of(tokenizer, labels[0, :3]) == [*"下雨", "[SEP]"]
    assert (target[:, 4:] == PAD).all() and (labels[:, 4:] == PAD).all()


def test_lines_of_several_files(tmp_path):
    for name, lines in (("a", "一\n二\n"), ("b", "三"), ("c", "四\n五\n六\n")):
        (tmp_path / f"{name}.txt").write_text(lines, encoding="utf-8")
    paths = sorted(tmp_path.glob("*.txt"))
    with closing(corpus.Corpus(paths)) as rows:
        assert [rows[place] for place in range(6)] == list("一二三四五六") == list(rows)
    with closing(corpus.Corpus(paths, limit=4)) as rows:
        assert list(rows) == list("一二三四")


def test_epochs_of_pretraining_have_a_number_of_steps(args, tokenizer):
    lines = ["".join(row["abst"] for row in sample_texts.make_titles(5, seed)) for seed in range(4)]
    args.maxlen = 64
    whole = t5_pegasus_pretrain.PseudoSummaries(lines, tokenizer, args)
    assert len(whole) == len(list(whole)) > 3
    short = t5_pegasus_pretrain.PseudoSummaries(lines, tokenizer, args, steps=3)
    assert len(short) == len(list(short.__iter__(random=True))) == 3


def test_the_loss_of_frequencies():
    """Two of three tokens are 5; of 5 and 6, one more of each is supposed."""
    train = [(None, np.array([[5, 5, 6, 0]]))]
    dev = [(None, np.array([[5, 0], [6, 0]]))]
    wanted = -(np.log(3 / 5) + np.log(2 / 5)) / 2
    assert t5_pegasus_pretrain.frequency_loss(train, dev) == pytest.approx(wanted)


# ---- the judge ------------------------------------------------------------------------------


def test_the_judge_knows_what_it_was_told():
    rows = [("很好吃", 1), ("真好", 1), ("难吃", 0), ("很难看", 0), ("好看", 1), ("太差", 0)]
    judged = labelled_texts.Judge(rows, 2)
    assert judged.accuracy(rows) == 1
    assert judged("好") == 1 and judged("难") == 0
    assert judged.accuracy([(text, 1 - number) for text, number in rows]) == 0


def test_the_judge_weighs_by_hand():
    """One text each: p(甲 | 0) = 2/5, p(甲 | 1) = 1/5 of the words 甲, 乙, 丙."""
    judged = labelled_texts.Judge([("甲", 0), ("乙", 1), ("丙", 1)], 2)
    zero = np.log(1 / 3) + np.log((1 + 1) / (1 + 3))
    one = np.log(2 / 3) + np.log((0 + 1) / (2 + 3))
    assert judged("甲") == int(one > zero) == 0 and judged("丁") == 1  # of which nothing is known
    np.testing.assert_allclose(judged.prior + judged.logs["甲"], [zero, one])
