"""Tokenizers trained with SentencePiece (T5, mT5, CPM, ...)."""

import os
import re
from itertools import accumulate

from bert4keras_ext.tokenizers.base import TokenizerBase
from bert4keras_ext.tokenizers.checks import checked_id, checked_ids, checked_text
from bert4keras_ext.tokenizers.rematch import Finder

SPACE = "▁"  # how SentencePiece writes a space in its pieces
_BYTE = re.compile("<0x([0-9A-F]{2})>")
_SURROGATES = re.compile("[\ud800-\udfff]")


class SpTokenizer(TokenizerBase):
    """Cuts text into the pieces of a SentencePiece model.

    Args:
        sp_model_path: path of the model ("spiece.model", "spm.model", ...).
        token_pad: name of the piece that is padding; None is the model's own.
        token_unk: None, or the model's own name of what it does not know.
        **kwargs: token_start, token_end, pre_tokenize, token_translate and token_mask, as
            TokenizerBase describes them; the words of pre_tokenize are joined by spaces. Models
            of the T5 family have no [CLS] and [SEP]: give them token_start=None and
            token_end="</s>".

    Attributes:
        sp_model: the SentencePieceProcessor.
        _token_pad, _token_unk: as the model names them.

    Methods: tokenize, encode, encode_batch, decode, rematch, tokens_to_ids, ids_to_tokens,
    token_to_id, id_to_token, stem.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is no SentencePiece model, or token_start, token_end, token_pad or
            token_unk is not a piece of it.
        ImportError: sentencepiece is not installed.

    Example:
        tokenizer = SpTokenizer("spiece.model", token_start=None, token_end="</s>")
        token_ids, segment_ids = tokenizer.encode("今天天气很好")

    Source: Kudo and Richardson 2018, arXiv 1808.06226.
    """

    def __init__(self, sp_model_path, token_pad=None, token_unk=None, **kwargs):
        super().__init__(**kwargs)
        self.sp_model = model = _load_model(sp_model_path)
        self._vocab_size = model.get_piece_size()
        if model.pad_id() >= 0:
            self._token_pad = model.id_to_piece(model.pad_id())
        self._token_unk = model.id_to_piece(model.unk_id())
        self._check_names(token_pad, token_unk)
        self._token_pad = token_pad or self._token_pad
        examples = [model.id_to_piece(i) for i in range(min(8, self._vocab_size))]
        self._find_special_ids(self._find_piece, examples)

    def _check_names(self, token_pad, token_unk):
        if token_unk not in (None, self._token_unk):
            raise ValueError(
                f"token_unk: expected {self._token_unk!r}, as the model calls it, or None, found "
                f"{token_unk!r}. Leave it out"
            )
        if token_pad is not None and self._find_piece(token_pad) is None:
            raise ValueError(
                f"token_pad: expected a piece of the model, found {token_pad!r}. Leave it out for "
                f"the model's own ({self._token_pad!r})"
            )

    def _find_piece(self, token):
        i = self.sp_model.piece_to_id(token)
        return i if token == self._token_unk or i != self.sp_model.unk_id() else None

    def token_to_id(self, token):
        return self.sp_model.piece_to_id(token)

    def id_to_token(self, i):
        i = checked_id(i)
        if i < 0:
            raise ValueError(
                f"ids: expected ids from 0 to {self._vocab_size - 1}, found {i}. Remove the "
                "labels' padding (such as -100) before decoding"
            )
        # Embedding tables are often longer than the model (mT5: 250112 and 250100).
        return self.sp_model.id_to_piece(i) if i < self._vocab_size else ""

    def decode(self, ids):
        """The text of a row of ids, without special ones and those beyond the model's pieces."""
        tokens = [self.id_to_token(i) for i in checked_ids(ids) if self._is_decodable(i)]
        tokens = [self._token_translate_inv.get(token) or token for token in tokens]
        return self.sp_model.decode_pieces(tokens)

    @staticmethod
    def stem(token):
        """The token without the mark "▁" for spaces."""
        return token.replace(SPACE, "")

    def rematch(self, text, tokens):
        """For each token the indices of the characters of text that it came from.

        Spaces, also those inside a piece, and special tokens have none. A character that was cut
        into several tokens (bytes, or the parts of ㍿) stands in each of them.

        Args:
            text: the text, as given to `tokenize`.
            tokens: the list that it returned, whole or a part from its beginning.

        Returns:
            A list of lists of int, one a token.

        Raises:
            ValueError: a token does not occur in the text after the one before it, or a word of
            pre_tokenize's has no place in it.
        """
        finder = Finder(*self._traced_bytes(checked_text(text)))
        return [self._find(finder, tokens, position) for position in range(len(tokens))]

    def _tokenize(self, text):
        if self._pre_tokenize is not None:
            text = " ".join(filter(None, self._pre_tokenize(text)))
        return self.sp_model.encode_as_pieces(_encodable(text))

    def _is_text(self, token):
        if token in self._token_translate_inv:
            return False
        return len([piece for piece in self._tokenize(self.stem(token)) if piece != SPACE]) > 1

    def _is_special(self, i):
        return self.sp_model.is_control(i) or self.sp_model.is_unused(i)

    def _is_decodable(self, i):
        # Negative ids go on, to be reported by id_to_token. A control piece that token_translate
        # put in place of another token stands for that one: CPM's "<cls>" for line ends.
        if i < 0 or i >= self._vocab_size:
            return i < 0
        return not self._is_special(i) or self.id_to_token(i) in self._token_translate_inv

    def _traced_bytes(self, text):
        """The normalised text in UTF-8 without "▁"; for each byte its characters in text."""
        surface, sources = b"", []
        for word, offset in self._words(text):
            normalized, starts = self.sp_model.normalize(_encodable(word), with_offsets=True)
            for ch, start, end in zip(normalized, starts, starts[1:]):
                if ch != SPACE:
                    # A letter whose span is empty shares its character with the next one; white
                    # space that a model cuts into bytes has none.
                    encoded, end = ch.encode(), max(end, start + 1)
                    source = range(0) if ch.isspace() else range(offset + start, offset + end)
                    surface += encoded
                    sources += [source] * len(encoded)
        return surface, sources

    def _words(self, text):
        """(word, where it begins) of the words that pre_tokenize makes of a text."""
        if self._pre_tokenize is None:
            return [(text, 0)]
        words = list(self._pre_tokenize(text))
        lengths = [len(word) for word in words]
        if sum(lengths) == len(text):  # cut, or each character replaced by another one
            return list(zip(words, accumulate(lengths, initial=0)))
        found, end = [], 0
        for word in words:  # something between the words was left out
            start = text.find(word, end)
            if start < 0:
                raise ValueError(
                    "rematch: expected pre_tokenize to cut the text, or to replace one character "
                    f"by one, found its word {word!r} nowhere in the text after character {end}"
                )
            end = start + len(word)
            found.append((word, start))
        return found

    def _find(self, finder, tokens, position):
        token = tokens[position]
        pieces = [token, self._token_translate_inv.get(token, token)]
        if self._is_edge(tokens, position) or self._is_special(self.token_to_id(token)):
            pieces = pieces[1:] if pieces[0] != pieces[1] else []
        candidates = [self._piece_bytes(piece) for piece in dict.fromkeys(pieces)]
        if not all(candidates):
            return []
        spans = finder.find(candidates, token, position) if candidates else []
        return sorted({i for span in spans for i in span})

    def _is_edge(self, tokens, position):
        token, last = tokens[position], len(tokens) - 1
        return (position == 0 and token == self._token_start) or (
            position == last and token == self._token_end
        )

    def _piece_bytes(self, piece):
        byte = _BYTE.fullmatch(piece)
        if byte and self.sp_model.is_byte(self.token_to_id(piece)):
            return bytes([int(byte[1], 16)])
        return self.stem(piece).encode()


def _encodable(text):
    """Lone surrogates (halves of a pair, as damaged JSON has them) become U+FFFD."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return _SURROGATES.sub("\ufffd", text)


def _load_model(path):
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError as error:
        raise ImportError("SpTokenizer needs sentencepiece: pip install sentencepiece") from error
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"expected a SentencePiece model, found no file {str(path)!r} (looked from "
            f"{os.getcwd()!r}). Check the path"
        )
    try:
        return SentencePieceProcessor(model_file=os.fspath(path))
    except (RuntimeError, OSError) as error:
        raise ValueError(
            f"{str(path)!r}: expected a SentencePiece model (a binary file such as "
            f"'spiece.model'), found something else ({error}). For a text file with one token a "
            "line use Tokenizer"
        ) from error
