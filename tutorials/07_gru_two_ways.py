# %% [markdown]
# # The GRU, two ways
#
# Minutes: 20. Before: the chain rule, one step of an LSTM or RNN backward, what a gradient check is.
#
# There are two cells called GRU, and two meanings of its gate z. Weights of one run in the other without any error
# message, and give other numbers. Afterwards you can tell the two apart by their equations, derive the backward pass of
# both, find a wrong term that a fresh network hides, and carry weights between libraries without a guess.

# %%
import jax
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from minirnn import convert, equations, fast, readable
from minirnn.inspect.lessons import CELL_COLOURS, OTHER_COLOURS, RIGHT, SMALL, WRONG, keep, tidy
from minirnn.params import GRU_GATES, GRUParams, GRUResetBeforeParams, gate_block
from minirnn.readable import checks, engine, gru, gru_reset_before

jax.config.update("jax_enable_x64", True)  # 64-bit numbers, so that rounding does not hide mistakes
rng = np.random.default_rng(7)
T, B, D, H = 40, 3, 4, 6
reset, update, candidate = (gate_block(name, GRU_GATES, H) for name in "rzn")  # columns of Wx, Wh and b


def show(span):
    """Prints equations of the library."""
    for equation in equations.select(span):
        print(f"{equation.id:4} {equation.plain}")


def distance(a, b):
    """Relative distance of two arrays, norm-wise."""
    return np.linalg.norm(a - b) / np.linalg.norm(b)


# %% [markdown]
# ## Where the reset gate stands
#
# Both cells open with the same two gates, r and z, and end in the same mixture. They differ in one place: what r
# multiplies. Reset *after* the product (G): first `h Wh`, then times r. Reset *before* (B): first `r h`, then times Wh.

# %%
print("reset after the product")
show("G1-G5")
print("reset before the product")
show("B1-B6")

# %% [markdown]
# In both, `z` says how much of the *new* candidate enters: z = 0 keeps the old state, z = 1 replaces it. r says how
# much of the old state the candidate may see.
#
# The second bias, `b_hn`, exists only in the first cell. It stands inside the bracket that r multiplies, so it can't be
# merged with the bias of the input part. In the second cell a bias beside `u Wh` would stand outside of r and do what b
# does already.
#
# **Predict before you run:** we give both cells the same Wx, Wh and b, and `b_hn = 0`. For which Wh do they agree on
# every input?


# %%
def fresh(scale=1.0):
    """Weights of both cells, the same numbers, with biases that are not zero."""
    before = gru_reset_before.init(rng, D, H, np.float64)
    before = GRUResetBeforeParams(before.Wx, scale * before.Wh, 0.5 * rng.standard_normal(3 * H))
    return GRUParams(*before, b_hn=np.zeros(H)), before


xs = rng.standard_normal((T, B, D))
h0 = rng.standard_normal((B, H))
after, before = fresh()
ys_after, ys_before = gru.forward(after, xs, h0)[0], gru_reset_before.forward(before, xs, h0)[0]
print(f"orthogonal Wh: relative difference after one step {distance(ys_after[0], ys_before[0]):.2f}")
assert distance(ys_after[0], ys_before[0]) > 0.02

# (r h) Wh = r (h Wh) for every r and h, if and only if the candidate's block of Wh is diagonal.
diagonal = after.Wh.copy()
diagonal[:, candidate] = np.diag(rng.standard_normal(H))
same = distance(
    gru.forward(after._replace(Wh=diagonal), xs, h0)[0],
    gru_reset_before.forward(before._replace(Wh=diagonal), xs, h0)[0],
)
print(f"diagonal Wh_n: relative difference over {T} steps {same:.0e}")
assert same < 1e-12

# %% [markdown]
# So they agree for diagonal Wh_n, and (less useful) where all units have the same r, such as 1. Neither cell is the
# wrong one. The first lets all of `h Wh` be one product, which is what cuDNN, PyTorch and Keras by default compute; the
# second has to wait for r before its last product can begin.
#
# ## Backward: both sides of (1 - z)
#
# In G5 the gate z occurs twice: once in front of n and once, with a minus, in front of h'. Its gradient therefore has
# two parts, and so has that of the state: h' goes straight into h, *and* into every gate.

# %%
show("G6-G15")

# %% [markdown]
# We break this on purpose. The library's `update_backward` is one function, so a mistake is a changed argument:
#
# - the state occurs in G7 only, so handing in zeros drops the side of `(1 - z) h'`;
# - `zh` and `b_hn` occur in G11 only, so zeros for both drop the whole path through r;
# - `b_hn` alone, set to zero there, is the small slip of forgetting it in G11.
#
# The judge is the complex step (tutorial 02: it subtracts nothing, so right means right to fifteen digits).


# %%
def no_state_side(dy, dstate, gates, zh, state, extra):
    return gru.update_backward(dy, dstate, gates, zh, 0 * state, extra)


