"""BERT's tokenizer: basic tokenization and WordPiece."""

import os

from bert4keras_ext.tokenizers import batch, characters
from bert4keras_ext.tokenizers.base import PATTERNS, TokenizerBase
from bert4keras_ext.tokenizers.checks import (
    checked_id,
    checked_maxlen,
    checked_text,
    checked_vocabulary,
)
from bert4keras_ext.tokenizers.detokenize import join_wordpieces
from bert4keras_ext.tokenizers.rematch import Finder, traced_lower
from bert4keras_ext.tokenizers.vocabulary import UNNAMEABLE, load_vocab
from bert4keras_ext.tokenizers.word_cache import IdCache, WordCache


class Tokenizer(TokenizerBase):
    """Cuts text into the word pieces of a BERT vocabulary, and puts them together again.

    Ideographs and punctuation marks are words of their own, white space parts the others, control
    characters vanish. A word becomes the longest piece of the vocabulary that begins it, then the
    longest that continues it (written "##piece"), and so on; a word for which that fails stays
    whole and has the id of [UNK].

    Tokens, ids and segments equal bert4keras' (with this Python's Unicode tables). Words are
    looked up in a bounded cache, ideographs in a table, so a Chinese sentence costs little more
    than one step in a list a character.
    Subclasses may override any method; what they override is called, and the cache steps aside.
    Attributes (token_translate, ...) may be assigned at any time; a dict that is changed in place
    after the first text is not noticed.
    One tokenizer may serve many threads; it can be pickled and copied if pre_tokenize can.

    Args:
        token_dict: dict from token to id, or the path of a vocabulary file. The dict is copied.
        do_lower_case: lower the case and strip accents first.
        word_maxlen: longer words are not cut but kept whole.
        **kwargs: token_start, token_end, pre_tokenize, token_translate, token_pad, token_unk and
            token_mask, as TokenizerBase describes them.

    Methods: tokenize, encode, encode_batch, decode, rematch, tokens_to_ids, ids_to_tokens,
    token_to_id, id_to_token, stem.

    Raises:
        TypeError: token_dict is neither dict nor path; a text is no str.
        ValueError: the vocabulary is empty, gives one id to two tokens, or lacks token_unk,
            token_start or token_end.

    Example:
        >>> names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "你", "好", "，", "word", "##s"]
        >>> token_dict = {name: i for i, name in enumerate(names)}
        >>> tokenizer = Tokenizer(token_dict, do_lower_case=True)
        >>> tokenizer.tokenize("你好，Words")
        ['[CLS]', '你', '好', '，', 'word', '##s', '[SEP]']
        >>> tokenizer.encode("你好", "words", maxlen=6)
        ([2, 4, 3, 7, 8, 3], [0, 0, 0, 1, 1, 1])
        >>> tokenizer.decode([2, 4, 5, 6, 7, 8, 3])
        '你好，words'
        >>> tokenizer.rematch("好，Words", ["[CLS]", "好", "，", "word", "##s", "[SEP]"])
        [[], [0], [1], [2, 3, 4, 5], [6], []]

    Source: Devlin et al. 2018, arXiv 1810.04805; WordPiece: Wu et al. 2016, arXiv 1609.08144.
    """

    _is_space = staticmethod(characters.is_space)
    _is_punctuation = staticmethod(characters.is_punctuation)
    _is_cjk_character = staticmethod(characters.is_cjk_character)
    _is_control = staticmethod(characters.is_control)
    _cjk_punctuation = staticmethod(characters.cjk_punctuation)
    _is_special = staticmethod(characters.is_special)
    _is_redundant = staticmethod(characters.is_redundant)
    stem = staticmethod(characters.stem)

    _hint = (
        ". A vocabulary of load_vocab(simplified=True) keeps tokens in brackets only where "
        "startswith=['[PAD]', '[UNK]', '[CLS]', '[SEP]', ...] names them"
    )

    # What is worked out from the other attributes on first use; see _Derived.
    _derived = None

    def __init__(self, token_dict, do_lower_case=False, word_maxlen=200, **kwargs):
        super().__init__(**kwargs)
        if isinstance(token_dict, (str, os.PathLike)):
            token_dict = load_vocab(token_dict)
        self._token_dict = checked_vocabulary(token_dict)
        self._token_dict_inv = {i: token for token, i in self._token_dict.items()}
        self._do_lower_case = do_lower_case
        self._word_maxlen = word_maxlen
        self._vocab_size = len(self._token_dict)
        self._find_special_ids(self._token_dict.get, list(self._token_dict)[:8])

    def __setattr__(self, name, value):
        # Scripts set such things as tokenizer._token_unk_id: nothing remembered may outlive that.
        self.__dict__["_derived"] = None
        self.__dict__[name] = value

    def __getstate__(self):
        return {**self.__dict__, "_derived": None}

    def __setstate__(self, state):
        self.__dict__.update(state)

    def token_to_id(self, token):
        return self._token_dict.get(token, self._token_unk_id)

    def id_to_token(self, i):
        try:
            return self._token_dict_inv[checked_id(i)]
        except KeyError:
            raise ValueError(
                f"ids: expected ids of this vocabulary ({min(self._token_dict_inv)} to "
                f"{max(self._token_dict_inv)}), found {i}. Check that tokenizer and model (and "
                "keep_tokens) belong together"
            ) from None

    def encode(
        self, first_text, second_text=None, maxlen=None, pattern="S*E*E", truncate_from="right"
    ):
        if second_text is None and maxlen is None and isinstance(first_text, str):
            # The commonest call, by the shortest way: each function call costs four characters.
            cached = (self._derived or self._get_derived()).ids
            if cached is not None:
                ids = cached.items(first_text)
                return ids, [0] * len(ids)
        return super().encode(first_text, second_text, maxlen, pattern, truncate_from)

    encode.__doc__ = TokenizerBase.encode.__doc__

    def _encode_padded(self, pairs, maxlen, pattern, truncate_from, width):
        if pattern not in PATTERNS or not self._can_encode_at_once(pairs):
            return super()._encode_padded(pairs, maxlen, pattern, truncate_from, width)
        arguments = maxlen, pattern, truncate_from
        paired = pairs[0][1] is not None
        shared_start = paired and pattern == "S*E*E"
        if maxlen is not None:
            special = self._count_special(pattern if paired else None)
            maxlen = checked_maxlen(maxlen, special) + shared_start
            self._truncation_index(truncate_from)  # raises for a wrong one, cut or not
        return batch.encode_padded(
            self._get_derived().batch,
            pairs,
            lambda row: self._encode_row(pairs, row, *arguments),
            maxlen,
            shared_start,
            width,
            self._token_pad_id or 0,
        )

    def _can_encode_at_once(self, pairs):
        """Whether all are texts, none of which needs to be looked at as a whole."""
        if len(pairs) < batch.FEWEST_TEXTS or self._get_derived().batch is None:
            return False
        first, second = (set(map(type, part)) for part in zip(*pairs))
        if first != {str} or second not in ({str}, {type(None)}):
            return False
        looks_around = self._do_lower_case and "Σ" in "".join(
            t for pair in pairs for t in pair if t
        )
        return not looks_around

    def decode(self, ids, tokens=None):
        """The text of a row of ids (or of tokens), without special tokens.

        Spaces are put where written text has them; what the vocabulary does not know is left out.
        """
        tokens = tokens or self.ids_to_tokens(ids)
        tokens = [token for token in tokens if not self._is_special(token)]
        predicates = self._is_cjk_character, self._is_punctuation
        return join_wordpieces(tokens, *predicates, self._cjk_punctuation())

    def rematch(self, text, tokens):
        """For each token the indices of the characters of text that it came from.

        Special tokens have none. An index may stand in two tokens or twice in one, where a
        character was decomposed (each Hangul syllable gives two or three letters). Replacements by
        token_translate are undone.

        Args:
            text: the text, as given to `tokenize`.
            tokens: the list that it returned, whole or a part from its beginning.

        Returns:
            A list of lists of int, one a token, increasing throughout.

        Raises:
            ValueError: a token does not occur in the text after the one before it.
        """
        text, sources = checked_text(text), range(len(text))
        if self._do_lower_case and not text.isascii():
            text, sources = traced_lower(text)
        elif self._do_lower_case:
            text = text.lower()
        spacing = self._get_derived().spacing
        kept = [(ch, i) for ch, i in zip(text, sources) if spacing[ord(ch)]]
        finder = Finder("".join(ch for ch, _ in kept), [i for _, i in kept])
        return [self._find(finder, tokens, position) for position in range(len(tokens))]

    def _find(self, finder, tokens, position):
        token = tokens[position]
        at_edge = (position == 0 and token == self._token_start) or (
            position == len(tokens) - 1 and token == self._token_end
        )
        if self._is_special(token) and not at_edge and token not in self._token_translate_inv:
            self._skip_special(finder, tokens, position)
        candidates = [] if at_edge or self._is_special(token) else [self.stem(token)]
        if token in self._token_translate_inv:
            candidates.append(self.stem(self._token_translate_inv[token]))
        return finder.find(candidates, token, position) if candidates else []

    def _skip_special(self, finder, tokens, position):
        """Goes past a special token that is written in the text, kept whole by pre_tokenize.

        Where pre_tokenize put it in place of a word there is nothing to go past: then what the
        next token is comes first.
        """
        rest = (self.stem(tokens[i]) for i in range(position + 1, len(tokens))
                if not self._is_special(tokens[i]))  # fmt: skip
        finder.skip(self._normalize(tokens[position]), before=next(rest, None))

    def _tokenize(self, text, pre_tokenize=True):
        if pre_tokenize and self._pre_tokenize is not None:
            return self._tokenize_words(self._normalize(text))
        cached = self._get_derived().tokens
        return self._analyse(text) if cached is None else cached.items(text)

    def _tokenize_words(self, text):
        tokens = []
        for word in self._pre_tokenize(text):
            if word in self._token_dict and word not in UNNAMEABLE:
                tokens.append(word)
            else:
                tokens.extend(self._tokenize(word, False))
        return tokens

    def _analyse(self, text):
        """The tokens of a text, by the definition; everything else is a short cut to this."""
        words = self._normalize(text).translate(self._get_derived().spacing).split()
        return [token for word in words for token in self._word_piece_tokenize(word)]

    def _analyse_ids(self, text):
        return self.tokens_to_ids(self._analyse(text))

    def _normalize(self, text):
        return characters.lower_and_strip_accents(text) if self._do_lower_case else text

    def _word_piece_tokenize(self, word):
        if len(word) > self._word_maxlen:
            return [word]
        tokens, start, longest = [], 0, self._get_derived().longest
        while start < len(word):
            for end in range(min(len(word), start + longest), start, -1):
                token = word[start:end] if start == 0 else "##" + word[start:end]
                if token in self._token_dict:
                    break
            else:
                return [word]
            tokens.append(token)
            start = end
        return tokens

    def _text_to_ids(self, text):
        cached = (self._derived or self._get_derived()).ids
        if cached is None or not isinstance(text, str):
            return super()._text_to_ids(text)
        return cached.items(text)

    def _get_derived(self):
        if self._derived is None:
            self.__dict__["_derived"] = _Derived(self)
        return self._derived


