# %% [markdown]
# # Vanishing and exploding
#
# Minutes: 20. Before: tutorial 03, what an eigenvalue is.
#
# On its way back through time a gradient is multiplied by one matrix at every step. A hundred factors a little below 1
# make nothing, a hundred a little above 1 make a catastrophe. That much is in every textbook. We measure where it is
# true, and test two sentences that are often read: "it depends on whether the largest eigenvalue is above 1", and
# "gates cure vanishing *and exploding* gradients". Afterwards you can
#
# - write the gradient through time as a product of Jacobians, and say what enters each of them;
# - predict for an RNN, an LSTM and a GRU how far back a gradient reaches, from their weights and biases;
# - clip gradients, and say why by the norm and not by the value.

# %%
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
from matplotlib.figure import Figure

from minirnn import equations
from minirnn.inspect.lessons import CELL_COLOURS, OTHER_COLOURS, keep, tidy
from minirnn.params import GRU_GATES, RNNParams, gate_block
from minirnn.readable import gru, losses, lstm, optimizers, rnn
from minirnn.readable.activations import sigmoid

T, B, D, H = 100, 4, 4, 32
SEEDS = range(4)

# %% [markdown]
# ## One factor for each step
#
# R3, R4 and P1, one after the other: what arrives at h_{t-1} is what was at h_t, times the slope of tanh at every unit,
# times the transpose of Wh.

# %%
for equation in equations.select("R3-R4, P1"):
    print(f"{equation.id:4} {equation.plain}")

# %% [markdown]
# This is a linear map, so it is a product with a matrix, the Jacobian of the step: `diag(1 - h_t²) @ Wh.T`, for row
# vectors. The library's `step_backward` will print it for us if we send H gradients through at once: the rows of the
# identity.

# %%
params = rnn.init(0, D, H, dtype=np.float64)
_, _, cache = rnn.forward(params, np.random.default_rng(1).standard_normal((3, 1, D)))


def jacobian(t):
    """Of step t: row j holds what arrives at h_{t-1} if the gradient at h_t is 1 at unit j and 0 elsewhere."""
    copies = np.repeat(cache.xs[t], H, axis=0), np.repeat(cache.states[t], H, axis=0)
    _, _, one_step = rnn.step(params, *copies)
    return rnn.step_backward(np.zeros((H, H)), np.eye(H), one_step)[2]


h_1 = cache.states[2][0]  # the state after step 1
np.testing.assert_allclose(jacobian(1), np.diag(1 - h_1**2) @ params.Wh.T, atol=1e-14)

# Through two steps: the product of two Jacobians.
v = np.random.default_rng(2).standard_normal(H)
dys = np.zeros((3, 1, H))
dys[2, 0] = v
dh = rnn.gate_gradients(dys, None, cache).h  # (T, B, H)
np.testing.assert_allclose(dh[0, 0], v @ jacobian(2) @ jacobian(1), atol=1e-14)
print("dh at step 0 = dh at step 2, times the Jacobians of steps 2 and 1")

# %% [markdown]
# ## The radius
#
# Without the slopes (a linear RNN: the activation is the identity) the product is a power of Wh. Let Wh be a random
# orthogonal matrix times ρ. All its eigenvalues then have the size ρ: the largest of these sizes is a matrix's
# (spectral) *radius*. Orthogonal matrices keep lengths, so the gradient is exactly ρ^k long after k steps. With tanh
# there are the slopes as well, which are at most 1.
#
# **Predict before you run:** ρ = 1.2, which is 8e7 after a hundred steps. With tanh, and inputs of size 0.1: will the
# gradient of the first step explode too? And with inputs of size 1?
#
# The function walks back through a sequence, with the library's own steps, and notes how long the carried gradient is.
# Nothing is added on the way: the loss speaks at the last step only. The state of an LSTM has two parts, and both
# count.


# %%
def length(dstate):
    parts = dstate if isinstance(dstate, tuple) else (dstate,)
    return np.sqrt(sum((part**2).sum(axis=1) for part in parts))  # (B,)


