"""Losses: values, hand-derived gradients against the complex step, both halves, masks."""

import math

import jax
import numpy as np
import optax
import parity
import pytest

from minirnn.fast import losses as fast
from minirnn.readable import losses as readable
from minirnn.readable import special

SHAPE = (5, 3)
LEVELS = (0.1, 0.6, 0.9)
# name, options
REGRESSIONS = [("mse", {}), ("mae", {}), ("huber", {"delta": 0.7}), ("pinball", {"quantile": 0.9})]
# The last axis of their raw numbers belongs to one target.
HEADS = [("gaussian_nll", {}), ("student_t_nll", {}), ("quantile_pinball", {"quantiles": LEVELS})]
ALL = [*REGRESSIONS, ("softmax_cross_entropy", {}), ("binary_cross_entropy", {}), *HEADS]
SMOOTHED = [(name, {"label_smoothing": 0.2}) for name in ("softmax_cross_entropy", "binary_cross_entropy")]
ids = lambda cases: ["-".join([name, *options]) for name, options in cases]  # noqa: E731
CASES = ALL + SMOOTHED
each = pytest.mark.parametrize(("name", "options"), CASES, ids=ids(CASES))
each_head = pytest.mark.parametrize(("name", "options"), HEADS, ids=ids(HEADS))


def example(name, rng):
    prediction = 2 * rng.standard_normal(SHAPE)
    if name == "softmax_cross_entropy":
        return prediction, rng.integers(0, 3, 5), rng.uniform(0.5, 2, 5)
    if name in dict(HEADS):
        parts = 2 if name == "gaussian_nll" else 3
        return 2 * rng.standard_normal((*SHAPE, parts)), rng.standard_normal(SHAPE), rng.uniform(0.5, 2, SHAPE)
    target = rng.uniform(0, 1, SHAPE) if name == "binary_cross_entropy" else rng.standard_normal(SHAPE)
    return prediction, target, rng.uniform(0.5, 2, SHAPE)


def weighted_example(name, rng, weighted=True, dtype=np.float64):
    """The same in another dtype, and perhaps without weights."""
    prediction, target, weight = (a if a.dtype.kind == "i" else a.astype(dtype) for a in example(name, rng))
    return prediction, target, weight if weighted else None


def complex_step_error(name, options, case, bound) -> float:
    """The relative error of the hand-derived gradient."""
    prediction, target, weight = case
    function = getattr(readable, name)
    exact = np.zeros_like(prediction)
    for index in np.ndindex(prediction.shape):
        moved = prediction.astype(complex)
        moved[index] += 1e-30j
        exact[index] = function(moved, target, weight, **options)[0].imag / 1e-30
    return parity.worst({"gradient": function(*case, **options)[1]}, {"gradient": exact}, bound)


def jax_error(name, options, case, bound) -> float:
    """The worst relative error of loss and gradient, between the halves."""
    ours = getattr(readable, name)(*case, **options)
    theirs = jax.value_and_grad(getattr(fast, name))(*case, **options)
    assert {a.dtype for a in (*ours, *theirs)} == {case[0].dtype}
    return parity.worst(dict(zip(("loss", "gradient"), theirs)), dict(zip(("loss", "gradient"), ours)), bound)


@each
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_equal_the_complex_step_and_jax(name, options, weighted, rng, x64):
    case = weighted_example(name, rng, weighted)
    bound = 1e-12 if name in dict(HEADS) else 1e-14  # complex log1p loses digits of a small scale
    complex_step_error(name, options, case, bound)
    jax_error(name, options, case, bound)


@each
def test_both_halves_agree_in_float32(name, options, rng):
    jax_error(name, options, weighted_example(name, rng, dtype=np.float32), 1e-5)


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


# ---------------------------------------------------------------- label smoothing