# Whoever overrides one of these changes what a word's tokens, or a text's ids, are.
WORD_METHODS = (
    "_word_piece_tokenize",
    "_analyse",
    "_normalize",
    "_is_space",
    "_is_punctuation",
    "_is_cjk_character",
    "_is_control",
)
TEXT_METHODS = ("tokenize", "_tokenize", "_text_to_ids", "tokens_to_ids", "token_to_id")
ROW_METHODS = ("encode", "_encode_rows", "_join")
ORIGINALS = {name: getattr(Tokenizer, name) for name in WORD_METHODS + TEXT_METHODS + ROW_METHODS}


class _Derived:
    """What a Tokenizer works out once: it is dropped at each assignment and left out of pickles.

    Attributes:
        spacing: table that makes words out of normalised text.
        longest: length of the longest token, beyond which no piece is looked for.
        tokens: WordCache of the tokens, or None where overridden methods decide.
        ids: IdCache, or None where overridden methods, pre_tokenize or
            token_translate decide.
        batch: BatchIds on top of ids, or None where overridden methods decide.
    """

    def __init__(self, tokenizer):
        lower = bool(tokenizer._do_lower_case)
        self.spacing = characters.SpacingTable(tokenizer)
        self.longest = max(map(len, tokenizer._token_dict))
        self.tokens = self.ids = self.batch = None
        if _is_original(tokenizer, WORD_METHODS):
            self.tokens = WordCache(tokenizer._analyse, lower)
            plain = tokenizer._pre_tokenize is None and not tokenizer._token_translate
            if plain and _is_original(tokenizer, TEXT_METHODS):
                start, end = (
                    [] if token is None else [tokenizer.token_to_id(token)]
                    for token in (tokenizer._token_start, tokenizer._token_end)
                )
                self.ids = IdCache(
                    tokenizer._analyse_ids,
                    tokenizer._token_dict,
                    tokenizer._token_unk_id,
                    start,
                    end,
                    lower=lower,
                )
                if _is_original(tokenizer, ROW_METHODS):
                    self.batch = batch.BatchIds(self.ids)


def _is_original(tokenizer, names):
    cls, own = type(tokenizer), tokenizer.__dict__
    return all(getattr(cls, name) is ORIGINALS[name] and name not in own for name in names)
