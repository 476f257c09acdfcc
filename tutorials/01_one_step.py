# %% [markdown]
# # One step, one chain rule
#
# Minutes: 15. Before: NumPy, the derivative of a product and of a function of a function.
#
# You will take one step of the simplest recurrent network, forward and backward, first with single numbers and then
# with arrays. Afterwards you can
#
# - write the backward pass of a step, one line for each line of the forward pass;
# - say what the forward pass has to remember for it, and what it need not;
# - place every transpose and every sum by looking at shapes;
# - check a gradient without trusting anybody.

# %%
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from minirnn import equations, readable
from minirnn.inspect.lessons import RIGHT, WRONG, keep
from minirnn.params import RNNParams
from minirnn.readable import losses, rnn


def show(span):
    """Prints equations as they stand in minirnn.equations."""
    for equation in equations.select(span):
        print(f"{equation.id:4} {equation.plain}")


# %% [markdown]
# ## Forward, with single numbers
#
# A recurrent network reads a sequence one step at a time and keeps a state h. At step t it sees the input x_t and its
# own state h_{t-1}, and makes the new state of both. These are all its equations; the numbers R1, R2, ... are those of
# `minirnn.equations`, and they stand in a comment on the line of the source that computes them.

# %%
show("R1-R2")

# %% [markdown]
# The function φ is tanh here. Let everything be one number: one sequence, one input, one *unit* (so the numbers of a
# state are called). And let the loss be the squared distance of the new state from 1, so that there is something to
# differentiate.

# %%
x, h_prev = 0.5, -0.6
Wx, Wh, b = 1.5, 0.8, 0.1
target = 1.0

from_input = x * Wx
from_state = h_prev * Wh
z = from_input + from_state + b  # R1
h = np.tanh(z)  # R2
loss = (h - target) ** 2
print(f"z = {z:.3f}   h = {h:.3f}   loss = {loss:.3f}")

# The library takes arrays: a batch of one sequence, one input, one unit.
params = RNNParams(Wx=np.array([[Wx]]), Wh=np.array([[Wh]]), b=np.array([b]))
y, state, cache = rnn.step(params, np.array([[x]]), np.array([[h_prev]]))
assert np.isclose(y.item(), h)
assert np.isclose(losses.mse(y, np.array([[target]]))[0], loss)

# %% [markdown]
# ## Backward: the same path, from the end to the start
#
# We ask of every number on the path: if it grew by a little, by how many times as much would the loss grow? That is the
# gradient with respect to it, and we call it `d` and the name of the number. Only one question is easy: what does the
# loss do when h grows? All others follow from the one before it by the chain rule:
#
# > gradient at the input of a node = gradient at its output × slope of the node
#
# A sum has slope 1 for each of its parts, so it hands its gradient on to all of them. A product hands each factor the
# gradient times *the other* factor. And tanh has the slope 1 - tanh(z)², which is 1 - h²: it can be told from the
# output alone.

# %%
dh = 2 * (h - target)
dz = dh * (1 - h**2)  # R4: through tanh
db = dz  # P5: through the sum
dfrom_input = dz
dfrom_state = dz
dx, dWx = dfrom_input * Wx, dfrom_input * x  # P2, P3: through a product
dh_prev, dWh = dfrom_state * Wh, dfrom_state * h_prev  # P1, P4: through the other one
print(f"dz = {dz:.3f}   dWx = {dWx:.3f}   dWh = {dWh:.3f}   db = {db:.3f}   dx = {dx:.3f}   dh_prev = {dh_prev:.3f}")

# %% [markdown]
# Read the signs. The state is below its target, so dh is negative: a larger h would make the loss smaller. dWh is
# positive, although h "should grow": h_{t-1} is negative, so a larger Wh pulls h down.
#
# The figure shows this one step as a graph. Above each edge stands the value that goes forward through it; below, the
# gradient that comes back.

# %%
# Edge: name, from, to, value, gradient. Places are in units of the drawing.
PLACES = {
    "x": (0, 4.3), "W_x": (0, 2.9), "h_{t-1}": (0, 1.5), "W_h": (0, 0.1), "b": (3.1, 4.4),
    "×": (1.8, 3.6), "× ": (1.8, 0.8), "+": (3.7, 2.2), "tanh": (5.3, 2.2), "loss": (6.9, 2.2),
}  # fmt: skip
EDGES = pd.DataFrame(
    [
        ("x", "x", "×", x, dx),
        ("Wx", "W_x", "×", Wx, dWx),
        ("h_prev", "h_{t-1}", "× ", h_prev, dh_prev),
        ("Wh", "W_h", "× ", Wh, dWh),
        ("x Wx", "×", "+", from_input, dfrom_input),
        ("h_prev Wh", "× ", "+", from_state, dfrom_state),
        ("b", "b", "+", b, db),
        ("z", "+", "tanh", z, dz),
        ("h", "tanh", "loss", h, dh),
    ],
    columns=["edge", "from", "to", "value", "gradient"],
).set_index("edge")


def signed(number):
    return f"{number:.2f}".replace("-", "−")


