"""What a character is to BERT: white space, punctuation, control, ideograph; and its plain form.

Source: the basic tokenizer of Devlin et al. 2018, "BERT", arXiv 1810.04805. The tables are those
of this Python's `unicodedata`, so characters that Unicode added later join their class later.
"""

import unicodedata

# The blocks that BERT treats as ideographs: each character is a word of its own.
CJK_BLOCKS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
# BERT counts every printable ASCII character that is no letter, digit or space as punctuation,
# also those that Unicode calls symbols ($ + < = > ^ ` | ~).
ASCII_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
# Full-width and Chinese marks, after which written text has no space.
CJK_PUNCTUATION = (
    "＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､！？｡"
    "\u3000、〃。〈〉《》「」『』【】〔〕〖〗〘〙〚〛〜〝〞〟〰〾〿"
    "–—‘’‛“”„‟…‧﹏﹑﹔·"
)


def cjk_punctuation():
    return CJK_PUNCTUATION


def is_space(ch):
    return ch in " \t\n\r" or unicodedata.category(ch) == "Zs"


def is_punctuation(ch):
    return ch in ASCII_PUNCTUATION or unicodedata.category(ch).startswith("P")


def is_cjk_character(ch):
    code = ord(ch)
    return any(first <= code <= last for first, last in CJK_BLOCKS)


def is_control(ch):
    return unicodedata.category(ch) in ("Cc", "Cf")


def is_special(token):
    """Whether a token is written in square brackets, as [CLS] and [unused1] are."""
    return len(token) > 1 and token[0] == "[" and token[-1] == "]"


def stem(token):
    """The token without the mark "##" of a word's continuation."""
    return token[2:] if token.startswith("##") else token


def is_redundant(token):
    """Whether the tokenizer can never produce the token: ideographs and marks stand alone."""
    return len(token) > 1 and any(is_cjk_character(c) or is_punctuation(c) for c in stem(token))


def lower_and_strip_accents(text):
    """Lower case, canonically decomposed (NFD), without the accents (category Mn)."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFD", text.lower())
    return "".join(ch for ch in decomposed if unicodedata.category(ch) != "Mn")


class SpacingTable(dict):
    """A table for `str.translate` that makes words out of text: see Tokenizer.

    Ideographs and punctuation get a space on either side, white space becomes one space, control
    characters vanish, all else stays. Filled character by character, by the predicates of the
    tokenizer it is given, so that overridden predicates are heard.

    Args:
        tokenizer: object with _is_space, _is_punctuation, _is_cjk_character and _is_control.

    Example:
        >>> from bert4keras_ext.tokenizers import Tokenizer
        >>> "1.5米".translate(SpacingTable(Tokenizer)).split()
        ['1', '.', '5', '米']
    """

    LIMIT = 1 << 16

    def __init__(self, tokenizer):
        super().__init__()
        self.tokenizer = tokenizer

    def __missing__(self, code):
        if len(self) >= self.LIMIT:
            self.clear()
        self[code] = spaced = self._spaced(chr(code))
        return spaced

    def _spaced(self, ch):
        if self.tokenizer._is_punctuation(ch) or self.tokenizer._is_cjk_character(ch):
            return f" {ch} "
        if self.tokenizer._is_space(ch):
            return " "
        if ch in "\0\ufffd" or self.tokenizer._is_control(ch):
            return ""
        return ch