def reach(cell, make, size, **options):
    """How long is the gradient at lag 0, 1, ... T? Geometric mean over sequences and seeds."""
    logarithms = []
    for seed in SEEDS:
        rng = np.random.default_rng(100 + seed)
        params = make(seed)
        xs, v = size * rng.standard_normal((T, B, D)), rng.standard_normal((B, H))
        v /= np.linalg.norm(v, axis=1, keepdims=True)
        _, final, cache = cell.forward(params, xs, **options)
        dstate = final._replace(h=v, c=np.zeros_like(v)) if isinstance(final, tuple) else v
        lengths = [length(dstate)]
        for t in reversed(range(T)):
            _, _, one_step = cell.step(params, xs[t], cache.states[t], **options)
            _, _, dstate = cell.step_backward(np.zeros((B, H)), dstate, one_step)
            lengths.append(length(dstate))
        logarithms.append(np.log(lengths))
    return np.exp(np.mean(logarithms, axis=(0, 2)))  # (T + 1,)


def orthogonal(radius):
    def make(seed):
        params = rnn.init(seed, D, H, dtype=np.float64)  # Wh is orthogonal by default
        return params._replace(Wh=radius * params.Wh)

    return make


RADII = (0.5, 0.9, 1.0, 1.2)
curves = {}
for radius in RADII:
    curves[f"tanh, {radius}"] = reach(rnn, orthogonal(radius), 0.1)
    curves[f"linear, {radius}"] = reach(rnn, orthogonal(radius), 0.1, activation="identity")
    np.testing.assert_allclose(curves[f"linear, {radius}"], radius ** np.arange(T + 1.0), rtol=1e-6)
large_inputs = reach(rnn, orthogonal(1.2), 1.0)
print("length after 100 steps:")
for radius in RADII:
    print(f"  radius {radius}: linear {curves[f'linear, {radius}'][-1]:.0e}, tanh {curves[f'tanh, {radius}'][-1]:.0e}")
print(f"  radius 1.2, tanh, inputs ten times as large: {large_inputs[-1]:.0e}")
assert curves["tanh, 0.5"][-1] < 1e-25
assert curves["tanh, 1.0"][-1] < 0.5
assert curves["tanh, 1.2"][-1] < 1e-4 * curves["linear, 1.2"][-1]
assert large_inputs[-1] < 1e-3
grows = curves["tanh, 1.2"][10::10] / curves["tanh, 1.2"][:-10:10]  # factor of each ten steps
assert grows[-1] > 2 * grows[:-1].mean()

# %% [markdown]
# The radius decides about the linear network only. A large radius makes large states, large states make flat slopes,
# and the slopes take away what the radius gave: with inputs of size 1 the gradient *vanishes* at a radius of 1.2. So a
# radius below 1 is enough for vanishing (of such a Wh), but a radius above 1 is not enough for exploding. At 1.0, the
# "ideal" value, an RNN with tanh still forgets. (In the figure below, the curve of 1.2 rises most at the far end. There
# lie the first steps of the sequence, just after a state of zeros: small states have slopes near 1.)
#
# Nor is the radius the length. A matrix that is not orthogonal can stretch first and shrink later, though all its
# eigenvalues are small:

# %%
skewed = RNNParams(np.eye(2), np.array([[0.5, 8.0], [0.0, 0.5]]), np.zeros(2))
print("eigenvalues", np.linalg.eigvals(skewed.Wh), " largest singular value", np.linalg.norm(skewed.Wh, 2).round(1))
_, _, cache = rnn.forward(skewed, np.zeros((30, 1, 2)), activation="identity")
dys = np.zeros((30, 1, 2))
dys[-1, 0] = 0, 1
lengths = np.linalg.norm(rnn.gate_gradients(dys, None, cache).h[::-1, 0], axis=1)
print("length at lags 0, 1, 5, 10, 29:", lengths[[0, 1, 5, 10, 29]].round(6))
assert lengths[1] > 5 > 1e-3 > lengths[29]

# %% [markdown]
# ## Fresh weights
#
# The recipe that weights are drawn from decides how far a gradient reaches when training begins. The three of the
# library: orthogonal Wh; Glorot's uniform; and uniform on ±1/√H, for biases too, which is PyTorch's. The numbers of the
# third have the variance 1/(3H), a third of the other two's, so its matrix has a radius of only about 1/√3 = 0.58.

