"""A vocabulary counted from a corpus, as T5-PEGASUS' was."""

import os
from collections import Counter
from itertools import islice

from bert4keras_ext.tokenizers import characters
from bert4keras_ext.tokenizers.vocabulary import load_vocab
from bert4keras_ext.tokenizers.wordpiece import Tokenizer

CHUNK = 256  # texts that a worker counts before it reports


def build_vocabulary(
    texts,
    base,
    size=50000,
    segmenter=None,
    dictionary_words=200000,
    keep=(),
    do_lower_case=True,
    workers=0,
    progress=False,
):
    """The most frequent tokens of a corpus, from a BERT vocabulary and a dictionary's words.

    The base vocabulary and the segmenter's most frequent words together cut the corpus (see
    `t5_pegasus_tokenizer`); of all tokens counted the most frequent stay. Ids go

        the base's tokens in brackets ([PAD], [unused1], [UNK], ..., <S>), in the base's order;
        the tokens of `keep`, in the order given;
        the others, the most frequent first, those of equal frequency by code point.

    A corpus in which fewer tokens occur gives a smaller vocabulary. The texts are streamed: memory
    is taken by the counts alone.

    Args:
        texts: iterable of str, read once.
        base: path or dict (token to id) of the vocabulary to start from, such as Google's Chinese
            BERT's: with it everything that BERT can say can be said.
        size: how many tokens the vocabulary has at most.
        segmenter: a `JiebaSegmenter`, or any function from a text to its words that has
            `most_frequent_words(count)`; None for a vocabulary of the base's tokens alone.
        dictionary_words: how many of the segmenter's words are tried.
        keep: tokens that stay however rare they are; new ones are allowed.
        do_lower_case: as the tokenizer that is going to use the vocabulary.
        workers: processes that count; 0 for this one alone.
        progress: show a progress bar.

    Returns:
        Dict from token to id 0, 1, 2, ..., in order of the ids: `save_vocab` writes it, and
        `t5_pegasus_tokenizer` and `Tokenizer` take it.

    Raises:
        ValueError: size leaves no room for the tokens in brackets and for keep, or the base has
            no [UNK].
        TypeError: texts is a str, or one of the texts is none.

    Example:
        >>> names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "天", "气", "我", "很", "好"]
        >>> base = {name: i for i, name in enumerate(names)}
        >>> class Words:
        ...     def __call__(self, text):
        ...         return text.split()
        ...     def most_frequent_words(self, count):
        ...         return ["天气", "我们"][:count]
        >>> build_vocabulary(["天气 很 好", "天气 好"], base, 7, Words())
        {'[PAD]': 0, '[UNK]': 1, '[CLS]': 2, '[SEP]': 3, '天气': 4, '好': 5, '很': 6}

    Source: Su 2021, "T5 PEGASUS", https://kexue.fm/archives/8209.
    """
    base = load_vocab(base) if isinstance(base, (str, os.PathLike)) else base
    first = sorted(filter(is_bracketed, base), key=base.get)
    first = list(dict.fromkeys([*first, *keep]))
    if size <= len(first):
        raise ValueError(
            f"size: expected more than the {len(first)} tokens that always stay (those in brackets "
            f"of the base, and keep), found {size}. Give a larger size or a smaller base"
        )
    words = [] if segmenter is None else segmenter.most_frequent_words(dictionary_words)
    candidates = _candidates([*sorted(base, key=base.get), *keep], words, do_lower_case)
    tokenizer = Tokenizer(
        candidates,
        do_lower_case=do_lower_case,
        pre_tokenize=segmenter,
        token_start=None,
        token_end=None,
    )
    counts = count_tokens(texts, tokenizer, workers, progress)
    for token in first:
        counts.pop(token, None)
    rest = sorted(counts, key=lambda token: (-counts[token], token))
    return {token: i for i, token in enumerate([*first, *rest[: size - len(first)]])}


def count_tokens(texts, tokenizer, workers=0, progress=False):
    """How often each token of a vocabulary occurs in a corpus.

    What the vocabulary does not know is not counted, nor are the tokens before and after a text.

    Args:
        texts: iterable of str, read once.
        tokenizer: a `Tokenizer`.
        workers: processes that count; 0 for this one alone.
        progress: show a progress bar.

    Returns:
        `collections.Counter` from token to count.

    Example:
        >>> names = ["[UNK]", "[CLS]", "[SEP]", "好", "吗"]
        >>> tokenizer = Tokenizer({name: i for i, name in enumerate(names)})
        >>> count_tokens(["好吗？", "好"], tokenizer)
        Counter({'好': 2, '吗': 1})
    """
    if isinstance(texts, (str, bytes)):
        raise TypeError(
            f"texts: expected an iterable of texts, found one {type(texts).__name__}. Put it in a "
            "list"
        )
    total = Counter()
    for counts in _counted(_with_progress(texts, progress), tokenizer, workers):
        total.update(counts)
    return total


def is_bracketed(token):
    """Whether a token is no text but a mark for the model: [PAD], [unused1], <S>, </s>, ..."""
    is_tag = len(token) > 2 and token[0] == "<" and token[-1] == ">"
    return is_tag or characters.is_special(token)


def _candidates(tokens, words, do_lower_case):
    """The vocabulary that cuts the corpus."""
    if do_lower_case:
        # The text is lower-cased before it is cut: no other word can come up.
        words = [word for word in words if characters.lower_and_strip_accents(word) == word]
    return {token: i for i, token in enumerate(dict.fromkeys([*tokens, *words]))}


def _counted(texts, tokenizer, workers):
    """The counts of one chunk of texts after the other."""
    # Whatever is unknown goes at once: a web corpus never runs out of new addresses.
    wanted = tokenizer._token_dict.keys() - {tokenizer._token_start, tokenizer._token_end}

    def count(chunk):
        counts = Counter(token for text in chunk for token in tokenizer.tokenize(text))
        return Counter({token: n for token, n in counts.items() if token in wanted})

    chunks = iter(lambda: list(islice(texts, CHUNK)), [])
    if not workers:
        return map(count, chunks)
    from bert4keras_ext.data.parallel import parallel_apply_generator

    tokenizer.tokenize("")  # jieba loads before the fork
    return (counts for _, counts in parallel_apply_generator(count, chunks, workers))


def _with_progress(texts, progress):
    if not progress:
        return iter(texts)
    from tqdm import tqdm

    return iter(tqdm(texts, desc="counting tokens", unit=" texts", unit_scale=True))
