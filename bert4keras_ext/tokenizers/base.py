"""What every tokenizer does: special tokens, pairs, truncation, batches."""

import operator

from bert4keras_ext.tokenizers import characters
from bert4keras_ext.tokenizers.checks import (
    checked_ids,
    checked_maxlen,
    checked_pairs,
    checked_text,
    checked_tokens,
)
from bert4keras_ext.tokenizers.padding import pad_rows, padded_width
from bert4keras_ext.tokenizers.truncation import truncate

PATTERNS = ("S*E*E", "S*ES*E")
SPECIAL = ("pad", "unk", "mask", "start", "end")


class TokenizerBase:
    """Text to ids and back, around a subclass's `_tokenize`.

    Subclasses define `_tokenize(text)` (a list of tokens, without start and end), `token_to_id`,
    `id_to_token` and `decode`, and call `_find_special_ids` once the vocabulary is there.

    Args:
        token_start: token put before each text, or None for none.
        token_end: token put after each text, or None for none.
        pre_tokenize: function that cuts a text into words (an iterable of str) before it is
            tokenized, such as `jieba.lcut`; words that are in the vocabulary become one token.
        token_translate: dict from tokens to the tokens that replace them.
        token_pad, token_unk, token_mask: names of the other special tokens.

    Attributes:
        _token_{pad,unk,mask,start,end}: the tokens' names.
        _token_{pad,unk,mask,start,end}_id: their ids, None where the vocabulary has none.
        vocab_size (and bert4keras' _vocab_size): the number of tokens.

    Example:
        >>> class Letters(TokenizerBase):
        ...     def _tokenize(self, text):
        ...         return list(text)
        ...     def token_to_id(self, token):
        ...         return {"[CLS]": 1, "[SEP]": 2}.get(token) or ord(token)
        >>> Letters().encode("ab")
        ([1, 97, 98, 2], [0, 0, 0, 0])
    """

    _token_pad_id = _token_unk_id = _token_mask_id = _token_start_id = _token_end_id = None
    _vocab_size = None
    _hint = ""  # a subclass's, for the message about a missing special token

    def __init__(
        self,
        token_start="[CLS]",
        token_end="[SEP]",
        pre_tokenize=None,
        token_translate=None,
        token_pad="[PAD]",
        token_unk="[UNK]",
        token_mask="[MASK]",
    ):
        self._token_start = token_start
        self._token_end = token_end
        self._pre_tokenize = pre_tokenize
        self._token_translate = token_translate or {}
        self._token_translate_inv = {v: k for k, v in self._token_translate.items()}
        self._token_pad = token_pad
        self._token_unk = token_unk
        self._token_mask = token_mask

    @property
    def vocab_size(self):
        return self._vocab_size

    def tokenize(self, text, maxlen=None):
        """Tokens of a text between start and end.

        Args:
            text: str.
            maxlen: the most tokens to return, or None; what is too much goes before the end token.

        Raises:
            TypeError: text is no str.
            ValueError: maxlen leaves no room for start and end.
        """
        tokens = list(self._tokenize(checked_text(text)))
        if self._token_translate:
            tokens = [self._token_translate.get(token) or token for token in tokens]
        if self._token_start is not None:
            tokens.insert(0, self._token_start)
        if self._token_end is not None:
            tokens.append(self._token_end)
        if maxlen is None:
            return tokens
        maxlen = checked_maxlen(maxlen, self._count_special())
        return truncate([tokens], maxlen, self._truncation_index("right"))[0]

    def encode(
        self, first_text, second_text=None, maxlen=None, pattern="S*E*E", truncate_from="right"
    ):
        """Token ids and segment ids of a text or a pair of texts.

        Args:
            first_text: str, or a list of tokens as `tokenize` returns it.
            second_text: the same, or None for a single text.
            maxlen: the most ids to return, or None; the longer text loses first. With
                token_start=None and pattern 'S*E*E' a pair may have one id more, as in bert4keras,
                where published models were trained so.
            pattern: 'S*E*E' (start text end text end) or 'S*ES*E' (the second has a start too).
            truncate_from: 'right' (before the end), 'left' (after the start), or the index of the
                token that goes, again and again.

        Returns:
            Two lists of int of the same length; segment ids are 0 for the first text and its
            special tokens, 1 for the second.

        Raises:
            TypeError: a text is neither str nor a list of tokens, or maxlen is no integer.
            ValueError: another pattern or truncate_from where the call depends on it, or a maxlen
                that is too small.
        """
        if pattern not in PATTERNS:
            raise ValueError(f"pattern: expected one of {PATTERNS}, found {pattern!r}")
        ids = self._text_to_ids(first_text)
        if second_text is None and maxlen is None:
            return ids, [0] * len(ids)
        if second_text is not None:
            second = self._text_to_ids(second_text)
            return self._join(ids, second, maxlen, pattern, truncate_from)
        maxlen = checked_maxlen(maxlen, self._count_special())
        ids = truncate([ids], maxlen, self._truncation_index(truncate_from))[0]
        return ids, [0] * len(ids)

    def _join(self, first, second, maxlen, pattern, truncate_from):
        shared_start = pattern == "S*E*E"
        if maxlen is not None:
            maxlen = checked_maxlen(maxlen, self._count_special(pattern)) + shared_start
            # The second start still counts while truncating: it is removed afterwards.
            position = self._truncation_index(truncate_from)
            first, second = truncate([first, second], maxlen, position)
        if shared_start and self._token_start:
            second = second[1:]
        return first + second, [0] * len(first) + [1] * len(second)

    def encode_batch(
        self,
        texts,
        second_texts=None,
        maxlen=None,
        pattern="S*E*E",
        truncate_from="right",
        padding=True,
        multiple=None,
        length=None,
        *,
        pad_to_multiple_of=None,
    ):
        """`encode` for many texts at once.

        Args:
            texts: iterable of what `encode` takes as first_text.
            second_texts: iterable of as many second texts, or None.
            maxlen, pattern, truncate_from: as in `encode`.
            padding: True for arrays, False for lists of different lengths.
            multiple: round the number of columns up to a multiple of this (it may then exceed
                maxlen), so that compiled models see few shapes; as in `DataGenerator`.
            length: the number of columns, whatever the texts.
            pad_to_multiple_of: the same as `multiple`, by Hugging Face's name.

        Returns:
            token_ids, segment_ids: int32 arrays (texts, columns), filled up with the id of the pad
            token (0 where there is none) and 0; or two lists of lists.

        Raises:
            TypeError, ValueError: as `encode`, with a note which text it was; texts is a str;
                texts and second_texts differ in number; a row is longer than length.

        Example:
            >>> from bert4keras_ext.tokenizers import Tokenizer
            >>> names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "你", "好"]
            >>> tokenizer = Tokenizer({name: i for i, name in enumerate(names)})
            >>> token_ids, segment_ids = tokenizer.encode_batch(["你好", "好"])
            >>> token_ids.tolist()
            [[2, 4, 5, 3], [2, 5, 3, 0]]
        """
        pairs = checked_pairs(texts, second_texts)
        arguments = maxlen, pattern, truncate_from
        if not padding:
            return self._encode_rows(pairs, *arguments)

        if None not in (multiple, pad_to_multiple_of):
            raise ValueError(
                f"multiple and pad_to_multiple_of are one thing: found {multiple} and "
                f"{pad_to_multiple_of}. Give multiple alone"
            )
        multiple = pad_to_multiple_of if multiple is None else multiple

        def width(longest):
            return padded_width(longest, length, multiple)

        return self._encode_padded(pairs, *arguments, width)

    def _encode_rows(self, pairs, *arguments):
        """Two lists of lists: ids and segments."""
        token_ids, segment_ids = [], []
        for i in range(len(pairs)):
            row = self._encode_row(pairs, i, *arguments)
            token_ids.append(row[0])
            segment_ids.append(row[1])
        return token_ids, segment_ids

    def _encode_row(self, pairs, i, *arguments):
        try:
            return self.encode(*pairs[i], *arguments)
        except (TypeError, ValueError) as error:
            error.add_note(f"This was text number {i} of the batch (from 0).")
            raise

    def _encode_padded(self, pairs, maxlen, pattern, truncate_from, width):
        """Two arrays; width is a function from the longest row's length to their columns."""
        token_ids, segment_ids = self._encode_rows(pairs, maxlen, pattern, truncate_from)
        columns = width(max(map(len, token_ids), default=0))
        pad_id = self._token_pad_id or 0
        return pad_rows(token_ids, columns, pad_id), pad_rows(segment_ids, columns, 0)

    def decode(self, ids):
        """The text of a row of ids."""
        raise NotImplementedError(f"{type(self).__name__} defines no decode")

    def token_to_id(self, token):
        """The id of one token."""
        raise NotImplementedError(f"{type(self).__name__} defines no token_to_id")

    def id_to_token(self, i):
        """The token of one id."""
        raise NotImplementedError(f"{type(self).__name__} defines no id_to_token")

    def tokens_to_ids(self, tokens):
        """The ids of a list of tokens."""
        return [self.token_to_id(token) for token in tokens]

    def ids_to_tokens(self, ids):
        """The tokens of a list or array (one row) of ids."""
        return [self.id_to_token(i) for i in checked_ids(ids)]

    def _tokenize(self, text):
        raise NotImplementedError(f"{type(self).__name__} defines no _tokenize")

    def _text_to_ids(self, text):
        """The ids of a text between start and end, or of a ready list of tokens."""
        if isinstance(text, str):
            return self.tokens_to_ids(self.tokenize(text))
        ids = self.tokens_to_ids(checked_tokens(text))
        if self._token_unk_id in ids:
            self._check_no_texts(text, ids)
        return ids

    def _check_no_texts(self, tokens, ids):
        """Raises for a list of texts, which would become a row of [UNK] without a word."""
        for token, i in zip(tokens, ids):
            if i == self._token_unk_id and token != self._token_unk and self._is_text(token):
                raise TypeError(
                    f"expected a text or a list of tokens, found {token!r:.60} in a list, which is "
                    "several tokens. For two texts use encode(first, second), for many "
                    "encode_batch(texts)"
                )

    def _is_text(self, token):
        """Whether what the vocabulary does not know is more than one token."""
        is_ready = characters.is_special(token) or token in self._token_translate_inv
        return not is_ready and len(self._tokenize(characters.stem(token))) > 1

    def _find_special_ids(self, find, examples):
        """Sets _token_*_id; raises where unk, start or end is wanted but is not found.

        Args:
            find: function from a token to its id in the vocabulary, or None. Not token_to_id: a
                subclass may override that, and is not ready for calls while it is being made.
            examples: a few tokens of the vocabulary, for the message.
        """
        for role in SPECIAL:
            token = getattr(self, f"_token_{role}")
            found = None if token is None else find(token)
            if found is not None:
                setattr(self, f"_token_{role}_id", found)
            elif role == "unk" or (token is not None and role in ("start", "end")):
                raise ValueError(self._missing_message(role, token, examples))

    def _missing_message(self, role, token, examples):
        fix = f"Pass token_{role}=<the token it has>"
        if role != "unk":
            fix += f", or token_{role}=None for texts without one"
        return (
            f"token_{role}: expected {token!r} in the vocabulary, found it missing among its "
            f"{self.vocab_size} tokens ({', '.join(map(repr, examples))}, ...). {fix}, or check "
            f"that this is the model's vocabulary{self._hint}"
        )

    def _count_special(self, pattern=None):
        """How many special tokens a single text (or a pair of this pattern) has."""
        start, end = self._token_start is not None, self._token_end is not None
        if pattern is None:
            return start + end
        return 2 * (start + end) - (start and pattern == "S*E*E")

    def _truncation_index(self, truncate_from):
        if truncate_from == "right":
            return -1 - (self._token_end is not None)
        if truncate_from == "left":
            return int(self._token_start is not None)
        if hasattr(truncate_from, "__index__") and not isinstance(truncate_from, bool):
            return operator.index(truncate_from)
        raise ValueError(
            f"truncate_from: expected 'right', 'left' or the index of a token, found "
            f"{truncate_from!r}"
        )
