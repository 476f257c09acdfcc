# %% [markdown]
# # Checking a gradient properly
#
# Minutes: 15. Before: tutorial 01, what a Taylor series is.
#
# A backward pass with a mistake in it usually runs, has the right shapes, and even trains. So it has to be checked, and
# a check can be bad too: it can call a right gradient wrong, and a wrong one right. Afterwards you can
#
# - choose a step size, and say what error a right gradient will show;
# - tell a one-sided from a centred difference, the complex step, and automatic differentiation;
# - measure the error of an array in a way that does not cry wolf;
# - pick a probe that no mistake can hide from.

# %%
import jax
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from minirnn import fast, readable
from minirnn.inspect.lessons import OTHER_COLOURS, RIGHT, SMALL, WRONG, keep, tidy
from minirnn.params import RNNParams
from minirnn.readable.checks import compare

jax.config.update("jax_enable_x64", True)  # before the first array: otherwise JAX makes float32 of everything

# %% [markdown]
# ## The thing to be checked
#
# minirnn holds every network twice: `readable` is written in NumPy, with a backward pass by hand, and `fast` in JAX. We
# check the first. A vanilla RNN over six steps; the loss is the sum of all outputs, each times a fixed random number.
# Sizes are all different, and nothing is zero. We differentiate with respect to the weights.

# %%
T, B, D, H = 6, 2, 3, 4
rng = np.random.default_rng(0)
params = readable.rnn.init(rng, D, H, dtype=np.float64)._replace(b=rng.standard_normal(H))
xs, h0 = rng.standard_normal((T, B, D)), rng.standard_normal((B, H))
dys = rng.standard_normal((T, B, H))


def loss(params):
    return (readable.rnn.forward(params, xs.astype(params.Wx.real.dtype), h0)[0] * dys).sum()


def flat(gradient):
    return np.concatenate([np.asarray(array, np.float64).ravel() for array in gradient])


_, _, cache = readable.rnn.forward(params, xs, h0)
by_hand = flat(readable.rnn.backward(dys, None, cache)[0])
print(f"{len(by_hand)} numbers in the gradient, norm {np.linalg.norm(by_hand):.2f}")

# %% [markdown]
# ## Four ways to differentiate without a derivation
#
# With L for the loss, w for one weight and s for the step:
#
# | method | formula | error of the formula | rounding |
# |---|---|---|---|
# | one-sided | (L(w + s) - L(w)) / s | grows as s | about ε / s |
# | centred | (L(w + s) - L(w - s)) / 2s | grows as s² | about ε / s |
# | complex step | Im L(w + i s) / s | grows as s² | none that grows |
# | automatic | the chain rule, by a program | none | a few ε |
#
# The first two *subtract two nearly equal numbers*. Each is known to about ε (2e-16 in float64, 1e-7 in float32), and
# their difference is tiny, so dividing by s makes that rounding large. A smaller step makes the formula better and the
# rounding worse. The best step lies between: near the square root of ε for the one-sided difference, the cube root for
# the centred one.
#
# The complex step does not subtract. For an analytic function L(w + i s) = L(w) + i s L'(w) - s² L''(w) / 2 - ..., and
# its imaginary part *is* s L'(w), up to s³. So s may be 1e-30, and nothing is lost. This is why the NumPy half of
# minirnn works on complex numbers.
#
# **Predict before you run:** how many correct digits does each method reach at its best step in float64? And how many
# in float32, where numbers have seven digits?

# %%
METHODS = {
    "one-sided": lambda f, w, e, s: (f(w + s * e) - f(w)) / s,
    "centred": lambda f, w, e, s: (f(w + s * e) - f(w - s * e)) / (2 * s),
    "complex step": lambda f, w, e, s: f(w + 1j * s * e).imag / s,
}


def differentiate(method, step, dtype):
    """Every number of the gradient, one weight at a time."""
    gradient = []
    for name, array in zip(params._fields, params):
        array = array.astype(dtype)
        rest = RNNParams(*(other.astype(dtype) for other in params))

        def f(moved, name=name, rest=rest):
            return loss(rest._replace(**{name: moved}))

        for index in np.ndindex(array.shape):
            direction = np.zeros_like(array)
            direction[index] = 1
            gradient.append(METHODS[method](f, array, direction, np.asarray(step, dtype)))
    return np.array(gradient, np.float64)


def error(gradient, truth=by_hand):
    """Norm-wise: length of the difference over length of the truth."""
    return np.linalg.norm(gradient - truth) / np.linalg.norm(truth)


