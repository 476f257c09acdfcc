"""Losses: values, hand-derived gradients against the complex step, both halves, masks."""

import jax
import numpy as np
import optax
import parity
import pytest

from minirnn.fast import losses as fast
from minirnn.readable import losses as readable

SHAPE = (5, 3)
# name, options
REGRESSIONS = [("mse", {}), ("mae", {}), ("huber", {"delta": 0.7}), ("pinball", {"quantile": 0.9})]
ALL = [*REGRESSIONS, ("softmax_cross_entropy", {}), ("binary_cross_entropy", {})]
each = pytest.mark.parametrize(("name", "options"), ALL, ids=[name for name, _ in ALL])


def example(name, rng):
    prediction = 2 * rng.standard_normal(SHAPE)
    if name == "softmax_cross_entropy":
        return prediction, rng.integers(0, 3, 5), rng.uniform(0.5, 2, 5)
    target = rng.uniform(0, 1, SHAPE) if name == "binary_cross_entropy" else rng.standard_normal(SHAPE)
    return prediction, target, rng.uniform(0.5, 2, SHAPE)


@each
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_equal_the_complex_step_and_jax(name, options, weighted, rng, x64):
    prediction, target, weight = example(name, rng)
    weight = weight if weighted else None
    function = getattr(readable, name)
    loss, gradient = function(prediction, target, weight, **options)
    exact = np.zeros_like(prediction)
    for index in np.ndindex(prediction.shape):
        moved = prediction.astype(complex)
        moved[index] += 1e-30j
        exact[index] = function(moved, target, weight, **options)[0].imag / 1e-30
    assert parity.relative_error(gradient, exact) < 1e-14
    fast_loss, fast_gradient = jax.value_and_grad(getattr(fast, name))(prediction, target, weight, **options)
    assert parity.relative_error(fast_loss, loss) < 1e-14
    assert parity.relative_error(fast_gradient, gradient) < 1e-14


@each
def test_weight_zero_hides_anything(name, options, rng):
    prediction, target, weight = example(name, rng)
    hidden = 2  # this row counts for nothing
    weight[hidden] = 0
    kept = np.arange(5) != hidden
    spoiled, wrong = prediction.copy(), target.copy()
    spoiled[hidden] = np.nan
    wrong[hidden] = -7 if target.dtype.kind == "i" else np.nan
    expected, dexpected = getattr(readable, name)(prediction[kept], target[kept], weight[kept], **options)
    loss, gradient = getattr(readable, name)(spoiled, wrong, weight, **options)
    assert loss == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradient[kept], dexpected, rtol=1e-12)
    assert not gradient[hidden].any()
    loss, gradient = jax.value_and_grad(getattr(fast, name))(spoiled, wrong, weight, **options)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient[kept], dexpected, rtol=1e-4, atol=1e-6)
    assert not np.asarray(gradient)[hidden].any()
    for half in (readable, fast):
        nothing = getattr(half, name)(spoiled, wrong, 0 * weight, **options)
        assert np.ravel(nothing[0] if half is readable else nothing)[0] == 0


@each
def test_float32_stays_float32(name, options, rng):
    prediction, target, weight = example(name, rng)
    target = target if target.dtype.kind == "i" else target.astype(np.float32)
    prediction, weight = prediction.astype(np.float32), weight.astype(np.float32)
    loss, gradient = getattr(readable, name)(prediction, target, weight, **options)
    assert (loss.dtype, gradient.dtype) == (np.float32, np.float32)
    assert getattr(fast, name)(prediction, target, weight, **options).dtype == np.float32


def test_known_values():
    p, q = np.array([1.0, -2.0, 4.0]), np.array([0.0, 0.0, 4.0])
    assert readable.mse(p, q)[0] == pytest.approx(5 / 3)
    assert readable.mae(p, q)[0] == pytest.approx(1)
    assert readable.huber(p, q)[0] == pytest.approx((0.5 + 1.5) / 3)
    assert readable.pinball(p, q, quantile=0.9)[0] == pytest.approx((0.1 * 1 + 0.9 * 2) / 3)
    assert readable.mse(p, q, np.array([0.0, 1.0, 1.0]))[0] == pytest.approx(2)
    assert readable.binary_cross_entropy(np.zeros(2), np.array([0.0, 1.0]))[0] == pytest.approx(np.log(2))
    assert readable.softmax_cross_entropy(np.zeros((2, 4)), np.array([0, 3]))[0] == pytest.approx(np.log(4))


def test_optax_gives_the_same(rng, x64):
    for name, other in {
        "huber": lambda p, q: optax.losses.huber_loss(p, q, delta=0.7),
        "softmax_cross_entropy": optax.losses.softmax_cross_entropy_with_integer_labels,
        "binary_cross_entropy": optax.losses.sigmoid_binary_cross_entropy,
    }.items():
        prediction, target, _ = example(name, rng)
        options = dict(ALL)[name]
        np.testing.assert_allclose(
            getattr(readable, name)(prediction, target, **options)[0], other(prediction, target).mean(), rtol=1e-13
        )


