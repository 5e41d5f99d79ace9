"""English words in lower-cased text, parted as the Penn Treebank parts them."""

import re

# Marks that are words of their own wherever they stand.
MARKS = re.compile(
    r"[«»“”‘’„;@#$%&?!*()\[\]{}<>\u2012-\u2015]|`+|''|\.{2,}|--"
    r"|[:,](?!\d)"  # but 12:30 and 1,980 are one word
)
OPENING_QUOTE = re.compile(r"""(?:^|(?<=[ (\[{<]))(?:"|'')""")
OPENING_APOSTROPHE = re.compile(r"(?<!\w)'(?!(?:re|ve|ll|m|t|s|d|n)\b)(?=\w)")
# The period that ends the sentence, not one of an ellipsis; quotes and brackets may follow.
FINAL_PERIOD = re.compile(r"""(?<=[^.])\.(?=[\])}>"'»”’\s]*$)""")
CLITIC = re.compile(r"(?<=[^'])(n't|'(?:ll|re|ve|s|m|d)?)$")
COMPOUNDS = {"cannot": 3, "d'ye": 1, "gimme": 3, "gonna": 3, "gotta": 3, "lemme": 3}
COMPOUNDS |= {"wanna": 3, "more'n": 4, "'tis": 2, "'twas": 2}
# A word, its period, what closes the sentence, and the sign after it.
SENTENCE_END = re.compile(
    r"""(?<!\S)(\S*)\.(?:["')\]}]*\s+|(?!["')\]}]*$)(?=[?!)";}\]*:@'({\[]))(?=(\S))"""
)
ABBREVIATIONS = set(
    "adm ave bros co col corp dr ft gen inc jr lt ltd maj messrs mr mrs ms prof rep reps sen sr st "
    "vs yr jan feb aug sep sept oct nov dec tues wed fri ala ariz calif colo conn fla ga ill kan "
    "ky mich minn nev okla ore pa tenn va vt wash wis a.d a.m d.c l.a n.y p.m ph.d u.k u.n u.s "
    "u.s.a u.s.s.r".split()
)


def english_words(text):
    """Words, numbers and marks of a stretch of lower-cased text.

    The conventions are those of nltk's `word_tokenize`, which the CMRC2018 script calls: marks
    are words, `"don't"` is `"do", "n't"`, a period ends a sentence or belongs to its word. Where
    a sentence ends is decided by a short list of abbreviations instead of a trained model.

    Example:

    >>> english_words("st. john's, 1,980 (99%).")
    ['st.', 'john', "'s", ',', '1,980', '(', '99', '%', ')', '.']
    """
    if text.isalnum() and text not in COMPOUNDS:
        return [text]
    return [word for sentence in _sentences(text) for word in _words(sentence)]


def _sentences(text):
    start, sentences = 0, []
    for match in SENTENCE_END.finditer(text):
        if not _is_abbreviation(*match.groups()):
            sentences.append(text[start : match.end()])
            start = match.end()
    return [*sentences, text[start:]]


def _is_abbreviation(word, following):
    word = word.rpartition("-")[2].lstrip("\"'([{<")
    is_initial = len(word) == 1 and not word.isdigit()
    is_ordinal = word.replace(",", "").isdigit()
    if is_initial or is_ordinal:
        return following.islower()
    return word in ABBREVIATIONS


def _words(sentence):
    sentence = OPENING_QUOTE.sub(" `` ", sentence)
    sentence = OPENING_APOSTROPHE.sub(" ' ", sentence)
    sentence = FINAL_PERIOD.sub(" . ", sentence)
    sentence = MARKS.sub(r" \g<0> ", sentence.replace('"', " '' "))
    for chunk in sentence.split():
        yield from _parts(chunk)


def _parts(chunk):
    if chunk in COMPOUNDS:
        return chunk[: COMPOUNDS[chunk]], chunk[COMPOUNDS[chunk] :]
    clitic = CLITIC.search(chunk)
    if clitic is None or chunk in ("''", "'"):
        return (chunk,)
    return chunk[: clitic.start()], clitic.group()