STEPS = 10.0 ** np.arange(-16, 0.5)
RUNS = [
    ("one-sided", np.float64),
    ("centred", np.float64),
    ("complex step", np.float64),
    ("one-sided", np.float32),
    ("centred", np.float32),
]
curves = pd.DataFrame(
    {f"{method}, {np.dtype(dtype)}": [error(differentiate(method, s, dtype)) for s in STEPS] for method, dtype in RUNS},
    index=pd.Index(STEPS, name="step"),
)


# Automatic differentiation has no step: JAX writes the backward pass of the JAX half.
def fast_loss(params, dtype):
    ys, _ = fast.rnn.forward(params, xs.astype(dtype), h0.astype(dtype))
    return (ys * dys.astype(dtype)).sum()


for dtype in (np.float64, np.float32):
    gradient = jax.grad(fast_loss)(RNNParams(*(array.astype(dtype) for array in params)), dtype)
    curves[f"automatic, {np.dtype(dtype)}"] = error(flat(gradient))
best = pd.DataFrame({"smallest error": curves.min(), "at step": curves.idxmin()}).map(lambda v: f"{v:.0e}")
best.loc[best.index.str.startswith("automatic"), "at step"] = "-"  # it has none
print(best)

# %% [markdown]
# One-sided differences lose half of the digits, centred ones a third, the other two none. In float32 a finite
# difference is left with three to five digits: too few to tell a small mistake from rounding. *Always check in
# float64*, even if you train in float32.

# %%
smallest = curves.min()
assert 1e-10 < smallest["one-sided, float64"] < 1e-6
assert 1e-12 < smallest["centred, float64"] < 1e-8
assert smallest["complex step, float64"] < 1e-14
assert smallest["automatic, float64"] < 1e-14
assert smallest["one-sided, float32"] > 1e-5
assert smallest["centred, float32"] > 1e-7
# Where the formula's error rules, a step ten times as small makes it ten times smaller; or a hundred times.
for name, order in (("one-sided, float64", 1), ("centred, float64", 2), ("complex step, float64", 2)):
    steps = curves[name].loc[1e-4 * 0.99 : 1e-2 * 1.01]
    slope = np.polyfit(np.log10(steps.index), np.log10(steps), 1)[0]
    print(f"{name:22} error grows as s to the {slope:.2f}")
    assert abs(slope - order) < 0.1
# The best step is near the square root of ε, and near the cube root.
for name, root in (("one-sided, float64", 1 / 2), ("centred, float64", 1 / 3)):
    assert 1 / 30 < curves[name].idxmin() / np.finfo(float).eps ** root < 30
# And where rounding rules, a smaller step makes it worse.
assert curves["centred, float64"].loc[1e-12 * 0.99 : 1e-12 * 1.01].item() > 100 * smallest["centred, float64"]
assert curves["complex step, float64"].loc[:1e-9].max() < 1e-14
assert error(differentiate("complex step", 1e-30, np.float64)) < 1e-14


# %%
def draw(curves: pd.DataFrame) -> Figure:
    """Error against step size, on logarithmic axes."""
    look = {
        "one-sided, float64": (WRONG, "-"), "centred, float64": (RIGHT, "-"),
        "complex step, float64": (OTHER_COLOURS[0], "-"), "automatic, float64": ("#222222", "-"),
        "one-sided, float32": (WRONG, ":"), "centred, float32": (RIGHT, ":"), "automatic, float32": ("#222222", ":"),
    }  # fmt: skip
    figure = Figure(figsize=(SMALL[0], 4.2), layout="constrained")
    axes = figure.subplots()
    for name, (colour, style) in look.items():
        shown = curves[name].clip(1e-17, 1e2)
        marker = "" if name.startswith("automatic") else "o"
        axes.loglog(curves.index, shown, color=colour, ls=style, marker=marker, ms=3.5, lw=1.6, label=name)
    axes.set_ylim(1e-17, 1e2)
    axes.set_xlabel("step s")
    axes.set_ylabel("relative error of the gradient")
    axes.set_title("A right gradient, checked seven ways", loc="left", fontsize=11)
    axes.invert_xaxis()  # from left to right the step shrinks, as one would try it
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    tidy(axes)
    return figure


keep(draw(curves), "02_gradient_checking", curves)

