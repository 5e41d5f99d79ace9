"""Optimizers."""

from bert4keras_ext.optimizers.adam import Adam

__all__ = ["Adam"]
