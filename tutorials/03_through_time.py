# %% [markdown]
# # Through time
#
# Minutes: 15. Before: tutorial 01.
#
# A sequence is many steps with the same weights. Its backward pass is the loop of tutorial 01, run from the last step
# to the first, and that is all there is to "backpropagation through time". But three of its lines are easily got wrong.
# Afterwards you can
#
# - write the loop, and say for each of the three lines what becomes wrong without it;
# - say which loss speaks to which state, and draw it as a triangle;
# - cut the loop into windows, and measure what the cut costs.

# %%
import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from minirnn import equations
from minirnn.inspect.lessons import WIDE, keep
from minirnn.params import RNNParams, stack
from minirnn.readable import losses, network, rnn, truncated

T, B, D, H = 20, 3, 2, 8
rng = np.random.default_rng(1)
params = rnn.init(rng, D, H, dtype=np.float64)._replace(b=0.3 * rng.standard_normal(H))
xs, h0 = 0.7 * rng.standard_normal((T, B, D)), rng.standard_normal((B, H))
target = rng.uniform(-1, 1, (T, B, H))

# %% [markdown]
# ## The loop, there and back
#
# Forward, each step reads its input and the state of the step before. Drawn as a graph, the loop is a chain of T copies
# of one step: it is *unrolled*. The copies have different inputs and states, but the same Wx, Wh and b.
#
# Backward we walk along the chain from its end. These are the equations again; look at where the index is t and where
# it is t-1.

# %%
for equation in equations.select("R1-R4, P1-P5"):
    print(f"{equation.id:4} {equation.plain}")


# %%
def forward(params, xs, h0):
    h, hs = h0, []
    for x in xs:
        h = np.tanh(x @ params.Wx + h @ params.Wh + params.b)  # R1, R2
        hs.append(h)
    return np.stack(hs)


def backward(dys, xs, hs, h0, params, without=()):
    """The whole of it: eight lines. ``without`` leaves one of them out, on purpose."""
    dWx, dWh, db = (np.zeros_like(array) for array in params)
    dxs, dh_next = np.zeros_like(xs), np.zeros_like(h0)
    for t in reversed(range(len(xs))):
        h_prev = hs[t - 1] if t else h0
        upstream = 0 if "upstream" in without and t < len(xs) - 1 else dys[t]
        dh = upstream + dh_next  # R3: what this step's loss says, and what all later steps say
        dz = dh * (1 - hs[t] ** 2)  # R4
        if "sum" in without:
            dWx, dWh, db = 0 * dWx, 0 * dWh, 0 * db
        dWx += xs[t].T @ dz  # P3: += and not =
        dWh += h_prev.T @ dz  # P4
        db += dz.sum(axis=0)  # P5
        dxs[t] = dz @ params.Wx.T  # P2: every input is used once, so = and not +=
        dh_next = 0 * dh_next if "carry" in without else dz @ params.Wh.T  # P1
    return RNNParams(dWx, dWh, db), dxs, dh_next  # what is left over at the start is dh0


# %% [markdown]
# The loss compares every output with a target. `losses.mse` returns the loss and its gradient with respect to the
# outputs, dys, one row for each step: what each step's loss says about *its own* output, and nothing of what it says
# about earlier states. That is for the loop to find out.

# %%
hs = forward(params, xs, h0)
loss, dys = losses.mse(hs, target)
dparams, dxs, dh0 = backward(dys, xs, hs, h0, params)

ys, final, cache = rnn.forward(params, xs, h0)
NAMES = ("dWx", "dWh", "db", "dxs", "dh0")
library, library_dxs, library_dh0 = rnn.backward(dys, None, cache)
right = dict(zip(NAMES, (*library, library_dxs, library_dh0)))
for ours, library in zip((*dparams, dxs, dh0), right.values()):
    np.testing.assert_allclose(ours, library, rtol=1e-9, atol=1e-15)
print("eight lines agree with minirnn.readable.rnn")

# %% [markdown]
# ## Three lines that go wrong
#
# **Predict before you run:** for each of these, which of the five gradients become wrong?
#
# 1. *carry*: `dh_next` is never assigned, so each step hears its own loss only;
# 2. *upstream*: `dys[t]` is added at the last step only, as if all other losses were not there;
# 3. *sum*: `dWx = ...` where there should be `dWx += ...`.


# %%
def wrongness(without):
    parts = backward(dys, xs, hs, h0, params, without=(without,))
    return {
        name: np.linalg.norm(array - truth) / np.linalg.norm(truth)
        for (name, truth), array in zip(right.items(), (*parts[0], *parts[1:]))
    }


wrong = pd.DataFrame({name: wrongness(name) for name in ("carry", "upstream", "sum")}).T
print("relative error of each gradient, without ...")
print(wrong.map(lambda error: "right" if error < 1e-12 else f"{error:.0%}"))
assert (wrong.loc["carry"] > 0.01).all()
assert (wrong.loc["upstream"] > 0.01).all()
assert (wrong.loc["sum", ["dWx", "dWh", "db"]] > 0.01).all()
assert (wrong.loc["sum", ["dxs", "dh0"]] < 1e-12).all()