# %% [markdown]
# Read the figure from left to right: the step shrinks. All three curves of float64 come down, with slopes 1, 2 and 2.
# Then the two that subtract turn round and climb. The complex step stays where it is.
#
# ## How to measure an error
#
# Many checks report the largest *element-wise* error, |a - b| / (|a| + |b|), over all numbers of an array. Some of
# these numbers are close to zero by chance, and the rounding there is as large as everywhere else. So the largest ratio
# belongs to the most unimportant number. The *norm-wise* error, ‖a - b‖ / ‖b‖, asks whether the array as a whole is
# right. Here is a right gradient under centred differences, for 20 *probes*: sets of random weights, inputs and
# outputs' gradients.


# %%
def probe(seed):
    rng = np.random.default_rng(seed)
    params = readable.rnn.init(rng, D, H, dtype=np.float64)._replace(b=rng.standard_normal(H))
    return params, rng.standard_normal((T, B, D)), rng.standard_normal((B, H)), rng.standard_normal((T, B, H))


element_wise, norm_wise = [], []
for seed in range(20):
    weights, inputs, start, dys_ = probe(seed)
    cache = readable.rnn.forward(weights, inputs, start)[2]
    right = readable.rnn.backward(dys_, None, cache)[0].Wh

    def f(Wh, weights=weights, inputs=inputs, start=start, dys_=dys_):
        return (readable.rnn.forward(weights._replace(Wh=Wh), inputs, start)[0] * dys_).sum()

    difference = np.array(
        [METHODS["centred"](f, weights.Wh, np.eye(H * H)[k].reshape(H, H), 1e-5) for k in range(H * H)]
    ).reshape(H, H)
    element_wise.append((np.abs(difference - right) / (np.abs(difference) + np.abs(right))).max())
    norm_wise.append(error(difference, right))
print(f"element-wise: median {np.median(element_wise):.0e}, worst {max(element_wise):.0e}")
print(f"norm-wise:    median {np.median(norm_wise):.0e}, worst {max(norm_wise):.0e}")
assert np.median(element_wise) > 3 * np.median(norm_wise)
assert max(norm_wise) < 1e-8

# %% [markdown]
# So an element-wise threshold has to be loosened until right gradients pass, and then wrong ones pass too. But the norm
# is blind in one way: a mistake in something small hides behind something large. Therefore take a norm *for each
# array*, never one for all weights together. If we double db alone, and look at the error over all weights while the
# inputs are a thousand times as large (so that dWx is huge):

# %%
# As large as x is, Wx is that much smaller: the outputs stay, and dWx becomes a thousand times as large.
large = RNNParams(params.Wx / 1000, params.Wh, params.b)
cache = readable.rnn.forward(large, 1000 * xs, h0)[2]
right = readable.rnn.backward(dys, None, cache)[0]
wrong = right._replace(b=2 * right.b)
print(f"all weights together {error(flat(wrong), flat(right)):.0e},  db by itself {error(wrong.b, right.b):.0e}")
assert error(flat(wrong), flat(right)) < 1e-2
assert np.isclose(error(wrong.b, right.b), 1)

# %% [markdown]
# ## A probe that nothing can hide from
#
# A mistake is found only if the probe makes it visible. Zeros, ones and equal sizes hide things. Three wrong backward
# passes, each of which differs from the right one in one term, and four probes. The library's `rnn.backward` gives the
# right gradient; the wrong ones are written out, since they exist nowhere else.


# %%
def wrong_backward(mistake, dys, xs, params, h0):
    """The loop of tutorial 03, with one slip."""
    ys, _, _ = readable.rnn.forward(params, xs, h0)
    before = np.concatenate([h0[None], ys[:-1]])
    dWx, dWh, db = np.zeros_like(params.Wx), np.zeros_like(params.Wh), np.zeros_like(params.b)
    dh_next = np.zeros_like(h0)
    for t in reversed(range(len(xs))):
        dz = (dys[t] + dh_next) * (1 - ys[t] ** 2)
        dWx, db = dWx + xs[t].T @ dz, db + dz.sum(axis=0)
        dWh = dWh + (0 if mistake == "step 0 left out of dWh" and t == 0 else before[t].T @ dz)
        dh_next = dz @ (params.Wh if mistake == "Wh not transposed" else params.Wh.T)
        dh_next = 0 * dh_next if mistake == "state's gradient not carried" else dh_next
    return RNNParams(dWx, dWh, db)


