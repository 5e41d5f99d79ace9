"""Closed-form mathematics on NumPy arrays, useful alone and used by layers and examples."""

from bert4keras_ext.numerics.viterbi import ViterbiDecoder

__all__ = ["ViterbiDecoder"]