# %%
by_scheme = {
    scheme: reach(rnn, lambda seed, scheme=scheme: rnn.init(seed, D, H, dtype=np.float64, scheme=scheme), 0.1)
    for scheme in ("orthogonal", "glorot", "uniform")
}
left = pd.DataFrame(by_scheme).loc[[20, 100]].map(lambda v: f"{v:.0e}")
print(left.rename_axis("after"))
assert by_scheme["uniform"][100] < 1e-10
assert by_scheme["glorot"][100] > 1e-5
assert by_scheme["orthogonal"][100] > 1e-3

radii = {
    scheme: np.mean([np.abs(np.linalg.eigvals(rnn.init(s, D, H, scheme=scheme).Wh)).max() for s in range(20)])
    for scheme in by_scheme
}
print("radius:", {scheme: round(float(radius), 2) for scheme, radius in radii.items()})
assert abs(radii["uniform"] - 1 / np.sqrt(3)) < 0.1
assert abs(radii["orthogonal"] - 1) < 1e-3

# %% [markdown]
# ## Gates
#
# An LSTM has a second path: its c. From c_t to c_{t-1} the gradient is multiplied by the forget gate, and by nothing
# else.

# %%
for equation in equations.select("L10, L18, G15"):
    print(f"{equation.id:4} {equation.plain}")

# %% [markdown]
# So one can do sums. A forget bias b makes f about σ(b), if the inputs are small: σ(1) = 0.73, of which 0.73^100 =
# 2e-14 is left after a hundred steps. σ(5) = 0.993 leaves half. In a GRU, 1 - z has this part, and its usual bias of 0
# halves the gradient at every step. The gates alone do nothing; their *biases* hold the door open.


# %%
def lstm_weights(forget_bias=1.0, factor=1.0):
    def make(seed):
        params = lstm.init(seed, D, H, dtype=np.float64, forget_bias=forget_bias)
        return params._replace(Wh=factor * params.Wh)

    return make


def gru_weights(update_bias=0.0, factor=1.0):
    def make(seed):
        params = gru.init(seed, D, H, dtype=np.float64)
        params.b[gate_block("z", GRU_GATES, H)] += update_bias
        return params._replace(Wh=factor * params.Wh)

    return make


for bias in (0, 1, 3, 5):
    half = np.log(0.5) / np.log(sigmoid(bias))
    print(f"forget bias {bias}: f = {sigmoid(bias):.3f}, half is forgotten after {half:.1f} steps")

# The path through c alone is the product of all f, and can never grow.
gates = lstm.gates(lstm_weights()(0), 0.1 * np.random.default_rng(3).standard_normal((T, B, D)))
through_c = gates.f.prod(axis=0)  # (B, H)
print(f"usual LSTM, product of 100 forget gates: {through_c.max():.0e} at most")
assert through_c.max() < 1e-8

curves["LSTM, forget bias 1"] = reach(lstm, lstm_weights(), 0.1)
curves["LSTM, forget bias 5"] = reach(lstm, lstm_weights(forget_bias=5.0), 0.1)
curves["GRU, usual"] = reach(gru, gru_weights(), 0.1)
curves["GRU, z bias -5"] = reach(gru, gru_weights(update_bias=-5.0), 0.1)
for name in ("LSTM, forget bias 1", "LSTM, forget bias 5", "GRU, usual", "GRU, z bias -5"):
    print(f"{name:20} length after 100 steps {curves[name][-1]:.0e}")
assert curves["GRU, usual"][-1] < 1e-3 * curves["tanh, 1.0"][-1]
assert curves["GRU, z bias -5"][-1] > 0.1
assert curves["LSTM, forget bias 5"][-1] > 1
assert curves["LSTM, forget bias 1"][-1] > 1e3 * through_c.max()

# %% [markdown]
# A fresh GRU forgets *faster* than an RNN with an orthogonal Wh. With a bias that keeps the door open, both gated cells
# carry the gradient over a hundred steps. The usual LSTM does better than the 2e-14 of its c path: its gradient also
# goes back through h and Wh, into the gates and the candidate, and from there into the older c. Which leads to the next
# question.
#
# ## Do gates cure exploding gradients?
#
# Some lecture notes say so: the gates lie between 0 and 1, so what they multiply cannot grow. That holds for the path
# through c. It does not hold for the path through h @ Wh: the LSTM with the forget bias of 5 has just ended above 1,
# with the usual Wh, although no gate is larger than 1. We make Wh larger by a factor, and look at all three cells with
# inputs of size 1:

