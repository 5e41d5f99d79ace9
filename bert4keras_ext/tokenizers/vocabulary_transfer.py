"""Another vocabulary for a trained embedding table: which old rows each new token starts from."""

import json
import os
from typing import NamedTuple

from bert4keras_ext.tokenizers.sentencepiece import SPACE, SpTokenizer
from bert4keras_ext.tokenizers.vocabulary import load_vocab
from bert4keras_ext.tokenizers.vocabulary_building import is_bracketed


class VocabularyTransfer(NamedTuple):
    """What `build_transformer_model` needs to start one vocabulary from another's table.

    Attributes:
        keep_tokens: list of ids of the checkpoint, for the new tokens that have a row there, in
            the order of their new ids. An id may come more than once.
        compound_tokens: dict from each other new id to the ids of the checkpoint whose average it
            starts from. (As a dict it says where its rows go; bert4keras' list, whose rows come
            after those of keep_tokens, is taken as well.)
    """

    keep_tokens: list
    compound_tokens: dict


def transfer_vocabulary(token_dict, sp_tokenizer, num_special=None, keep_tokens=None):
    """mT5's embedding table for a BERT-like vocabulary: how T5-PEGASUS began.

    A token that is one piece of the SentencePiece model takes over that piece's row: `x` is looked
    up as "▁x" (at the beginning of a word), then as "x"; `##x` as "x", then as "▁x". Any other
    starts from the average of the pieces that its text is cut into. Special and unused tokens take
    the row of <unk>. Ids stay what they are: row i of the new table belongs to the vocabulary's
    token i. (T5-PEGASUS' own script puts the tokens without a piece behind the others, and counts a
    piece that is no token as <pad>.)

    Args:
        token_dict: path or dict (token to id 0, 1, 2, ...) of the new vocabulary.
        sp_tokenizer: `SpTokenizer` of the checkpoint, or path of its SentencePiece model.
        num_special: how many tokens, from the first, take the row of <unk> (106 in T5-PEGASUS); by
            default all that are written in brackets ([PAD], [unused1], <S>), which are the same
            there.
        keep_tokens: where the SentencePiece model is a trimmed one but the checkpoint is not: the
            checkpoint's id of each of its pieces (see `load_keep_tokens`).

    Returns:
        `VocabularyTransfer(keep_tokens, compound_tokens)`.

    Raises:
        ValueError: the ids have a gap, [PAD] is not the first, num_special is out of range, or
            keep_tokens is shorter than the SentencePiece model.

    Example::

        vocab = load_vocab("t5_pegasus_vocab_50000.txt")
        keep_tokens, compound_tokens = transfer_vocabulary(vocab, "mt5_base/spiece.model")
        t5 = build_transformer_model(
            "mt5_base/config.json", "mt5_base/model.ckpt-1000000", model="mt5.1.1",
            keep_tokens=keep_tokens, compound_tokens=compound_tokens, return_keras_model=False,
        )
        tokenizer = t5_pegasus_tokenizer(vocab)  # its ids are those of the model

    Source: Su 2021, "T5 PEGASUS", https://kexue.fm/archives/8209.
    """
    if isinstance(token_dict, (str, os.PathLike)):
        token_dict = load_vocab(token_dict)
    if isinstance(sp_tokenizer, (str, os.PathLike)):
        sp_tokenizer = SpTokenizer(sp_tokenizer, token_start=None, token_end=None)
    tokens = _in_order(token_dict)
    _check_padding(tokens)
    special = _specials(tokens, num_special)
    pieces = _Pieces(sp_tokenizer.sp_model, keep_tokens)
    kept, compound = [], {}
    for i, token in enumerate(tokens):
        row = pieces.unknown if token in special else pieces.find(token)
        if row is None:
            compound[i] = pieces.cut(token)
        else:
            kept.append(row)
    return VocabularyTransfer(kept, compound)


def compound_tokens_for(new_words, tokenizer):
    """What new tokens start from: for each the ids that the tokenizer has cut it into so far.

    Args:
        new_words: list of str, in the order of their new ids `tokenizer.vocab_size`, ....
        tokenizer: the tokenizer of the model as it is (if the model is built with keep_tokens: of
            the tokens kept).

    Returns:
        List of lists of ids, for `build_transformer_model(compound_tokens=...)`.

    Raises:
        ValueError: a word is in the vocabulary already, is given twice, or is nothing to the
            tokenizer.

    Example:
        >>> from bert4keras_ext.tokenizers import Tokenizer
        >>> names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "北", "京", "大", "学"]
        >>> token_dict = {name: i for i, name in enumerate(names)}
        >>> new_words = ["北京", "北京大学"]
        >>> compound_tokens_for(new_words, Tokenizer(token_dict))
        [[4, 5], [4, 5, 6, 7]]
        >>> token_dict |= {word: len(token_dict) + i for i, word in enumerate(new_words)}
        >>> tokenizer = Tokenizer(token_dict, pre_tokenize=lambda text: [text])
        >>> tokenizer.encode("北京大学")
        ([2, 9, 3], [0, 0, 0])

    Source: the way WoBERT was started: Su 2020, https://kexue.fm/archives/7758.
    """
    compound_tokens, seen = [], set()
    for word in new_words:
        ids = tokenizer.tokens_to_ids(_without_edges(tokenizer, word))
        known = len(ids) == 1 and tokenizer.id_to_token(ids[0]) == word
        if known or word in seen or not ids:
            reason = "in the vocabulary" if known else "given twice" if ids else "no token at all"
            raise ValueError(
                f"new_words: expected words that are not in the vocabulary, each once, found "
                f"{word!r}, which is {reason}. Leave it out"
            )
        seen.add(word)
        compound_tokens.append(ids)
    return compound_tokens