def no_reset_path(dy, dstate, gates, zh, state, extra):
    return gru.update_backward(dy, dstate, gates, 0 * zh, state, {"b_hn": 0 * extra["b_hn"]})


def no_hidden_bias(dy, dstate, gates, zh, state, extra):
    return gru.update_backward(dy, dstate, gates, zh, state, {"b_hn": 0 * extra["b_hn"]})


def judged(params, update_backward, cell=gru.CELL, steps=5):
    """The report on the gradients of a random loss over some steps, with this backward."""
    cell = cell._replace(update_backward=update_backward)
    draw = np.random.default_rng(1)
    inputs = {"params": params, "xs": xs[:steps], "h0": h0}
    dys = draw.standard_normal((steps, B, H))  # a gradient on every output, not only on the last

    def loss(inputs):
        return (engine.forward(cell, inputs["params"], inputs["xs"], inputs["h0"])[0] * dys).sum()

    cache = engine.forward(cell, params, xs[:steps], h0)[2]
    dparams, dxs, dh0 = engine.backward(dys, None, cache)
    return checks.compare(loss, {"params": dparams, "xs": dxs, "h0": dh0}, inputs)


full = after._replace(b_hn=rng.standard_normal(H))
for name, backward in {
    "as it is": gru.update_backward,
    "G7 without - h'": no_state_side,
    "no path through r": no_reset_path,
}.items():
    report = judged(full, backward)
    wrong = ", ".join(f"d{array.removeprefix('params.')} {report.errors[array]:.1g}" for array in report.wrong)
    print(f"{name:18} {wrong or 'all right'}")
    assert report.ok == (backward is gru.update_backward)

# %% [markdown]
# Even `db_hn` is wrong, although neither slip touches G14: an error in a gate of step t travels into dh of step t-1,
# and from there into everything. Which arrays are wrong hardly ever tells *where* the slip is; their values do.
#
# ## A bias hidden by zero
#
# Now the small slip, `dr = dzx_n zh_n` without `b_hn`. A fresh GRU has `b_hn = 0`. **Predict before you run:** what
# does the check say of a fresh network?

# %%
hidden, seen = judged(after, no_hidden_bias), judged(full, no_hidden_bias)
print("b_hn = 0:     ", "all right" if hidden.ok else hidden.first_wrong)
print("b_hn random:  ", ", ".join(name.removeprefix("params.") for name in seen.wrong), "wrong")
assert hidden.ok
assert not seen.ok

# %% [markdown]
# A check at zero is blind for every term that is multiplied by zero. Biases, initial states and the gradient of the
# final state are the usual hiding places: draw all of them at random before you believe a check.
#
# ## The path through r, in the other cell
#
# When r comes before the product, the gradient has to walk back through Wh_n before it meets r (B11), and then splits:
# times h' it is the gradient of r (B12), times r it belongs to h' itself (the middle of B15).

# %%
show("B10-B15")
assert judged(before, gru_reset_before.update_backward, gru_reset_before.CELL).ok


def without_r(dy, dstate, gates, zh, state, extra, second_backward):
    """B15 with du instead of du r: as if h' entered the candidate without its gate."""
    *first, dh_prev, dextra, dgates = gru_reset_before.update_backward(
        dy, dstate, gates, zh, state, extra, second_backward
    )
    du = second_backward(first[0][:, candidate])  # B11
    return *first, dh_prev + du * (1 - gates.r), dextra, dgates


report = judged(before, without_r, gru_reset_before.CELL)
print("du instead of du r:", ", ".join(name.removeprefix("params.") for name in report.wrong), "wrong")
assert "h0" in report.wrong
one_step = judged(before, without_r, gru_reset_before.CELL, steps=1)
print("the same, over one step:", ", ".join(name.removeprefix("params.") for name in one_step.wrong), "wrong")
assert one_step.wrong == ["h0"]  # every weight is right: a check of weights over one step sees nothing

# %% [markdown]
# ## The other z
#
# Cho et al. (2014), PyTorch, Keras and flax write `h = z h' + (1 - z) n`: there z says how much is *kept*. The two
# meanings are exchanged exactly by one identity, σ(-a) = 1 - σ(a): negate the columns of z in Wx, Wh and b, and their
# gate is one minus ours.

# %%
a = np.linspace(-30, 30, 601)
assert np.abs(readable.activations.sigmoid(-a) - (1 - readable.activations.sigmoid(a))).max() < 1e-15

theirs = convert.to_torch((full,))
for name in ("weight_ih_l0", "bias_hh_l0"):
    print(f"{name:13} {theirs[name].shape}")
print("blocks, in order: ", convert.BLOCKS["torch"]["gru"])
np.testing.assert_array_equal(theirs["weight_ih_l0"][update].T, -full.Wx[:, update])
(back,) = convert.from_torch(theirs, "gru")
for ours, returned in zip(full, back):
    np.testing.assert_array_equal(ours, returned)  # there and back: bit for bit

# %% [markdown]
# Does the other library's formula give our numbers on these arrays? Here it is, naively, in that library's layout:
# columns instead of rows, two biases, the other z.


