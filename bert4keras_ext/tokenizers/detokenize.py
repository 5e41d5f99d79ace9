"""Word pieces back to written text."""

import functools
import re

from bert4keras_ext.tokenizers.characters import CJK_PUNCTUATION

_SPACES = re.compile(" +")
# don' t -> don't: English contractions, where another word follows.
_CONTRACTION = re.compile("(') ((?:re|m|s|t|ve|d|ll) )")
_DECIMAL_POINT = re.compile(r"(\d\.) (\d)")


@functools.cache
def _after_mark(cjk_punctuation):
    """Full-width, opening and arithmetic marks, where a space stands behind them."""
    return re.compile(f"([{re.escape(cjk_punctuation + '+-/={(<[')}]) ()")


def join_wordpieces(tokens, is_cjk_character, is_punctuation, cjk_punctuation=CJK_PUNCTUATION):
    """Text of WordPiece tokens.

    Continuations and words that begin with an ideograph follow without a space, other words after
    one unless an ideograph stands before; marks are written to the word before them, and
    full-width, opening and arithmetic ones also to the word after them. (bert4keras writes a space
    before an ideograph where a token has several, as T5-PEGASUS' and WoBERT's words have.)

    Args:
        tokens: list of str, without special tokens.
        is_cjk_character, is_punctuation: predicates of a character.
        cjk_punctuation: the full-width marks, as one string.

    Example:
        >>> from bert4keras_ext.tokenizers.characters import is_cjk_character, is_punctuation
        >>> tokens = ["你", "好", "，", "word", "##s", "3", ".", "5", "(", "a", ")"]
        >>> join_wordpieces(tokens, is_cjk_character, is_punctuation)
        '你好，words 3.5(a)'
        >>> join_wordpieces(["ai", "模型", "的", "bert"], is_cjk_character, is_punctuation)
        'ai模型的bert'
    """
    text = ""
    for token in tokens:
        if token.startswith("##"):
            text += token[2:]
        elif token and is_cjk_character(token[0]):
            text += token
        elif token and all(map(is_punctuation, token)):
            text += token + " "
        elif text and is_cjk_character(text[-1]):
            text += token
        else:
            text += " " + token
    text = _SPACES.sub(" ", text)
    for pattern in (_CONTRACTION, _after_mark(cjk_punctuation), _DECIMAL_POINT):
        text = pattern.sub(r"\1\2", text)
    return text.strip()
