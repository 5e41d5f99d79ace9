import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bert4keras_ext.data.cache_keys import content_hash, digest_of
from bert4keras_ext.tokenizers import SpTokenizer, Tokenizer
from tests.data.ground_floor import ground_floor
from tests.shared import shared

NAMES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "你", "好", "word"]


def vocabulary(*more):
    return {name: number for number, name in enumerate([*NAMES, *more])}


def halves(text):
    return [text[: len(text) // 2], text[len(text) // 2 :]]


class Own(Tokenizer):
    pass


def test_different_values_have_different_digests(tmp_path):
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    values = [
        None, True, 1, 1.5, "1", "", [], {}, [1, 2], [[1], 2], [[1, 2]], {"a": 1}, {"a": "1"},
        {1: 2}, {"1": 2}, ["dict", [[1, 2]]][:1], np.array([1, 2]), np.array([1.0, 2.0]),
        np.float32(1), tmp_path / "a", tmp_path / "b", str(tmp_path / "a"), halves, vocabulary,
        Tokenizer(vocabulary()), Tokenizer(vocabulary("你好")), Own(vocabulary()),
        Tokenizer(vocabulary(), do_lower_case=True), Tokenizer(vocabulary(), token_end=None),
        Tokenizer(vocabulary(), pre_tokenize=halves), Tokenizer(vocabulary(), word_maxlen=9),
        Tokenizer(vocabulary(), token_translate={"你": "好"}),
    ]  # fmt: skip
    assert len({digest_of(value) for value in values}) == len(values)
    assert digest_of((1, 2)) == digest_of([1, 2])


def test_a_tokenizer_keeps_its_digest():
    tokenizer = Tokenizer(vocabulary(), do_lower_case=True)
    before = digest_of(tokenizer)
    tokenizer.encode("你好 words")
    tokenizer.encode_batch(["你好 words"] * 20)
    assert digest_of(tokenizer) == digest_of(pickle.loads(pickle.dumps(tokenizer))) == before
    tokenizer._do_lower_case = False
    assert digest_of(tokenizer) != before


def test_sentencepiece():
    model = shared("data", "vocab", "sentencepiece_cn.model")
    ends = ("</s>", "</s>", None)
    tokenizers = [SpTokenizer(str(model), token_start=None, token_end=end) for end in ends]
    digests = [digest_of(tokenizer) for tokenizer in tokenizers]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("value", [object(), {1, 2}, b"1", lambda text: text, [{"a": object()}]])
def test_what_cannot_be_told_apart_is_refused(value):
    with pytest.raises(TypeError, match="fix:"):
        digest_of(value)
    with pytest.raises(TypeError, match="fix:"):
        digest_of(Tokenizer(vocabulary(), pre_tokenize=lambda text: [text]))


def test_the_same_in_every_process(tmp_path):
    (tmp_path / "a").write_text("a")
    value = '{"names": ["a", "b"], "x": 1.5, "path": Path(sys.argv[1]), "f": digest_of}'
    program = (
        f"{ground_floor()}\nfrom pathlib import Path\n"
        "from bert4keras_ext.data.cache_keys import digest_of\n"
        f"print(digest_of({value}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a")],
        env={"PYTHONHASHSEED": "5"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    scope = {"Path": Path, "digest_of": digest_of}
    own = eval(value.replace("sys.argv[1]", "path"), {**scope, "path": tmp_path / "a"})
    assert run.stdout.strip() == digest_of(own)


def test_contents(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 100000)
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as file:
        file.write(tmp_path / "a", "inner/a")
    inner = zipfile.Path(tmp_path / "z.zip", "inner/a")
    assert content_hash(inner) == content_hash(tmp_path / "a") == content_hash(str(tmp_path / "a"))
    with pytest.raises(FileNotFoundError):
        content_hash(tmp_path / "b")
