"""Closed-form mathematics on NumPy arrays, useful alone and used by layers and examples."""

from bert4keras_ext.numerics.analytic_classifier import (
    analytic_softmax_regression,
    initialize_dense,
)
from bert4keras_ext.numerics.argmaxability import Argmaxability, find_unargmaxable
from bert4keras_ext.numerics.discrete import perturbed_argmax_probabilities, quantile_nodes
from bert4keras_ext.numerics.gaussian import (
    bhattacharyya_distance,
    gaussian_kl,
    hellinger_distance,
    wasserstein_distance,
)
from bert4keras_ext.numerics.orthogonal import orthogonal_matrix
from bert4keras_ext.numerics.threshold import optimal_class_weights, optimal_threshold
from bert4keras_ext.numerics.viterbi import ViterbiDecoder
from bert4keras_ext.numerics.whitening import StreamingCovariance, whiten, whitening

__all__ = [
    "Argmaxability",
    "StreamingCovariance",
    "ViterbiDecoder",
    "analytic_softmax_regression",
    "bhattacharyya_distance",
    "find_unargmaxable",
    "gaussian_kl",
    "hellinger_distance",
    "initialize_dense",
    "optimal_class_weights",
    "optimal_threshold",
    "orthogonal_matrix",
    "perturbed_argmax_probabilities",
    "quantile_nodes",
    "wasserstein_distance",
    "whiten",
    "whitening",
]