# %%
FACTORS = (1, 2, 4, 6)
grown = pd.DataFrame(
    {
        "rnn": [reach(rnn, orthogonal(factor), 1.0)[-1] for factor in FACTORS],
        "lstm": [reach(lstm, lstm_weights(factor=factor), 1.0)[-1] for factor in FACTORS],
        "gru": [reach(gru, gru_weights(factor=factor), 1.0)[-1] for factor in FACTORS],
    },
    index=pd.Index(FACTORS, name="Wh times"),
)
print("length of the gradient after 100 steps")
print(grown.map(lambda v: f"{v:.0e}"))
curves["LSTM, Wh × 6"] = reach(lstm, lstm_weights(factor=6), 0.1)
curves["GRU, Wh × 6"] = reach(gru, gru_weights(factor=6), 0.1)
assert (grown.loc[6] > 1e3).all()
assert (grown.loc[[2, 4, 6], ["lstm", "gru"]].max(axis=1) < grown.loc[[2, 4, 6], "rnn"]).all()

# %% [markdown]
# **The claim is false.** With recurrent weights six times the usual, the gradient of an LSTM grows many thousand times
# over a hundred steps, and that of a GRU even more. What is true is weaker: with the same factor above 1 it grows less
# than that of an RNN, so one has to go further to get there. Nothing keeps training from going there, so gradients are
# clipped in LSTMs and GRUs as well.