def compact_mt5_tokenizer(sp_model_path, keep_tokens_path):
    """The tokenizer of mT5 cut to some languages, and the rows of mT5's table that go with it.

    A trimmed SentencePiece model (`sentencepiece_cn.model`: 32,596 of mT5's 250,100 pieces) cuts
    texts of its languages as the whole one does, but has ids of its own; the list beside it
    (`sentencepiece_cn_keep_tokens.json`) says which row of mT5's table each id is.
    `keep_tokens[i]` is mT5's id of the piece i; the published list ends with two rows more than
    there are pieces, 250,100 and 250,101, which no text has, as mT5's table ends with 12 such rows.

    Args:
        sp_model_path: path of the trimmed SentencePiece model.
        keep_tokens_path: path of the list.

    Returns:
        `SpTokenizer` without start and with "</s>" at the end, as T5 was trained; keep_tokens.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the list is no list of ids, or not as long as the model has pieces.

    Example::

        tokenizer, keep_tokens = compact_mt5_tokenizer(
            "sentencepiece_cn.model", "sentencepiece_cn_keep_tokens.json"
        )
        t5 = build_transformer_model(
            "mt5_small/config.json", "mt5_small/model.ckpt-1000000", model="mt5.1.1",
            keep_tokens=keep_tokens, return_keras_model=False,
        )

    Source: Su 2020, https://kexue.fm/archives/7867 (mT5, and its vocabulary cut to Chinese).
    """
    tokenizer = SpTokenizer(sp_model_path, token_start=None, token_end="</s>")
    keep_tokens = load_keep_tokens(keep_tokens_path, tokenizer)
    return tokenizer, keep_tokens


def load_keep_tokens(path, tokenizer=None):
    """A list of ids from a JSON file, such as sentencepiece_cn_keep_tokens.json.

    Args:
        path: path of the file.
        tokenizer: the tokenizer that goes with it, to compare sizes with; or None.

    Returns:
        List of int: entry i is the id in the checkpoint of the tokenizer's id i.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file holds something else, a negative id or one twice, or fewer ids than
            the tokenizer has tokens.
    """
    with open(path, encoding="utf-8") as file:
        try:
            ids = json.load(file)
        except ValueError as error:
            raise ValueError(
                f"{str(path)!r}: expected a JSON list of ids, found something else ({error})"
            ) from None
    if not isinstance(ids, list) or not all(type(i) is int and i >= 0 for i in ids):
        raise ValueError(
            f"{str(path)!r}: expected a JSON list of ids (integers from 0), found {ids!r:.60}"
        )
    if len(set(ids)) < len(ids):
        raise ValueError(f"{str(path)!r}: expected each id once, found some twice")
    if tokenizer is not None:
        _check_covers(ids, tokenizer.vocab_size, repr(str(path)))
    return ids


def _check_covers(ids, size, name):
    if len(ids) < size:
        raise ValueError(
            f"{name}: expected an id for each of the tokenizer's {size} tokens, found {len(ids)} "
            "ids. Give the list and the SentencePiece model that belong together"
        )


class _Pieces:
    """A SentencePiece model, answering with ids of the checkpoint."""

    def __init__(self, model, keep_tokens=None):
        self.model = model
        self.keep_tokens = keep_tokens
        if keep_tokens is not None:
            _check_covers(keep_tokens, model.get_piece_size(), "keep_tokens")
        self.unknown = self._ids([model.unk_id()])[0]

    def find(self, token):
        """The row of the piece that the token is, or None."""
        text = _text_of(token)
        begins_word = text == token
        for piece in (SPACE + text, text) if begins_word else (text, SPACE + text):
            i = self.model.piece_to_id(piece)
            if i != self.model.unk_id():
                return self._ids([i])[0]
        return None

    def cut(self, token):
        """The rows of the pieces that the token's text is cut into."""
        return self._ids(self.model.encode_as_ids(_text_of(token))) or [self.unknown]

    def _ids(self, ids):
        return ids if self.keep_tokens is None else [self.keep_tokens[i] for i in ids]


def _text_of(token):
    return token[2:] if token.startswith("##") and len(token) > 2 else token


def _in_order(token_dict):
    tokens = sorted(token_dict, key=token_dict.get)
    for i, token in enumerate(tokens):
        if token_dict[token] != i:
            raise ValueError(
                f"token_dict: expected the ids 0 to {len(tokens) - 1}, each once, found id "
                f"{token_dict[token]!r} of {token!r} where {i} was due. Renumber the ids"
            )
    return tokens


def _check_padding(tokens):
    if "[PAD]" in tokens[1:]:
        raise ValueError(
            f"token_dict: expected '[PAD]' as token 0, which a model with another's table masks, "
            f"found it as token {tokens.index('[PAD]')}. Put it first"
        )


def _specials(tokens, num_special):
    if num_special is None:
        return {token for token in tokens if is_bracketed(token)}
    if not 0 <= num_special <= len(tokens):
        raise ValueError(
            f"num_special: expected 0 to {len(tokens)}, the number of tokens, found {num_special}"
        )
    return set(tokens[:num_special])


def _without_edges(tokenizer, word):
    tokens = tokenizer.tokenize(word)
    start = tokenizer._token_start is not None
    return tokens[start : len(tokens) - (tokenizer._token_end is not None)]
