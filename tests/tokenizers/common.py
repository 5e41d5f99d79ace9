"""A small vocabulary and the texts that make tokenizers stumble."""

from hypothesis import strategies as st

from bert4keras_ext.tokenizers import Tokenizer

NAMES = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]"),
    *("你", "好", "，", "。", "!", ".", "'", "<", "-", "1", "2", "##1", "##2", "ss"),
    *("hello", "word", "##s", "a", "##a", "b", "##b", "i", "##i", "σ", "ς", "##ς", "##σ"),
    *("α", "##α", "é", "##é", "e", "##e", "ß", "ﬁ", "ᄀ", "##ᅡ", "ab", "##ab", "s", "t", "##t"),
]
TOKEN_DICT = {name: i for i, name in enumerate(NAMES)}

AWKWARD = (
    "ab hello words 你好，。!.'<-12 \t\n　\xa0\u2028\u2029\u200b\x85\x0b\x1c\x00\ufffd\ufeff"
    "éÉe\u0301\u0327İıßẞſﬁΑΣσςά≠;·ÅKǅ가각\u1100\u1161ガｶﾞ々〇〪〮〫\U0001d165᭄֑😀👍🏽\u200d鿿豈䶿𠀀Ａａ"
)
texts = st.text(
    st.one_of(st.sampled_from(AWKWARD), st.characters(exclude_categories=["Cs"])), max_size=40
)


def small_tokenizer(**kwargs):
    return Tokenizer(TOKEN_DICT, **kwargs)