@pytest.mark.filterwarnings("error")
def test_extreme_logits_neither_overflow_nor_warn():
    logits = np.array([1000.0, -1000.0])
    for half in (readable, fast):
        loss = half.binary_cross_entropy(logits, np.array([1.0, 0.0]))
        assert float(np.ravel(loss[0] if half is readable else loss)[0]) == 0
    loss, gradient = readable.softmax_cross_entropy(np.array([[1000.0, 0.0, -1000.0]]), np.array([2]))
    assert loss == pytest.approx(2000)
    np.testing.assert_allclose(gradient, [[1, 0, -1]])


@pytest.mark.parametrize("half", [readable, fast], ids=["readable", "fast"])
def test_shapes_that_would_broadcast_are_refused(half):
    with pytest.raises(ValueError, match=r"prediction has shape \(5, 1\), target \(5,\)"):
        half.mse(np.zeros((5, 1)), np.zeros(5))
    with pytest.raises(ValueError, match=r"logits have shape \(5, 3\), labels \(3,\)"):
        half.softmax_cross_entropy(np.zeros((5, 3)), np.zeros(3, int))
    with pytest.raises(TypeError, match="labels hold float"):
        half.softmax_cross_entropy(np.zeros((5, 3)), np.zeros(5))


def test_the_halves_agree_at_every_kink(x64):
    """At p = q, at |p - q| = delta, and at a logit of zero, where a length-0 sequence or a fresh head puts it."""
    p, q = np.array([0.0, 1.0, 0.7, -0.7, 2.0]), np.array([0.0, 1.0, 0.0, 0.0, 2.0])
    for name, options in REGRESSIONS:
        _, gradient = getattr(readable, name)(p, q, **options)
        np.testing.assert_allclose(jax.grad(getattr(fast, name))(p, q, **options), gradient, atol=1e-15, err_msg=name)
    assert readable.mae(p, q)[1][0] == readable.pinball(p, q, quantile=0.9)[1][0] == 0
    logits, target = np.zeros(3), np.array([0.0, 1.0, 0.3])
    _, gradient = readable.binary_cross_entropy(logits, target)
    np.testing.assert_allclose(gradient, (0.5 - target) / 3)
    np.testing.assert_allclose(jax.grad(fast.binary_cross_entropy)(logits, target), gradient)


@each
@pytest.mark.parametrize(
    "weight", [np.array([True, False, True, True, False]), np.array([1, 0, 2, 1, 0]), [1.0, 0, 2, 1, 0]]
)
def test_weights_may_be_of_any_kind_and_broadcast(name, options, weight, rng):
    prediction, target, _ = example(name, rng)
    prediction = prediction.astype(np.float32)
    target = target if target.dtype.kind == "i" else target.astype(np.float32)
    weight = weight if target.ndim == 1 else np.asarray(weight)[:, None]
    full = np.broadcast_to(np.asarray(weight, np.float32), target.shape)
    expected, dexpected = getattr(readable, name)(prediction, target, full, **options)
    loss, gradient = getattr(readable, name)(prediction, target, weight, **options)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient, dexpected, rtol=1e-6)
    jax_loss = getattr(fast, name)(prediction, target, np.asarray(weight), **options)
    np.testing.assert_allclose(jax_loss, expected, rtol=1e-5)
    assert loss.dtype == gradient.dtype == jax_loss.dtype == np.float32


@pytest.mark.parametrize("half", [readable, fast], ids=["readable", "fast"])
def test_integer_targets_do_not_widen_and_integer_predictions_are_named(half):
    p = np.array([0.5, 2.0], np.float32)
    loss = half.binary_cross_entropy(p, np.array([0, 1]))
    assert np.asarray(loss[0] if half is readable else loss).dtype == np.float32
    with pytest.raises(TypeError, match=r"prediction holds int\d+; expected floating point"):
        half.mse(np.array([1, 2]), np.array([1, 2]))


def test_labels_outside_the_classes():
    logits = np.zeros((2, 3))
    for wrong in (3, -1):
        labels = np.array([0, wrong])
        with pytest.raises(
            ValueError, match=f"labels must lie between 0 and K - 1 = 2, got {min(labels)} to {max(labels)}"
        ):
            readable.softmax_cross_entropy(logits, labels)
        assert np.isnan(fast.softmax_cross_entropy(logits, labels))
        readable.softmax_cross_entropy(logits, labels, np.array([1.0, 0.0]))
    for half in (readable, fast):
        with pytest.raises(ValueError, match=r"weight has shape \(2, 1\); expected one that broadcasts to \(2,\)"):
            half.softmax_cross_entropy(logits, np.array([0, 1]), np.ones((2, 1)))


def test_a_class_may_be_masked_by_minus_infinity():
    logits = np.array([[0.0, -np.inf, 1.0]])
    loss, gradient = readable.softmax_cross_entropy(logits, np.array([2]))
    np.testing.assert_allclose(loss, np.log1p(np.exp(-1)))
    assert gradient[0, 1] == 0
    np.testing.assert_allclose(fast.softmax_cross_entropy(logits, np.array([2])), loss, rtol=1e-6)