@pytest.mark.filterwarnings("error")
def test_smoothing_spares_masked_classes(rng, x64):
    """Three of four classes are open: loss and gradient are those of the three alone, in both halves."""
    logits, labels = rng.standard_normal((5, 4)), np.array([0, 1, 3, 1, 0])
    logits[:, 2] = -np.inf
    loss, gradient = readable.softmax_cross_entropy(logits, labels, label_smoothing=0.3)
    alone, dalone = readable.softmax_cross_entropy(logits[:, [0, 1, 3]], labels - labels // 3, label_smoothing=0.3)
    assert loss == pytest.approx(alone, rel=1e-14)
    np.testing.assert_allclose(gradient[:, [0, 1, 3]], dalone, rtol=1e-13)
    assert not gradient[:, 2].any()
    fast_loss, fast_gradient = jax.value_and_grad(fast.softmax_cross_entropy)(logits, labels, label_smoothing=0.3)
    assert float(fast_loss) == pytest.approx(loss, rel=1e-14)
    np.testing.assert_allclose(fast_gradient, gradient, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("half", [readable, fast], ids=["readable", "fast"])
def test_smoothing_at_the_edges(half):
    masked = np.array([[0.0, -np.inf, 1.0]])
    for alpha in (0.0, 0.1):  # a label on a masked class cannot happen
        loss = half.softmax_cross_entropy(masked, np.array([1]), label_smoothing=alpha)
        assert np.ravel(loss[0] if half is readable else loss)[0] == np.inf
    for name, target in (("softmax_cross_entropy", np.array([0])), ("binary_cross_entropy", np.zeros((1, 3)))):
        for wrong in (-0.1, 1.0, np.nan):
            with pytest.raises(ValueError, match=r"label_smoothing is .*; expected at least 0 and below 1"):
                getattr(half, name)(np.zeros((1, 3)), target, label_smoothing=wrong)
        loss = getattr(half, name)(np.zeros((1, 3), np.float32), target.astype(int), label_smoothing=np.float64(0.1))
        assert np.asarray(loss[0] if half is readable else loss).dtype == np.float32


def test_smoothing_has_its_known_values(rng):
    logits, labels, _ = example("softmax_cross_entropy", rng)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    by_hand = -(0.8 * log_p[np.arange(5), labels] + 0.2 * log_p.mean(axis=1)).mean()
    assert readable.softmax_cross_entropy(logits, labels, label_smoothing=0.2)[0] == pytest.approx(by_hand, rel=1e-14)
    expected = readable.binary_cross_entropy(logits, np.full(SHAPE, 0.9))[0]
    assert readable.binary_cross_entropy(logits, np.ones(SHAPE), label_smoothing=0.2)[0] == pytest.approx(expected)


# ---------------------------------------------------------------- distributions and quantiles


@each_head
def test_the_heads_agree_in_float32(name, options, rng):
    raw, target, weight = (a.astype(np.float32) for a in example(name, rng))
    before = raw.copy(), target.copy(), weight.copy()
    loss, gradient = getattr(readable, name)(raw, target, weight, **options)
    fast_loss, fast_gradient = jax.value_and_grad(getattr(fast, name))(raw, target, weight, **options)
    assert (loss.dtype, gradient.dtype, fast_gradient.dtype) == (np.float32, np.float32, np.float32)
    assert parity.relative_error(fast_loss, loss) < 1e-5
    for part in range(raw.shape[-1]):
        assert parity.relative_error(fast_gradient[..., part], gradient[..., part]) < 1e-5
    np.testing.assert_equal((raw, target, weight), before)


@each_head
def test_every_raw_number_has_the_gradient_of_the_complex_step(name, options, rng, x64):
    """Part by part, and where a raw number is zero: the kink of a naive softplus."""
    raw, target, weight = example(name, rng)
    raw[0] = 0
    _, gradient = getattr(readable, name)(raw, target, weight, **options)
    fast_gradient = jax.grad(getattr(fast, name))(raw, target, weight, **options)
    for part in range(raw.shape[-1]):
        exact = np.zeros(SHAPE)
        for index in np.ndindex(SHAPE):
            moved = raw.astype(complex)
            moved[(*index, part)] += 1e-30j
            exact[index] = getattr(readable, name)(moved, target, weight, **options)[0].imag / 1e-30
        assert parity.relative_error(gradient[..., part], exact) < 1e-12
        assert parity.relative_error(fast_gradient[..., part], exact) < 1e-10


@pytest.mark.filterwarnings("error")
@each_head
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_raw_numbers_give_finite_losses_and_gradients(name, options, dtype, x64):
    parts = 2 if name == "gaussian_nll" else 3
    values = np.array([-100, -30, -1, 0, 1, 30, 100], dtype)
    raw = np.stack(np.meshgrid(*[values] * parts), axis=-1).reshape(-1, parts)
    raw = np.concatenate([raw, raw])
    target = np.repeat(np.array([-100, 100.0], dtype), len(raw) // 2)
    loss, gradient = getattr(readable, name)(raw, target, **options)
    assert np.isfinite(loss)
    assert np.isfinite(gradient).all()
    fast_loss, fast_gradient = jax.value_and_grad(getattr(fast, name))(raw, target, **options)
    assert fast_loss.dtype == fast_gradient.dtype == loss.dtype == gradient.dtype == dtype
    bound = 1e-5 if dtype == np.float32 else 1e-10
    assert parity.relative_error(fast_loss, loss) < bound
    assert parity.relative_error(fast_gradient, gradient) < bound


def test_a_small_scale_still_learns_in_float32():
    """The slope of the softplus at -20 is 2e-9, not 0: far from the target the scale must be able to grow again."""
    raw, target = np.array([[0.0, -20.0]], np.float32), np.array([1.0], np.float32)
    _, gradient = readable.gaussian_nll(raw, target)
    assert gradient[0, 1] == pytest.approx(-np.exp(-20) * 1e9, rel=1e-2)
    np.testing.assert_allclose(jax.grad(fast.gaussian_nll)(raw, target), gradient, rtol=1e-5)


def test_parameters_are_those_of_the_losses(rng, x64):
    raw, target, _ = example("student_t_nll", rng)
    for half in (readable, fast):
        mean, scale = (np.asarray(a) for a in half.gaussian_parameters(raw[..., :2]))
        np.testing.assert_array_equal(mean, raw[..., 0])
        np.testing.assert_allclose(scale, np.log1p(np.exp(raw[..., 1])) + 1e-3, rtol=1e-14)
        location, scale_t, freedom = (np.asarray(a) for a in half.student_t_parameters(raw))
        np.testing.assert_array_equal((location, scale_t), (mean, scale))
        np.testing.assert_allclose(freedom, 2 + np.log1p(np.exp(raw[..., 2])), rtol=1e-14)
        narrow = [np.asarray(a).dtype for a in half.student_t_parameters(raw.astype(np.float32))]
        assert narrow == [np.float32] * 3
    expected = np.mean(np.log(2 * np.pi * scale**2) / 2 + (target - mean) ** 2 / (2 * scale**2))
    assert readable.gaussian_nll(raw[..., :2], target)[0] == pytest.approx(expected, rel=1e-14)
    # Many degrees of freedom are a Gaussian.
    raw[..., 1:] = 1, 1e7
    assert readable.student_t_nll(raw, target)[0] == pytest.approx(readable.gaussian_nll(raw[..., :2], target)[0], 1e-6)


def test_quantiles_never_cross(rng):
    raw = (10.0 ** rng.uniform(-4, 2, (200, 50)) * rng.choice([-1, 1], (200, 50))).astype(np.float32)
    ours = readable.monotone_quantiles(raw)
    theirs = np.asarray(jax.jit(fast.monotone_quantiles)(raw))
    for quantiles in (ours, theirs):
        assert quantiles.dtype == np.float32
        assert (np.diff(quantiles, axis=-1) >= 0).all()
        np.testing.assert_array_equal(quantiles[:, 0], raw[:, 0])
    np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-4)


def test_quantile_pinball_is_the_mean_of_pinballs(rng):
    raw, target, weight = example("quantile_pinball", rng)
    quantiles = readable.monotone_quantiles(raw)
    each = [readable.pinball(quantiles[..., k], target, weight, quantile=level)[0] for k, level in enumerate(LEVELS)]
    loss, _ = readable.quantile_pinball(raw, target, weight, quantiles=LEVELS)
    assert loss == pytest.approx(np.mean(each), rel=1e-14)


@pytest.mark.parametrize("half", [readable, fast], ids=["readable", "fast"])
def test_a_quantile_on_its_target_has_no_gradient(half, x64):
    raw, target = np.array([[1.0, -2.0]]), np.array([1.0])
    _, exact = readable.quantile_pinball(raw, target, quantiles=(0.2, 0.7))
    gradient = jax.grad(half.quantile_pinball)(raw, target, quantiles=(0.2, 0.7)) if half is fast else exact
    # Only the upper one is off: too high by its step, at the price of 1 - 0.7 for one of two levels.
    np.testing.assert_allclose(gradient, [[0.15, 0.15 / (1 + np.exp(2))]], rtol=1e-14)


@pytest.mark.parametrize("half", [readable, fast], ids=["readable", "fast"])
def test_heads_of_wrong_shape_are_named(half):
    with pytest.raises(ValueError, match=r"raw has shape \(5, 3\); expected \(..., 2\): mean, raw scale"):
        half.gaussian_nll(np.zeros((5, 3)), np.zeros(5))
    with pytest.raises(ValueError, match=r"raw has shape \(5, 2\); expected \(..., 3\): location, raw scale, raw deg"):
        half.student_t_parameters(np.zeros((5, 2)))
    with pytest.raises(ValueError, match=r"raw has shape \(5, 3\), target \(5, 1\); expected \(..., 3\) and \(...\)"):
        half.student_t_nll(np.zeros((5, 3)), np.zeros((5, 1)))
    with pytest.raises(ValueError, match=r"expected \(..., 3\): quantile 0.1, quantile 0.6, quantile 0.9"):
        half.quantile_pinball(np.zeros((5, 2)), np.zeros(5), quantiles=LEVELS)
    with pytest.raises(ValueError, match=r"raw has shape \(5, 0\); expected \(..., K\)"):
        half.monotone_quantiles(np.zeros((5, 0)))
    for wrong in ((0.5, 0.1), (0.5, 0.5), (0.0, 0.5), (0.5, 1.0), 0.5, (0.1, np.nan)):
        with pytest.raises(ValueError, match="expected levels between 0 and 1, ascending"):
            half.quantile_pinball(np.zeros((5, 2)), np.zeros(5), quantiles=wrong)
    for function in (half.gaussian_parameters, half.monotone_quantiles):
        with pytest.raises(TypeError, match=r"raw holds int\d+; expected floating point"):
            function(np.zeros((5, 2), int))


def test_fitting_recovers_the_distribution():
    """Gradient descent on one set of raw numbers finds what the data were drawn from."""
    rng = np.random.default_rng(3)
    draws = {
        "gaussian_nll": 1.5 + 0.4 * rng.standard_normal(4000),
        "student_t_nll": 1.5 + 0.4 * rng.standard_t(4, 4000),
        "quantile_pinball": 1.5 + 0.4 * rng.standard_normal(4000),
    }
    fitted = {}
    for name, options in HEADS:
        raw = np.zeros(2 if name == "gaussian_nll" else 3)
        for step in range(400):
            rows = np.broadcast_to(raw, (4000, len(raw)))
            raw = raw - 2 / (1 + step / 50) * getattr(readable, name)(rows, draws[name], **options)[1].sum(axis=0)
        fitted[name] = raw
    np.testing.assert_allclose(readable.gaussian_parameters(fitted["gaussian_nll"]), (1.5, 0.4), atol=0.02)
    np.testing.assert_allclose(readable.student_t_parameters(fitted["student_t_nll"])[:2], (1.5, 0.4), atol=0.03)
    expected = np.quantile(draws["quantile_pinball"], LEVELS)
    np.testing.assert_allclose(readable.monotone_quantiles(fitted["quantile_pinball"]), expected, atol=0.02)


# ---------------------------------------------------------------- special functions


def test_gamma_functions_are_accurate():
    x = np.concatenate([np.linspace(0.01, 30, 3001), np.logspace(-3, 12, 500)])
    for ours, other in ((special.gammaln, math.lgamma), (special.digamma, None)):
        values = ours(x)
        if other:
            expected = np.array([other(v) for v in x])
            assert (np.abs(values - expected) / np.maximum(1, np.abs(expected))).max() < 2e-14
        assert ours(x.astype(np.float32)).dtype == np.float32
        assert ours((x + 0j).astype(np.complex64)).dtype == np.complex64
    # digamma is the derivative of gammaln, has its known values, and obeys its recurrence and duplication.
    slope = special.gammaln(x + 1e-30j).imag / 1e-30
    np.testing.assert_allclose(special.digamma(x), slope, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(special.digamma(np.array([1, 0.5])), -np.euler_gamma - np.array([0, 2 * np.log(2)]))
    x = x[(x > 0.2) & (x < 1e6)]  # below, 1 / x cancels
    np.testing.assert_allclose(special.digamma(x + 1), special.digamma(x) + 1 / x, rtol=1e-14, atol=1e-14)
    double = (special.digamma(x) + special.digamma(x + 0.5)) / 2 + np.log(2)
    np.testing.assert_allclose(special.digamma(2 * x), double, rtol=1e-14, atol=1e-14)


@pytest.mark.filterwarnings("error")
def test_softplus_keeps_its_digits():
    x = np.array([-700, -100, -20, -1, 0, 1, 20, 100, 700.0])
    np.testing.assert_allclose(special.softplus(x), np.logaddexp(x, 0), rtol=1e-15)
    np.testing.assert_allclose(special.softplus_slope(x), np.exp(x - np.logaddexp(x, 0)), rtol=1e-13)
    np.testing.assert_allclose(special.softplus_slope(x[1:]), special.softplus(x[1:] + 1e-30j).imag / 1e-30, rtol=1e-14)
    assert special.softplus(np.float32(-20) * np.ones(2, np.float32)).dtype == np.float32


# ---------------------------------------------------------------- PyTorch


IN_TORCH = [*SMOOTHED[:1], *HEADS[:2]]


@pytest.mark.peers
@pytest.mark.parametrize(("name", "options"), IN_TORCH, ids=ids(IN_TORCH))
def test_torch_gives_the_same(name, options, rng):
    pytest.importorskip("torch")
    torch_error(name, options, example(name, rng), 1e-12)


def torch_error(name, options, case, bound) -> float:
    """The worst relative error of loss and gradient against torch."""
    import torch

    raw, target, weight = case
    loss, gradient = getattr(readable, name)(raw, target, weight, **options)
    x, y = torch.tensor(raw, requires_grad=True), torch.tensor(target)
    softplus = torch.nn.functional.softplus
    if name == "softmax_cross_entropy":
        losses = torch.nn.CrossEntropyLoss(reduction="none", **options)(x, y)
    elif name == "gaussian_nll":
        variance = (softplus(x[..., 1]) + 1e-3) ** 2
        losses = torch.nn.GaussianNLLLoss(full=True, reduction="none")(x[..., 0], y, variance)
    else:
        student = torch.distributions.StudentT(2 + softplus(x[..., 2]), x[..., 0], softplus(x[..., 1]) + 1e-3)
        losses = -student.log_prob(y)
    theirs = (losses * torch.tensor(weight)).sum() / weight.sum()
    theirs.backward()
    expected = {"loss": theirs.detach().numpy(), "gradient": x.grad.numpy()}
    return parity.worst({"loss": loss, "gradient": gradient}, expected, bound)