def draw(edges: pd.DataFrame) -> Figure:
    """The step as a graph: value above each edge, gradient below it."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    for _, (start, end, value, gradient) in edges.iterrows():
        (x0, y0), (x1, y1) = PLACES[start], PLACES[end]
        axes.plot([x0, x1], [y0, y1], color="#BBBBBB", lw=1.5, zorder=1)
        middle = (x0 + x1) / 2, (y0 + y1) / 2
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
        axes.text(*middle, signed(value), color=RIGHT, ha="center", va="bottom", fontsize=11, bbox=box, zorder=2)
        axes.text(*middle, signed(gradient), color=WRONG, ha="center", va="top", fontsize=11, bbox=box, zorder=2)
    for name, (across, up) in PLACES.items():
        inner = name.strip() in ("×", "+", "tanh", "loss")
        axes.add_patch(
            Circle((across, up), 0.34, facecolor="white" if inner else "#EEEEEE", edgecolor="#444444", zorder=3)
        )
        text = name.strip() if inner else f"${name}$"
        axes.text(across, up, text, ha="center", va="center", fontsize=11, zorder=4)
    axes.text(6.9, 1.6, f"{loss:.2f}", color=RIGHT, ha="center", fontsize=11)
    axes.text(3.9, 0.6, "value, forward", color=RIGHT, fontsize=11)
    axes.text(3.9, 0.15, "gradient of the loss, backward", color=WRONG, fontsize=11)
    axes.set_xlim(-0.45, 7.35)
    axes.set_ylim(-0.35, 4.85)
    axes.set_aspect("equal")
    axes.axis("off")
    return figure


keep(draw(EDGES), "01_one_step", EDGES)

# %% [markdown]
# ## Is it right? Move one number and look
#
# Nobody needs to be believed. Make Wh a little larger, take the step again, and see by how much the loss changes. This
# is a *finite difference*; the next tutorial is about how to do it well. Here it is enough to move each number a
# millionth up and down.


# %%
def loss_of(x, Wx, h_prev, Wh, b):
    return (np.tanh(x * Wx + h_prev * Wh + b) - target) ** 2


numbers = {"x": x, "Wx": Wx, "h_prev": h_prev, "Wh": Wh, "b": b}
for name in numbers:
    up, down = ({**numbers, name: numbers[name] + move} for move in (1e-6, -1e-6))
    difference = (loss_of(**up) - loss_of(**down)) / 2e-6
    derived = EDGES.gradient[name]
    print(f"d{name:7} derived {derived:+.6f}   measured {difference:+.6f}")
    assert abs(difference - derived) < 1e-8

# %% [markdown]
# ## The same with arrays
#
# Real steps take B sequences at once, a *batch*, with D inputs and H units. Vectors are rows and weights stand on the
# right, so R1 reads just as it is computed: `x @ Wx + h_prev @ Wh + b`. The backward equations are these. The first
# says that h is used twice: as the output of the step (dy comes from there) and by the step after it (dh⁺ comes from
# there). What is used twice gets both gradients, *added*. (In P3 to P5 the sum runs over the steps of a sequence; here
# there is one. And an RNN has one kind of pre-activation: dzx and dzh are both dz.)

# %%
show("R3-R4, P1-P5")

# %% [markdown]
# Where do the transposes come from? You need not remember it, the shapes leave no choice. dWx must have the shape of
# Wx, (D, H). At hand are x, (B, D), and dz, (B, H). There is one product of the two with the right shape: `x.T @ dz`.
# The B in the middle disappears: that *is* the sum over the batch. Every sequence has used the same Wx, and what is
# used many times gets all gradients, added. b has been used by every row as well, so db is a sum over the rows. But
# every sequence has its own x: nothing is summed in `dz @ Wx.T`.

# %%
rng = np.random.default_rng(0)
B, D, H = 2, 3, 4  # all different, so that a wrong transpose cannot pass
params = rnn.init(rng, D, H, dtype=np.float64)._replace(b=rng.standard_normal(H))
x = rng.standard_normal((B, D))
h_prev = rng.standard_normal((B, H))
dy = rng.standard_normal((B, H))  # what the loss says of the output
dh_next = rng.standard_normal((B, H))  # what the next step says of the state

# Forward.
z = x @ params.Wx + h_prev @ params.Wh + params.b  # (B, H)  R1
h = np.tanh(z)  # (B, H)  R2

# Backward, a line for a line, from the last to the first.
dh = dy + dh_next  # (B, H)  R3
dz = dh * (1 - h**2)  # (B, H)  R4
dh_prev = dz @ params.Wh.T  # (B, H)  P1
dx = dz @ params.Wx.T  # (B, D)  P2
dWx = x.T @ dz  # (D, H)  P3
dWh = h_prev.T @ dz  # (H, H)  P4
db = dz.sum(axis=0)  # (H,)  P5

# The library does the same: its step returns a cache, from which its step_backward makes all gradients.
y, state, cache = rnn.step(params, x, h_prev)
dparams, dx_library, dh_prev_library = rnn.step_backward(dy, dh_next, cache)
for ours, library in ((dWx, dparams.Wx), (dWh, dparams.Wh), (db, dparams.b), (dx, dx_library)):
    np.testing.assert_allclose(ours, library, rtol=1e-12)
np.testing.assert_allclose(dh_prev, dh_prev_library, rtol=1e-12)
print("our lines and minirnn.readable.rnn agree")

# %% [markdown]
# ## What has to be remembered
#
# The backward pass needs x, h_{t-1}, the weights, and the slope of tanh. The last one could be computed from z, but it
# is written with h: `1 - h**2`. So z need not be kept, and it is not. This is what the library's step has put aside
# (zh, the part h_{t-1} W_h, is there because one engine serves all cells; the GRU needs it):

# %%
kept = {name: np.shape(getattr(cache, name)) for name in ("x", "zh", "state")} | {"gates.h": cache.gates.h.shape}
print(kept)
assert "z" not in cache._fields
np.testing.assert_allclose(1 - cache.gates.h**2, 1 - np.tanh(z) ** 2)

# %% [markdown]
# A classical slip is to take `1 - z**2`, or `1 - np.tanh(h)**2`: the slope at the wrong place. Both run, and both have
# the right shape. The first even has the wrong sign where |z| > 1.

# %%
slips = {"1 - z²": 1 - z**2, "1 - tanh(h)²": 1 - np.tanh(h) ** 2}
for name, slope in slips.items():
    error = np.linalg.norm(dh * slope - dz) / np.linalg.norm(dz)
    print(f"dz with {name:13} relative error {error:.2f}")
    assert error > 0.1
assert (slips["1 - z²"][np.abs(z) > 1] < 0).all()
assert (np.abs(z) > 1).any()

# %% [markdown]
# ## What the batch does
#
# **Predict before you run:** we write every sequence of the batch twice, so that B is 4 and not 2, and give each copy
# the same dy as the original. Which of dWx, dWh, db, dx and dh_prev become twice as large? Which stay the same?


# %%
def twice(array):
    return np.concatenate([array, array])


_, _, cache = rnn.step(params, twice(x), twice(h_prev))
double, dx_double, dh_prev_double = rnn.step_backward(twice(dy), twice(dh_next), cache)
for name in params._fields:
    np.testing.assert_allclose(getattr(double, name), 2 * getattr(dparams, name))
np.testing.assert_allclose(dx_double, twice(dx))
np.testing.assert_allclose(dh_prev_double, twice(dh_prev))
print("weights: twice the gradient; inputs and states: the same gradient, in every row")

# %% [markdown]
# The weights are shared, inputs and states are not. If the loss is a *mean* over the batch, its dy is half as large for
# twice the batch, and the weights' gradient stays as it was. That division belongs to the loss. Whoever divides by B
# once more in the step gets gradients that are B times too small: they point the right way, so training still works,
# only as if the learning rate were smaller. Such a mistake is found by a check of the gradient, never by watching the
# loss go down.

# %%
targets = rng.standard_normal((B, H))
_, dy_mean = losses.mse(y, targets)
_, dy_mean_double = losses.mse(twice(y), twice(targets))
np.testing.assert_allclose(twice(dy_mean), 2 * dy_mean_double)

# %% [markdown]
# ## Where the slope ends
#
# tanh is flat far from zero. A unit with |z| = 3 lets less than 1 % of the gradient through, one with |z| = 1 about
# 42 %. Nothing is wrong with such a gradient; it is what the function does. But it is the seed of the trouble in
# tutorial 04, where a hundred such slopes are multiplied.

# %%
zs = np.array([0.0, 1.0, 2.0, 3.0])
slopes = 1 - np.tanh(zs) ** 2
print("|z|  ", zs, "\nslope", slopes.round(4))
assert slopes[0] == 1
assert slopes[3] < 0.01
assert round(slopes[1], 2) == 0.42

# %% [markdown]
# One more check, of all arrays at once and against a judge that knows nothing of our derivation:
# `minirnn.readable.checks.compare`. How it works, and why its numbers are so much better than those of the differences
# above, is the subject of tutorial 02.

# %%
inputs = {"params": params, "x": x, "h_prev": h_prev}
report = readable.checks.compare(
    lambda p: (rnn.step(p["params"], p["x"], p["h_prev"])[0] * (dy + dh_next)).sum(),
    {"params": RNNParams(dWx, dWh, db), "x": dx, "h_prev": dh_prev},
    inputs,
)
print(report)
assert report.ok

# %% [markdown]
# ## Exercises
#
# 1. Write the two halves of the step yourself, and have every line of them judged: `minirnn learn start rnn_step`, then
#    `minirnn learn start rnn_step_backward`.
# 2. Replace tanh by the logistic sigmoid, σ(z) = 1/(1 + exp(-z)). Its slope can be written with h alone as well: how?
#    Compare with `rnn.step(params, x, h_prev, activation="sigmoid")`. How large can this slope be at most?
# 3. Leave dh_next out of R3, as if the state were not used again. Which of the gradients are still right when the step
#    is the last one of its sequence? And when it is not?