MISTAKES = ("step 0 left out of dWh", "Wh not transposed", "state's gradient not carried")
PROBES = {
    "one step": (params, xs[:1], h0, dys[:1]),
    "initial state zero": (params, xs, 0 * h0, dys),
    "Wh the identity": (params._replace(Wh=np.eye(H)), xs, h0, dys),
    "all random": (params, xs, h0, dys),
}
found = pd.DataFrame(index=PROBES, columns=MISTAKES)
for name, (weights, inputs, start, dys_) in PROBES.items():
    cache = readable.rnn.forward(weights, inputs, start)[2]
    right = readable.rnn.backward(dys_, None, cache)[0]
    for mistake in MISTAKES:
        wrong = wrong_backward(mistake, dys_, inputs, weights, start)
        found.loc[name, mistake] = any(error(w, r) > 1e-9 for w, r in zip(wrong, right))
    assert all(error(w, r) < 1e-12 for w, r in zip(wrong_backward(None, dys_, inputs, weights, start), right))
print("is the mistake found?")
print(found.replace({True: "found", False: "HIDDEN"}).to_string())
assert found.loc["all random"].all()
assert not found.loc["one step", ["Wh not transposed", "state's gradient not carried"]].any()
assert not found.loc["initial state zero", "step 0 left out of dWh"]
assert not found.loc["Wh the identity", "Wh not transposed"]

# %% [markdown]
# Each of the poorer probes is one that people use, and each lets a mistake pass. So: several steps, all sizes
# different, random biases and initial states, a random gradient on *every* output and on the final state.
#
# ## Two traps
#
# **Kinks.** Where relu bends, there is no derivative, and a difference across the bend measures a mean of both sides.
# The derivation is right; the check is not. Small steps make this rare, random inputs make it rarer.

# %%
bent = RNNParams(np.array([[1.0]]), np.array([[0.0]]), np.array([0.0]))
x_near = np.array([[[1e-6]]])  # z = 1e-6: just right of the bend
cache = readable.rnn.forward(bent, x_near, activation="relu")[2]
dx = readable.rnn.backward(np.ones((1, 1, 1)), None, cache)[1].item()


def across(s):
    return METHODS["centred"](lambda x: readable.rnn.forward(bent, x, activation="relu")[0].sum(), x_near, 1.0, s)


print(f"derived {dx:.2f}, centred difference {across(1e-4):.2f} with s = 1e-4, {across(1e-8):.2f} with s = 1e-8")
assert dx == 1
assert 0.5 < across(1e-4) < 0.52
assert np.isclose(across(1e-8), 1)

# %% [markdown]
# **The complex step needs analytic functions.** `np.abs` of a complex number throws the imaginary part away, `conj`
# turns it round, and a cast to float forgets it: the derivative silently becomes zero. `compare`, the library's judge,
# looks at one direction with an ordinary difference first, and refuses.

# %%
weights = np.array([1.0, -2.0])
try:
    compare(lambda w: np.abs(w).sum(), np.sign(weights), weights)
except ValueError as refusal:
    print("refused:", str(refusal)[:72], "...")
else:
    raise AssertionError("an absolute value went through the complex step unnoticed")
assert compare(lambda w: np.abs(w).sum(), np.sign(weights), weights, "central differences").ok

# %% [markdown]
# ## The judge that you will use
#
# `minirnn.readable.checks.compare(loss, gradients, inputs)` does all of the above: the complex step by default, a norm
# for each array, and for arrays over time the steps at which they are wrong. To see it at work we spoil two arrays: the
# inputs' gradient by one percent at one step, and the sign of the initial state's.

# %%
_, _, cache = readable.rnn.forward(params, xs, h0)
dparams, dxs, dh0 = readable.rnn.backward(dys, None, cache)
inputs = {"params": params, "xs": xs, "h0": h0}


def whole_loss(inputs):
    return (readable.rnn.forward(inputs["params"], inputs["xs"], inputs["h0"])[0] * dys).sum()


assert compare(whole_loss, {"params": dparams, "xs": dxs, "h0": dh0}, inputs).ok
spoilt = dxs.copy()
spoilt[3] *= 1.01
report = compare(whole_loss, {"params": dparams, "xs": spoilt, "h0": -dh0}, inputs)
print(report)
assert report.first_wrong == "xs at t = 3"
assert report.notes["h0"] == "it is -1 times the right gradient"

# %% [markdown]
# ## Exercises
#
# 1. Write a check of your own that passes right gradients and no wrong ones: `minirnn learn start gradient_check`.
# 2. Where does the bottom of the centred curve lie if the loss is 1e6 + the one above? Explain it with ε, then measure
#    it.
# 3. Dropout draws new masks at each evaluation. What do the differences measure then, and what must a check hold fixed?