# %%
def other_gru(arrays, xs, h, mix=lambda z, h, n: z * h + (1 - z) * n):
    """Outputs (T, B, H) of a GRU from arrays laid out as PyTorch's. ``mix`` is what z means."""
    Wi, Wr, bi, br = (arrays[f"{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    sigmoid, ys = readable.activations.sigmoid, []
    for x in xs:
        (ir, iz, i_n), (hr, hz, hn) = np.split(x @ Wi.T + bi, 3, axis=1), np.split(h @ Wr.T + br, 3, axis=1)
        r, z = sigmoid(ir + hr), sigmoid(iz + hz)
        h = mix(z, h, np.tanh(i_n + r * hn))
        ys.append(h)
    return np.stack(ys)


ys = gru.forward(full, xs, h0)[0]
print(f"their formula, weights converted: relative difference {distance(other_gru(theirs, xs, h0), ys):.0e}")
assert distance(other_gru(theirs, xs, h0), ys) < 1e-12

# %% [markdown]
# ## What the usual mistakes cost
#
# Four ways of reading the same weights wrongly, all of which run without a complaint: z not negated; Keras's order z,
# r, n taken for r, z, n; the candidate's two biases merged into one, as one may do with all others; and the other kind
# of GRU. We follow the relative difference of h over time.

# %%
merged = full.b.copy()
merged[candidate] += full.b_hn
swapped = np.r_[H : 2 * H, :H, 2 * H : 3 * H]  # z r n read as r z n
readings = {
    "z not negated": other_gru(theirs, xs, h0, mix=lambda z, h, n: (1 - z) * h + z * n),
    "r and z swapped": gru.forward(
        full._replace(Wx=full.Wx[:, swapped], Wh=full.Wh[:, swapped], b=full.b[swapped]), xs, h0
    )[0],
    "reset before, not after": gru_reset_before.forward(GRUResetBeforeParams(full.Wx, full.Wh, merged), xs, h0)[0],
    "b_hn merged into b": gru.forward(full._replace(b=merged, b_hn=np.zeros(H)), xs, h0)[0],
    "JAX half, float64": np.asarray(fast.gru.forward(full, xs, h0)[0]),
    "converted there and back": gru.forward(back, xs, h0)[0],
    "their formula, converted": other_gru(theirs, xs, h0),
}
data = pd.DataFrame(
    {name: [distance(y[t], ys[t]) for t in range(T)] for name, y in readings.items()},
    index=pd.RangeIndex(1, T + 1, name="t"),
)
print(data.iloc[[0, -1]].T.to_string(float_format=lambda value: f"{value:.1e}"))
wrong = list(readings)[:4]
assert (data[wrong].iloc[-1] > 0.05).all()  # every mistake stays visible
assert (data.drop(columns=wrong) < 1e-12).all().all()
assert (data["converted there and back"] == 0).all()
assert all(np.abs(readings[name][10:]).max() < 1 for name in wrong)


def figure_of(data, wrong):
    """Relative difference of h over time: the mistakes above, what is right up to rounding below."""
    figure = Figure(figsize=(SMALL[0], 4.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.5))
    colours = (WRONG, OTHER_COLOURS[1], CELL_COLOURS["gru_reset_before"], OTHER_COLOURS[0])
    for name, colour in zip(wrong, colours):
        above.plot(data.index, data[name], color=colour, lw=1.8, label=name)
    above.set(ylabel="relative difference of h", ylim=(0, 1.9), title="The same GRU weights, read wrongly ...")
    above.legend(loc="upper right", ncols=2, fontsize=9, frameon=False)
    right = [name for name in data if name not in wrong and (data[name] > 0).any()]  # 0 has no place on a log axis
    for name, colour, style in zip(right, (CELL_COLOURS["gru"], RIGHT), ("-", "--")):
        below.semilogy(data.index, data[name], style, color=colour, lw=1.8, label=name)
    below.set(xlabel="step t", ylabel="the same,\nlog scale", xlim=(1, len(data)), ylim=(1e-17, 1e-13))
    below.set_title("... and rightly: nothing but rounding")
    below.legend(loc="upper right", ncols=2, fontsize=9, frameon=False)
    tidy(above, below)
    return figure


keep(figure_of(data, wrong), "07_gru_two_ways", data)

# %% [markdown]
# The wrong readings don't explode and don't look broken: once the random start is forgotten, every h lies between -1
# and 1, as it should. A network that was loaded like this is merely worse. So compare numbers, not losses, after a
# conversion.
#
# ## Exercises
#
# 1. `minirnn learn start gru_step_backward` and `minirnn learn start gru_reset_before_step_backward`: both backward
#    passes, graded term by term.
# 2. `minirnn learn start broken_gru`: a wrong backward and its gradient check; which term is it?
# 3. Gradients convert too: `convert.from_torch(gradients, "gru", gradients=True)`. Why must the gradient of two merged
#    biases not be their sum? The head of `minirnn/convert/__init__.py` has the answer.
