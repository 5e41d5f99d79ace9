"""BERT's tokenization by its definition, slowly, character by character: what ours must equal."""

import unicodedata

IDEOGRAPHS = [
    range(0x4E00, 0xA000),
    range(0x3400, 0x4DC0),
    range(0x20000, 0x2A6E0),
    range(0x2A700, 0x2B740),
    range(0x2B740, 0x2B820),
    range(0x2B820, 0x2CEB0),
    range(0xF900, 0xFB00),
    range(0x2F800, 0x2FA20),
]


def normalize(text):
    text = unicodedata.normalize("NFD", text.lower())
    return "".join(c for c in text if unicodedata.category(c) != "Mn")


def basic_tokens(text):
    words = [""]
    for c in text:
        category, code = unicodedata.category(c), ord(c)
        if any(code in block for block in IDEOGRAPHS):
            words += [c, ""]
        elif category[0] == "P" or (33 <= code < 127 and not c.isalnum()):
            words += [c, ""]
        elif c in " \t\n\r" or category in ("Zs", "Zl", "Zp"):
            words.append("")
        elif category not in ("Cc", "Cf") and code != 0xFFFD:
            words[-1] += c
    return [word for word in words if word]


def word_pieces(word, vocabulary):
    pieces, rest = [], word
    while rest:
        prefix = "##" if pieces else ""
        ends = [n for n in range(1, len(rest) + 1) if prefix + rest[:n] in vocabulary]
        if not ends:
            return [word]
        pieces.append(prefix + rest[: ends[-1]])
        rest = rest[ends[-1] :]
    return pieces


def tokenize(text, vocabulary, lower, word_maxlen=200):
    tokens = []
    for word in basic_tokens(normalize(text) if lower else text):
        tokens += [word] if len(word) > word_maxlen else word_pieces(word, vocabulary)
    return ["[CLS]", *tokens, "[SEP]"]