# %% [markdown]
# Only the third has a pattern of its own. The first two spoil everything, so the names of the wrong arrays say nothing;
# but the *time* of the error does. Both times dxs is right at the last step, where there is no later step to hear from
# and where its own loss was added, and wrong from the step before it on. A backward pass runs from the end to the
# start, so look for the last step that is wrong: the mistake is at work there first.

# %%
for mistake in ("carry", "upstream"):
    spoilt = backward(dys, xs, hs, h0, params, without=(mistake,))[1]
    per_step = np.linalg.norm(spoilt - dxs, axis=(1, 2)) / np.linalg.norm(dxs, axis=(1, 2))  # (T,)
    print(f"without {mistake:9} error of dxs at the last four steps:", per_step[-4:].round(2))
    assert per_step[-1] == 0
    assert (per_step[:-1] > 1e-3).all()

# %% [markdown]
# And dh0? It is what is left in `dh_next` when the loop has ended: the start is a state like any other, only that
# nobody computed it. A backward pass that throws it away cannot be continued by what came before: an encoder before a
# decoder, a learned initial state, the previous window of a longer sequence. If the sequence is split in two, the
# halves are put together by handing the second half's dh0 to the first as the gradient of *its* final state.

# %%
half = T // 2
_, middle, first_cache = rnn.forward(params, xs[:half], h0)
_, _, second_cache = rnn.forward(params, xs[half:], middle)
second, _, dmiddle = rnn.backward(dys[half:], None, second_cache)
first, _, dstart = rnn.backward(dys[:half], dmiddle, first_cache)
np.testing.assert_allclose(dstart, dh0, rtol=1e-9)
np.testing.assert_allclose(first.Wh + second.Wh, dparams.Wh, rtol=1e-9, atol=1e-15)

# %% [markdown]
# ## Which loss speaks to which state
#
# The loss is a sum of one L_t for each step, and a gradient is linear in it: dh_s is the sum of what each L_t says
# about h_s. Let us see the parts. One trick makes that a single backward pass: sequences in a batch do not know each
# other, so we put T copies of one sequence into the batch, and give copy t the loss of step t alone. The library's
# `gate_gradients` returns what `backward` computes on its way: the gradient of every intermediate at every step, here
# dh.

# %%
copies = np.repeat(xs[:, :1], T, axis=1)  # (T, T copies, D)
_, _, cache = rnn.forward(params, copies, np.repeat(h0[:1], T, axis=0))
one_loss_each = np.zeros((T, T, H))
for t in range(T):
    one_loss_each[t, t] = dys[t, 0]  # copy t hears of step t only
dh = rnn.gate_gradients(one_loss_each, None, cache).h  # (s, t, H): dL_t / dh_s

triangle = np.linalg.norm(dh, axis=2).T  # [t, s]
_, _, single = rnn.forward(params, xs[:, :1], h0[:1])
np.testing.assert_allclose(dh.sum(axis=1), rnn.gate_gradients(dys[:, :1], None, single).h[:, 0], rtol=1e-9)
assert (triangle[np.triu_indices(T, 1)] == 0).all()  # a loss says nothing about states after it
assert (triangle[np.tril_indices(T)] > 0).all()
print(f"L_{T - 1} about h_{T - 1}: {triangle[-1, -1]:.4f}; about h_0: {triangle[-1, 0]:.1e}")
assert triangle[-1, 0] < 0.1 * triangle[-1, -1]

# %% [markdown]
# The matrix is a triangle: L_t speaks to the states up to t, and about later ones its gradient is *exactly* zero,
# because they do not exist yet when it is computed. On the diagonal a loss speaks to its own state. To the left the
# voice has come through more steps, and here it grows faint, by a factor at each step. Tutorial 04 is about that
# factor.
#
# The loop never makes this triangle. It adds up the columns while it walks: `dh_next` holds what *all* later losses
# say. That is why backpropagation through time costs T steps and not T²/2.
#
# ## Cutting the loop
#
# The forward pass has to keep every state for the backward pass, so memory grows with T. For a text of a million
# letters that is out of the question. *Truncated* backpropagation walks through the sequence in windows: the state is
# handed on from window to window, its gradient is not handed back.


# %%
def in_windows(window):
    """||dL_t/dh_s||, if the backward pass of each window ends at the window's first step."""
    blocks, state = np.zeros((T, T)), h0[:1]
    for steps in truncated.windows(T, window):
        size = steps.stop - steps.start
        start = np.repeat(state, size, axis=0)
        ys, _, cache = rnn.forward(params, np.repeat(xs[steps, :1], size, axis=1), start)
        each = np.zeros_like(ys)
        for k in range(size):
            each[k, k] = dys[steps.start + k, 0]
        blocks[steps, steps] = np.linalg.norm(rnn.gate_gradients(each, None, cache).h, axis=2).T
        state = ys[-1, :1]  # the value is carried over
    return blocks


