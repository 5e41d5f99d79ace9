"""Generation of text: loops that know no model."""

from bert4keras_ext.generation.decoder import AutoRegressiveDecoder
from bert4keras_ext.generation.last_token import last_token

__all__ = ["AutoRegressiveDecoder", "last_token"]
