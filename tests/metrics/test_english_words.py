"""Words against nltk's recorded answers."""

import json

import numpy as np
import pytest

from bert4keras_ext.metrics.english_words import english_words
from tests import peers

STRETCHES = """
facebook|windows 7|1999|1,980|3.14|12:30|a:b|99%|$3.50|r&b|c#|c++|#1|me&city|x@y.com
(a)|[b]|{c}|<d>|(kaji dha)|(1873|2.5 m|.net|mono 1.9|asp.net core.|8.90%|42.00|4×50|±10m
hello world|hello, world|hello,world|hello world.|hello world. bye now.|hello? yes! no.
"quoted"|say "hi" now|("a")|he said "no."|'single'|it's|dogs' bones|don't|i'm|we'll|they've
you're|he'd|cannot|gonna go|wanna go|lemme see|gimme it|'tis so|'twas so|d'ye|rock 'n' roll
u.s.|u.s. army|p.m. today|dr. who|(dr. who)|mr. smith and mrs. jones.|st. john of matha
andrew w. mellon|j. k. rowling.|no. 5|no.5|vol. 3|1. first|1. 2|in 1990. the end|etc. and so on
wait... what|wait...|..|a--b|1–2|a—b|em — dash|it’s|‘a’|“b”|«c»|``d''|x; y|x;y|?!|!!|**a**
end.)|(end.) more|end.") more|(see fig. 2).|jr. high|vs. them|inc.|apple inc. said|co. ltd.
jan. 5|born oct. 1990|a.b.c.|x.y|1.2.3|v2.0.|hop(o)h|ho(o)p(r)r'|23°26′31"|{t|gtk|me, too,|, 1962)
日本ｶﾅ test|한국어 text.|ōtani kōzui|naïve café.|ф|é|tab\there|new\u3000space|non\xa0breaking
""".strip()


def stretches():
    return [text for line in STRETCHES.split("\n") for text in line.split("|")]


@pytest.fixture(scope="module")
def recorded():
    def ask():
        from nltk import word_tokenize

        words = [word_tokenize(text) for text in stretches()]
        return {"words": np.array(json.dumps(words, ensure_ascii=False))}

    found = peers.answer("nltk_words", [np.array(stretches())], ask)["words"]
    return json.loads(str(found))


def test_words_are_those_of_nltk(recorded):
    differing = {
        text: (english_words(text), wanted)
        for text, wanted in zip(stretches(), recorded)
        if english_words(text) != wanted
    }
    assert not differing


def test_long_stretches_take_no_time():
    for text in ("a" * 20000, "a." * 10000, ". " * 10000, "'" * 20000, '"' * 20000, "(" * 20000):
        assert "".join(english_words(text)).count("a") == text.count("a")
    assert english_words("") == english_words(" ") == []