WINDOW = 5
blocks = in_windows(WINDOW)
t, s = np.indices((T, T))
same_window = t // WINDOW == s // WINDOW
np.testing.assert_allclose(blocks[same_window], triangle[same_window], rtol=1e-9)
assert (blocks[~same_window] == 0).all()
lost = 1 - (blocks > 0).sum() / (triangle > 0).sum()
print(f"windows of {WINDOW}: {lost:.0%} of the pairs (t, s) are lost")


# %%
def draw(data: pd.DataFrame) -> Figure:
    """Two triangles: the whole loop, and the loop in windows."""
    figure = Figure(figsize=(WIDE[0] * 0.88, 4.0), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    scale = LogNorm(vmin=max(data.whole[data.whole > 0].min(), 1e-6), vmax=data.whole.max())
    titles = {"whole": "the whole loop", "windows": f"in windows of {WINDOW}"}
    for axes, (column, title) in zip(panels, titles.items()):
        matrix = data[column].unstack("s").to_numpy()
        image = axes.imshow(np.ma.masked_equal(matrix, 0), norm=scale, cmap="viridis")
        axes.set_facecolor("#E8E8E8")
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xlabel("state $h_s$, step s")
        axes.set_xticks(range(0, T, 5))
        axes.set_yticks(range(0, T, 5))
        axes.spines[:].set_visible(False)
        where = "exactly zero:\n$h_s$ is later than $L_t$" if column == "whole" else "exactly zero"
        axes.text(T * 0.72, T * 0.22, where, ha="center", fontsize=9, color="#444444")
        if column == "windows":
            axes.text(T * 0.22, T * 0.78, "cut off", ha="center", fontsize=9, color="#444444")
    panels[0].set_ylabel("loss $L_t$, step t")
    bar = figure.colorbar(image, ax=panels, shrink=0.85)
    bar.set_label("$\\Vert dL_t / dh_s \\Vert$")
    return figure


data = pd.DataFrame(
    {"whole": triangle.ravel(), "windows": blocks.ravel()},
    index=pd.MultiIndex.from_arrays([t.ravel(), s.ravel()], names=["t", "s"]),
)
keep(draw(data), "03_through_time", data)

# %% [markdown]
# How wrong is the gradient of a weight then? The library cuts whole networks: `truncated.gradient` walks in windows,
# adds up their gradients and returns the final state, so that a longer sequence can go on. With one window of all T
# steps nothing is cut.

# %%
description = stack("rnn", H, read="steps")
weights = network.init(2, description, D, dtype=np.float64)
wanted = rng.standard_normal((T, B, 1))


def total(outputs, target):
    """A sum over the steps, so that windows of any length add up; a mean would weigh each window alike."""
    loss, doutputs = losses.mse(outputs, target)
    return loss * outputs.size, doutputs * outputs.size


outputs, _, network_cache = network.forward(description, weights, xs)
full = network.backward(total(outputs, wanted)[1], None, network_cache)[0].layers[0].weights.Wh
errors = {}
for window in (1, 2, 5, 10, T):
    _, dweights, _ = truncated.gradient(description, weights, xs, (wanted,), total, window)
    errors[window] = np.linalg.norm(dweights.layers[0].weights.Wh - full) / np.linalg.norm(full)
print("error of dWh by window:", {window: f"{error:.0%}" for window, error in errors.items()})
assert errors[T] < 1e-12
assert errors[1] > 0.2
assert list(errors.values()) == sorted(errors.values(), reverse=True)

# %% [markdown]
# A window of one step hears no later loss at all, as in the first mistake above. The error shrinks with longer windows,
# but it is not noise: what lies further back than a window is missing *every time*, so no number of updates makes up
# for it. A network trained this way can still use its state over any distance, but no loss ever *teaches* it to,
# further than a window.
#
# ## The products come last
#
# The library's loop does not add to dWh at every step. It keeps dz, and forms one product at the end, with the steps
# and the batch as one long axis: a sum over t and over the batch is what a matrix product does in its middle.

# %%
h_before = np.concatenate([h0[None], hs[:-1]])  # (T, B, H): what entered each step
kept = rnn.gate_gradients(dys, None, rnn.forward(params, xs, h0)[2]).h * (1 - hs**2)  # (T, B, H): dz at every step
dWh = h_before.reshape(T * B, H).T @ kept.reshape(T * B, H)
np.testing.assert_allclose(dWh, right["dWh"], rtol=1e-9, atol=1e-15)
print(f"({H}, {T * B}) @ ({T * B}, {H}) in place of {T} products")

# %% [markdown]
# ## Exercises
#
# 1. Write the loop yourself; the grader names the line that is wrong: `minirnn learn start rnn_backward`.
# 2. Cut it into windows without losing the value of the state: `minirnn learn start truncated_backward`.
# 3. Draw the triangle for `rnn.init(...)` with Wh multiplied by 0.5, and by 1.5. What happens to the left edge?
