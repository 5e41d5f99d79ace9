"""Model families and ``build_transformer_model``."""

from bert4keras_ext.models.base import Transformer
from bert4keras_ext.models.bert import BERT
from bert4keras_ext.models.build import build_transformer_model
from bert4keras_ext.models.masks import (
    extend_with_language_model,
    extend_with_unified_language_model,
)
from bert4keras_ext.models.registry import register_model

__all__ = [
    "BERT",
    "Transformer",
    "build_transformer_model",
    "extend_with_language_model",
    "extend_with_unified_language_model",
    "register_model",
]