# %%
def draw(curves: pd.DataFrame) -> Figure:
    """Length of the gradient against lag: RNNs by radius on the left, gated cells on the right."""
    figure = Figure(figsize=(8.2, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for radius, colour in zip(RADII, (OTHER_COLOURS[0], OTHER_COLOURS[2], "#222222", CELL_COLOURS["rnn"])):
        left.semilogy(curves.index, curves[f"tanh, {radius}"], color=colour, lw=1.8, label=f"radius {radius}")
        left.semilogy(curves.index, curves[f"linear, {radius}"], color=colour, lw=1.1, ls=":")
    left.plot([], [], color="#555555", lw=1.1, ls=":", label="the same, without tanh")
    left.set_title("RNN, tanh", loc="left", fontsize=11)
    left.set_ylabel("length of the gradient (at the loss: 1)")
    looks = {
        "LSTM, forget bias 1": ("lstm", "-"), "LSTM, forget bias 5": ("lstm", "--"), "LSTM, Wh × 6": ("lstm", "-."),
        "GRU, usual": ("gru", "-"), "GRU, z bias -5": ("gru", "--"), "GRU, Wh × 6": ("gru", "-."),
    }  # fmt: skip
    for name, (cell, style) in looks.items():
        label = name.replace("-5", "−5")
        right.semilogy(curves.index, curves[name], color=CELL_COLOURS[cell], ls=style, lw=1.8, label=label)
    right.set_title("Cells with gates", loc="left", fontsize=11)
    for axes in (left, right):
        axes.axhline(1, color="#999999", lw=0.8, zorder=0)
        axes.set_ylim(1e-16, 1e12)
        axes.set_xlabel("steps back from the loss")
        axes.legend(frameon=False, fontsize=9, loc="upper left", ncols=2)
    tidy(left, right)
    return figure


data = pd.DataFrame(curves, index=pd.RangeIndex(T + 1, name="lag"))
keep(draw(data), "04_vanishing_and_exploding", data)

# %% [markdown]
# ## Clipping
#
# A gradient that is a thousand times too long still points the right way. So keep the direction, and shorten it: that
# is clipping by the *global norm*, one norm for all arrays together (O1).

# %%
print(equations.select("O1")[0].plain)
rng = np.random.default_rng(4)
gradient = lstm_weights()(0)._replace(b=100 * rng.standard_normal(4 * H))  # any tree of arrays; one is too long


def together(tree):
    return np.concatenate([np.asarray(array).ravel() for array in tree])


def cosine(clipped):
    a, b = together(clipped), together(gradient)
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


clip = optimizers.clip_by_global_norm(1.0)
by_norm, _ = clip.update(gradient, clip.init(gradient))
by_value = type(gradient)(*(np.clip(array, -1, 1) for array in gradient))
one_by_one = type(gradient)(*(array / max(1.0, np.linalg.norm(array)) for array in gradient))
for name, clipped in (("global norm", by_norm), ("each array's norm", one_by_one), ("value", by_value)):
    size = np.linalg.norm(together(clipped))
    print(f"by {name:18} length {size:6.2f}   cosine with the gradient {cosine(clipped):.3f}")
assert np.isclose(cosine(by_norm), 1)
assert max(cosine(by_value), cosine(one_by_one)) < 0.95
harmless = type(gradient)(*(1e-6 * array for array in gradient))
assert all((a == b).all() for a, b in zip(harmless, clip.update(harmless, ())[0]))  # a short one is left alone
# optax, which trains the JAX half, does the same.
in_jax, _ = optax.clip_by_global_norm(1.0).update(type(gradient)(*map(jnp.asarray, gradient)), optax.EmptyState())
np.testing.assert_allclose(in_jax.Wx, by_norm.Wx, rtol=1e-5)

# %% [markdown]
# Clipping by value, number by number, turns the gradient: large numbers are cut and small ones are not. Clipping each
# array by itself turns it too. And clipping belongs after the sum over time, on the finished gradient: inside the loop
# it changes what is carried to earlier steps, and the result is the gradient of nothing.
#
# What is it good for? One unit, a sigmoid with a strong weight on itself, settles in a high state or in a low one.
# Which of them depends on its bias, and where it tips over (here at -2.5), twenty steps multiply up to a cliff (Pascanu
# et al. 2013). We start on the high side and want the low state: gradient descent has to cross the cliff.

# %%
STEPS, WEIGHT, LOW = 20, 5.0, 0.2


def loss_and_gradient(b):
    unit = RNNParams(np.zeros((1, 1)), np.array([[WEIGHT]]), b)
    ys, _, cache = rnn.forward(unit, np.zeros((STEPS, 1, 1)), np.array([[0.5]]), activation="sigmoid")
    loss, dlast = losses.mse(ys[-1], np.array([[LOW]]))
    dys = np.zeros_like(ys)
    dys[-1] = dlast
    return loss, rnn.backward(dys, None, cache)[0].b


def descend(start, optimizer, updates=120):
    b, state, lowest = np.array([start]), optimizer.init(np.zeros(1)), start
    for _ in range(updates):
        loss, db = loss_and_gradient(b)
        change, state = optimizer.update(db, state)
        b = b + change
        lowest = min(lowest, b.item())
    return loss, lowest


starts = np.linspace(-WEIGHT / 2 + 0.05, -WEIGHT / 2 + 0.5, 12)
chosen = {
    "plain": optimizers.sgd(0.2),
    "clipped": optimizers.chain(optimizers.clip_by_global_norm(1.0), optimizers.sgd(0.2)),
}
results = {name: np.array([descend(start, optimizer) for start in starts]) for name, optimizer in chosen.items()}
thrown = {name: (result[:, 1] < -WEIGHT / 2 - 1).mean() for name, result in results.items()}
for name, result in results.items():
    median = np.median(result[:, 0])
    print(f"{name:8} thrown far beyond the cliff: {thrown[name]:.0%} of the starts; median loss {median:.4f}")
assert thrown["plain"] > 0.5
assert thrown["clipped"] == 0
assert np.median(results["clipped"][:, 0]) < 0.5 * np.median(results["plain"][:, 0])

# %% [markdown]
# Without clipping, from most starts one update throws the bias so far that the unit is stuck at zero, where the slope
# is nothing. One bad batch can undo a day of training in this way. On ordinary days, when the gradient is short,
# clipping does nothing at all.
#
# ## Exercises
#
# 1. Write `clip_by_global_norm` so that a gradient of zeros survives it: `minirnn learn start clip_by_global_norm`.
# 2. In the figure the RNN with radius 1.0 and tanh shrinks, though slowly. Explain with the slope at small inputs, and
#    predict how it changes if the inputs are 0.01 in size. Then measure.
# 3. For which forget bias does an LSTM keep half of its memory for a thousand steps? `Classifier(memory=...)` spreads
#    its units over all distances up to a given one; why is that better than one bias for all?
