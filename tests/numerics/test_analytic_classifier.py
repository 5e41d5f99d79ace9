"""The analytic classifier is linear discriminant analysis, and starts a Dense layer."""

import keras
import numpy as np
import pytest

from bert4keras_ext.numerics import analytic_softmax_regression, initialize_dense

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 4, 400)
FEATURES = RNG.normal(size=(400, 5)) @ RNG.normal(size=(5, 5)) + RNG.normal(size=(4, 5))[LABELS] * 3


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_equals_discriminant_analysis():
    module = pytest.importorskip("sklearn.discriminant_analysis")
    lda = module.LinearDiscriminantAnalysis(solver="lsqr").fit(FEATURES, LABELS)
    kernel, bias = analytic_softmax_regression(FEATURES, LABELS)
    np.testing.assert_allclose(
        kernel.T, lda.coef_ - lda.coef_.mean(0) + kernel.T.mean(0), rtol=1e-6
    )
    # Coefficients count up to what is common to all classes; probabilities do not.
    wanted = lda.predict_proba(FEATURES)
    np.testing.assert_allclose(softmax(FEATURES @ kernel + bias), wanted, atol=1e-9)


def test_correlated_and_constant_features_do_no_harm():
    wide = np.column_stack([FEATURES, FEATURES[:, :2].sum(1), np.full(400, 7.0)])
    kernel, bias = analytic_softmax_regression(wide, LABELS)
    plain = analytic_softmax_regression(FEATURES, LABELS)
    np.testing.assert_allclose(
        softmax(wide @ kernel + bias), softmax(FEATURES @ plain[0] + plain[1]), atol=1e-6
    )


def test_a_class_without_rows_is_never_predicted():
    kernel, bias = analytic_softmax_regression(FEATURES, LABELS, n_classes=6)
    assert kernel.shape == (5, 6) and np.isneginf(bias[4:]).all()
    assert set((FEATURES @ kernel + bias).argmax(1)) <= set(range(4))


def test_a_ridge_helps_with_fewer_rows_than_dimensions():
    x, y = RNG.normal(size=(20, 50)), np.arange(20) % 2
    kernel, bias = analytic_softmax_regression(x, y, ridge=0.1)
    assert np.all(np.isfinite(kernel)) and np.mean((x @ kernel + bias).argmax(1) == y) > 0.9


def test_as_the_start_of_a_dense_layer():
    layer = keras.layers.Dense(4)
    layer.build((None, 5))
    initialize_dense(layer, FEATURES, LABELS)
    accuracy = np.mean(np.asarray(layer(FEATURES)).argmax(1) == LABELS)
    assert accuracy > 0.7
    with pytest.raises(ValueError, match=r"kernel has the shape \(5, 4\).*\(3, 4\)"):
        initialize_dense(layer, FEATURES[:, :3], LABELS)


@pytest.mark.parametrize(
    "x, y, arguments, message",
    [
        (FEATURES, LABELS[:5], {}, "features .n, dim. and integer labels"),
        (FEATURES, LABELS * 1.0, {}, "float64"),
        (FEATURES, LABELS, {"n_classes": 3}, "labels expect 0 to 2, found 0 to 3"),
        (FEATURES, LABELS, {"ridge": -1}, "ridge expects 0 or more"),
    ],
)
def test_bad_input(x, y, arguments, message):
    with pytest.raises(ValueError, match=message):
        analytic_softmax_regression(x, y, **arguments)
