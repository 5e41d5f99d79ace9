"""What a builder is told, checked before anything is built."""

import numbers

import numpy as np


def check_sizes(**sizes):
    """Raises ValueError for a size that is no positive integer; None is passed over."""
    for name, size in sizes.items():
        whole = isinstance(size, numbers.Integral) and not isinstance(size, bool)
        if size is not None and not (whole and size > 0):
            raise ValueError(
                f"{name} expects a positive integer, received {size!r}: correct the config"
            )


def as_python_value(value):
    """A NumPy number as Python's own, which is all that Keras' layers take as a size."""
    return value.item() if isinstance(value, np.generic) else value


def check_rates(**rates):
    """Raises ValueError for a dropout rate outside 0 <= rate < 1; None is passed over."""
    for name, rate in rates.items():
        if rate is not None and not (isinstance(rate, numbers.Real) and 0 <= rate < 1):
            raise ValueError(f"{name} expects a number from 0 to below 1, received {rate!r}")


def head_size(hidden_size, heads):
    """``hidden_size / heads``, which must be whole."""
    if hidden_size % heads:
        raise ValueError(
            f"hidden_size={hidden_size} is not a multiple of num_attention_heads={heads}: "
            "correct the config, or give attention_head_size"
        )
    return hidden_size // heads


def table_rows(vocab_size, keep_tokens, compound_tokens):
    """Rows of the word table after the vocabulary was edited.

    Ids beyond ``vocab_size`` are left to the loader: only the checkpoint's table tells whether it
    was trimmed before.
    """
    rows = vocab_size
    if keep_tokens is not None:
        keep = np.asarray(keep_tokens)
        if keep.ndim != 1 or not len(keep) or keep.dtype.kind not in "iu" or keep.min() < 0:
            raise ValueError(
                "keep_tokens expects a list of token ids of the checkpoint's vocabulary, each 0 or "
                f"more; received {_shown(keep_tokens)}. load_vocab(simplified=True) returns one"
            )
        rows = len(keep)
    return rows + len(compound_tokens if compound_tokens is not None else [])


# Arguments of layers that make them fit a model or not.
SIZES = ("input_dim", "output_dim", "units", "heads", "out_dim", "return_attention_scores")


def check_reuse(layer, kwargs):
    """Raises if a layer that is there already is not of the sizes it is now asked for with."""
    for key in SIZES:
        wanted, found = kwargs.get(key), getattr(layer, key, None)
        if None not in (wanted, found) and wanted != found:
            raise ValueError(
                f"layers: expected {layer.name!r} with {key}={wanted!r}, as this model's config "
                f"says, received one with {key}={found!r}: share layers between models of the same "
                "sizes, or leave this one out of layers="
            )


def padding_row(pad_token_id, keep_tokens=None, compound_tokens=None):
    """The row of the word table that padding has once the vocabulary was edited.

    It moves with its token, so that the model masks what a tokenizer of the new vocabulary pads
    with. Where token 0 is not kept, row 0 stays padding, as everywhere in bert4keras and as a
    tokenizer without [PAD] pads; and so it does where a row is taken more than once: that makes
    another vocabulary, whose tokens are others (see tokenizers.transfer_vocabulary).

    Raises:
        ValueError: for no token id, or one other than 0 that is not kept.
    """
    pad = 0 if pad_token_id is None else pad_token_id
    if not isinstance(pad, numbers.Integral) or isinstance(pad, bool):
        raise ValueError(f"pad_token_id expects a token id, received {pad_token_id!r}")
    if pad < 0:
        return int(pad)
    row = int(pad) if keep_tokens is None else _kept_row(pad, keep_tokens)
    if row is None:
        return 0
    # A dict of compound_tokens says where its rows stand; those kept fill the other places.
    taken = sorted(map(int, compound_tokens)) if isinstance(compound_tokens, dict) else []
    for place in taken:
        row += place <= row
    return row


def _kept_row(pad, keep_tokens):
    """Where a token stands among those kept; None where row 0 is padding instead."""
    keep = np.asarray(keep_tokens)
    places = np.flatnonzero(keep == pad)
    if pad == 0 and (not len(places) or len(np.unique(keep)) < len(keep)):
        return None
    if not len(places):
        raise ValueError(
            f"keep_tokens lacks the padding token {pad} (pad_token_id): expected it among "
            "them; add it, or pass pad_token_id=-1 if nothing is padded"
        )
    return int(places[0])


def check_length_in_reach(sequence_length, positions):
    """Raises ValueError when inputs of a fixed length have more places than there are positions."""
    if sequence_length is not None and sequence_length > positions:
        raise ValueError(
            f"sequence_length={sequence_length} exceeds the {positions} trained positions: "
            "shorten it, or pass a larger max_position or hierarchical_position"
        )


def _shown(value):
    text = repr(value)
    return text if len(text) < 80 else text[:77] + "..."
