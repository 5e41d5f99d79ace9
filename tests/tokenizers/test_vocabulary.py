"""load_vocab and save_vocab: real files, odd files, wrong files."""

import os

import pytest

from bert4keras_ext.tokenizers import Tokenizer, load_vocab, save_vocab
from tests.shared import shared


def write(path, content, encoding="utf-8"):
    path.write_bytes(content.encode(encoding))
    return path


@pytest.mark.parametrize(
    "name, size, known",
    [
        ("google_chinese_bert_vocab_21128.txt", 21128, {"[CLS]": 101, "[SEP]": 102, "好": 1962}),
        ("t5_pegasus_vocab_50000.txt", 50000, {"[PAD]": 0, "[OS]": 1}),
    ],
)
def test_published_files(name, size, known, tmp_path):
    path = shared("data", "vocab", name)
    vocab = load_vocab(path)
    assert len(vocab) == size and list(vocab.values()) == list(range(size))
    assert {token: vocab[token] for token in known} == known
    save_vocab(tmp_path / "copy.txt", vocab)
    assert load_vocab(tmp_path / "copy.txt") == vocab
    Tokenizer(vocab, do_lower_case=True)


def test_blank_lines_keep_their_ids(tmp_path):
    # As in Google's file: U+2028 is white space, and so is a line of nothing.
    path = write(tmp_path / "v.txt", "[PAD]\n\u2028\na\n\n##\u2028\n##\u2029\nb\n\n \n")
    assert load_vocab(path) == {
        "[PAD]": 0, "": 1, "a": 2, "[blank-4]": 3, "##": 4, "[blank-6]": 5, "b": 6
    }  # fmt: skip


def test_line_ends_columns_mark_and_encoding(tmp_path):
    expected = {"[PAD]": 0, "你": 1, "##好": 2}
    assert load_vocab(write(tmp_path / "a", "[PAD]\r\n你\r\n##好")) == expected
    assert load_vocab(write(tmp_path / "b", "\ufeff[PAD]\t12\n 你 3\n##好\n")) == expected
    gbk = write(tmp_path / "c", "[PAD]\n你\n##好\n", "gb18030")
    assert load_vocab(gbk, encoding="gb18030") == expected
    assert load_vocab(str(gbk), "gb18030") == expected


def test_simplified(tmp_path):
    path = write(tmp_path / "v", "[PAD]\n[UNK]\nab\n你\n##你\n你好\na.\n##ab\n[CLS]\n")
    assert load_vocab(path, simplified=True) == ({"ab": 0, "你": 1, "##ab": 2}, [2, 3, 7])
    assert load_vocab(path, simplified=True, startswith=["[CLS]", "你", "[CLS]"]) == (
        {"[CLS]": 0, "你": 1, "ab": 2, "##ab": 3},
        [8, 3, 2, 7],
    )
    with pytest.raises(ValueError, match=r"startswith: expected tokens of .* found \['\[MASK\]'\]"):
        load_vocab(path, simplified=True, startswith=["[PAD]", "[MASK]"])


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a vocabulary file.*none.txt.*Check the"):
        load_vocab(tmp_path / "none.txt")
    with pytest.raises(IsADirectoryError, match="expected a vocabulary file, found the folder"):
        load_vocab(tmp_path)


@pytest.mark.parametrize("content", ["", "\n", " \n\n"])
def test_empty_file(content, tmp_path):
    with pytest.raises(ValueError, match="expected one token a line, found an empty file"):
        load_vocab(write(tmp_path / "v", content))


def test_repeated_tokens(tmp_path):
    path = write(tmp_path / "v", "[PAD]\na\nb\na\nc\nb\n")
    with pytest.raises(ValueError) as caught:
        load_vocab(path)
    message = str(caught.value)
    assert "found 2 repeated: 'a' in lines 2 and 4, 'b' in lines 3 and 6." in message
    assert "rename the later one" in message and "v" in message


def test_wrong_encoding(tmp_path):
    path = write(tmp_path / "v", "[PAD]\n[UNK]\n你\n", "gbk")
    with pytest.raises(ValueError, match=r"expected text in utf-8, found byte 0xc4 in line 3\. "):
        load_vocab(path)


def test_save_refuses_what_would_not_read_back(tmp_path):
    path = tmp_path / "v"
    for token_dict, message in (
        ({"a": 0, "b": 2}, "expected the ids 0 to 1, each once, found id 2 of 'b' where 1 was due"),
        ({"a": 0, "b": 0}, "found id 0 of both 'a' and 'b'"),
        ({}, "expected tokens, found an empty dict"),
        ({"\ufeffa": 0}, "without a byte order mark"),
        ({"a b": 0}, "expected tokens without white space, found 'a b'"),
        ({"a": 0, "\n": 1}, "expected tokens without white space"),
        ({"a": 0, "": 1}, "expected tokens without white space, found ''"),
    ):
        with pytest.raises(ValueError, match=message):
            save_vocab(path, token_dict)
    for no_dict in (["a"], {5: 0}, {"a": "0"}, None):
        with pytest.raises(TypeError, match="expected a dict from"):
            save_vocab(path, no_dict)
    assert not os.listdir(tmp_path)


def test_save_makes_folders(tmp_path):
    save_vocab(tmp_path / "a" / "b" / "v", {"好": 0})
    assert load_vocab(tmp_path / "a" / "b" / "v") == {"好": 0}


def test_save_is_all_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "v"
    save_vocab(path, {"b": 1, "a": 0, "": 2, "c": 3})
    assert path.read_bytes() == b"a\nb\n\nc\n"
    with pytest.raises(UnicodeEncodeError):
        save_vocab(path, {"a": 0, "你": 1}, encoding="ascii")

    def full_disk(*args):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="no space left"):
        save_vocab(path, {"a": 0})
    assert path.read_bytes() == b"a\nb\n\nc\n" and os.listdir(tmp_path) == ["v"]
