# %% [markdown]
# # The LSTM, backward
#
# Minutes: 20. Before: tutorials 03 and 05; tutorial 02 for the complex step.
#
# Eleven lines, each of them short, and any of them easily wrong. We go through them with numbers, check every gate by
# itself, and then break the lines one by one, to see what a mistake looks like from outside. Afterwards you can
#
# - derive each line from the forward line that it belongs to;
# - say why the gradient of c has two parts, and what is lost without either;
# - find a mistake from the pattern of wrong numbers, and say when there is no pattern.

# %%
import inspect

import jax
import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from minirnn import equations, fast
from minirnn.inspect.lessons import keep
from minirnn.params import LSTM_GATES, LSTMGates, LSTMState, gate_block
from minirnn.readable import activations, engine, lstm
from minirnn.readable.checks import compare

jax.config.update("jax_enable_x64", True)  # 64-bit numbers, so that rounding does not hide mistakes
T, B, D, H = 6, 2, 3, 4
rng = np.random.default_rng(0)
params = lstm.init(rng, D, H, dtype=np.float64)
params = params._replace(b=params.b + rng.standard_normal(4 * H))  # no zero anywhere: zeros hide mistakes
x = rng.standard_normal((B, D))
state = LSTMState(h=rng.standard_normal((B, H)), c=rng.standard_normal((B, H)))

# %% [markdown]
# ## One step, from the end to the start
#
# Forward (left in mind from tutorial 05): four gates, c = f c' + i g, h = o tanh(c). Backward, what comes in is dy,
# from the loss, and dh⁺ and dc⁺, from the step after this one. The step hands back dh⁺ and dc⁺ for the step before it.

# %%
for equation in equations.select("L8-L18"):
    print(f"{equation.id:4} {equation.plain}")

# %% [markdown]
# Read them as answers to one question: *where has this number been used?*
#
# - h was used as the output and by the next step: two parts, added (L8).
# - o was used in h = o tanh(c), a product: it gets dh times the other factor (L9).
# - **c was used twice.** Once in h = o tanh(c), where the gradient comes through o and the slope of tanh. And once by
#   the next step, in its f c. Two paths arrive at c, and their gradients are added (L10). This is the line to remember.
# - i, g, f and c' were used in c = f c' + i g: each gets dc times what it was multiplied with (L11, L12, L13, L18).
# - The pre-activations sit behind a σ or a tanh; the slopes are f (1 - f) and 1 - g², written with the outputs (L14 to
#   L17).
#
# The library's source holds these lines, one for one:

# %%
source = inspect.getsource(lstm.update_backward)
print("\n".join(line[4:] for line in source.splitlines() if "# L" in line))

# %% [markdown]
# ## Two paths to c
#
# Since everything is linear in what comes in, we can send the parts through one by one: only dh⁺, then only dc⁺.
# **Predict before you run:** which of dz^i, dz^f, dz^g, dz^o become zero if only dc⁺ comes in?

# %%
dh, dc = rng.standard_normal((2, B, H))
zero = np.zeros((B, H))
_, _, cache = lstm.step(params, x, state)


def dz_of(dh, dc):
    """The gradient of the pre-activations, a block of (B, H) for each gate."""
    dz = lstm.update_backward(zero, LSTMState(dh, dc), cache.gates, cache.zh, state, {})[0]
    return dict(zip(LSTM_GATES, activations.blocks(dz, 4)))


from_h, from_c, from_both = dz_of(dh, zero), dz_of(zero, dc), dz_of(dh, dc)
for gate in LSTM_GATES:
    h_part, c_part = np.linalg.norm(from_h[gate]), np.linalg.norm(from_c[gate])
    print(f"dz^{gate}: from dh alone {h_part:.3f}, from dc alone {c_part:.3f}")
    np.testing.assert_allclose(from_h[gate] + from_c[gate], from_both[gate], atol=1e-14)
assert not from_c["o"].any()
assert all(from_c[gate].any() for gate in "ifg")

# %% [markdown]
# The output gate only decides what is shown *now*; nothing of c's future depends on it.
#
# Which of the two ways back in time is the wider one? To the older c leads one product with f. To the older h lead four
# blocks of Wh, each behind a slope of at most 1/4 or 1.

# %%
_, _, only_c = lstm.step_backward(zero, LSTMState(zero, dc), cache)
np.testing.assert_allclose(only_c.c, dc * cache.gates.f)  # L18

wider = []
for seed in range(50):  # fresh weights, random inputs and states
    draw_one = np.random.default_rng(100 + seed)
    weights = lstm.init(draw_one, D, 32, dtype=np.float64)
    before = LSTMState(*draw_one.standard_normal((2, B, 32)))
    _, _, one_step = lstm.step(weights, draw_one.standard_normal((B, D)), before)
    _, _, back = lstm.step_backward(np.ones((B, 32)), LSTMState(np.zeros((B, 32)), np.zeros((B, 32))), one_step)
    wider.append(np.linalg.norm(back.c) / np.linalg.norm(back.h))
print(f"||dc'|| / ||dh'|| for 50 fresh cells of 32 units: {min(wider):.1f} to {max(wider):.1f}")
assert np.mean(np.array(wider) > 1) > 0.9

# %% [markdown]
# ## Is it right? Three judges
#
# **The complex step** (tutorial 02), on everything that goes into a sequence of six steps, with a gradient on every
# output and on both parts of the final state:

# %%
inputs = {
    "params": params,
    "xs": rng.standard_normal((T, B, D)),
    "start": LSTMState(*rng.standard_normal((2, B, H))),
}
dys, dend = rng.standard_normal((T, B, H)), LSTMState(*rng.standard_normal((2, B, H)))


def loss(inputs):
    ys, end, _ = lstm.forward(inputs["params"], inputs["xs"], inputs["start"])
    return (ys * dys).sum() + (end.h * dend.h).sum() + (end.c * dend.c).sum()


_, _, sequence = lstm.forward(params, inputs["xs"], inputs["start"])


def gradients(cache):
    dparams, dxs, dstart = engine.backward(dys, dend, cache)
    return {"params": dparams, "xs": dxs, "start": dstart}


right = gradients(sequence)
report = compare(loss, right, inputs)
print(report)
assert report.ok

# %% [markdown]
# **JAX.** The other half of the library holds the same forward lines and no backward at all: JAX derives it. A person
# and a program, and the same numbers.


# %%
def fast_loss(inputs):
    ys, end = fast.lstm.forward(inputs["params"], inputs["xs"], inputs["start"])
    return (ys * dys).sum() + (end.h * dend.h).sum() + (end.c * dend.c).sum()


report = compare(fast_loss, right, inputs, judge=jax.grad(fast_loss))
print("JAX against by hand:", {name: f"{error:.0e}" for name, error in report.errors.items()})
assert report.ok

# %% [markdown]
# **Gate by gate.** If a whole gradient is wrong, one wants to know where it began. JAX can be asked for the gradient of
# every intermediate: add a nudge of zero to it, and differentiate with respect to the nudge. That is compared with
# `gate_gradients`, for every gate at every step.

# %%
nudges = LSTMGates(*np.zeros((len(LSTMGates._fields), T, B, H)))


def nudged_loss(nudges):
    ys, end = fast.engine.forward_nudged(fast.lstm.CELL, params, inputs["xs"], nudges, inputs["start"])
    return (ys * dys).sum() + (end.h * dend.h).sum() + (end.c * dend.c).sum()


by_jax = jax.jit(jax.grad(nudged_loss))(nudges)


def gate_errors(cache):
    """Relative error of the gradient of each gate (rows) at each step (columns)."""
    ours = engine.gate_gradients(dys, dend, cache)
    errors = {
        f"d{name}": np.linalg.norm(getattr(ours, name) - getattr(by_jax, name), axis=(1, 2))
        / np.linalg.norm(getattr(by_jax, name), axis=(1, 2))
        for name in LSTMGates._fields
    }
    return pd.DataFrame(errors, index=pd.RangeIndex(T, name="t")).T


errors = gate_errors(sequence)
print(f"largest error of any gate at any step: {errors.to_numpy().max():.0e}")
assert errors.to_numpy().max() < 1e-12

# %% [markdown]
# ## Break it on purpose
#
# Now we take the library's source, change one place in it, and run the result as a cell of its own. Each of these ten
# is easily made: a term that is forgotten, a wrong factor, a slope left out.

# %%
MISTAKES = {
    "L8 without dh⁺": ("dh = dy + dstate.h", "dh = dy"),
    "L9 c for tanh(c)": ("do = dh * tanh_c", "do = dh * c"),
    "L10 without dc⁺": ("dc = dstate.c + dtanh_c * (1 - tanh_c**2)", "dc = dtanh_c * (1 - tanh_c**2)"),
    "L10 without h's path": ("dc = dstate.c + dtanh_c * (1 - tanh_c**2)", "dc = dstate.c"),
    "L10 without tanh'": ("dtanh_c * (1 - tanh_c**2)", "dtanh_c"),
    "L12 c for c'": ("df = dc * state.c", "df = dc * c"),
    "L14 without σ'": ("di * i * (1 - i)", "di"),
    "L16 σ' for tanh'": ("dg * (1 - g**2)", "dg * g * (1 - g)"),
    "L17 without σ'": ("do * o * (1 - o)", "do"),
    "L18 without f": ("dc_prev = dc * f", "dc_prev = dc"),
}


def broken(right_text, wrong_text):
    """The library's LSTM with one place of its backward step changed."""
    assert source.count(right_text) == 1, right_text
    names = dict(vars(lstm))
    exec(source.replace(right_text, wrong_text), names)
    return lstm.CELL._replace(update_backward=names["update_backward"])


def named(dparams, dx, dstate):
    """Every output of a backward pass by name; the weights' gradients gate by gate."""
    parts = {f"db^{gate}": dparams.b[gate_block(gate, LSTM_GATES, H)] for gate in LSTM_GATES}
    return parts | {"dWx": dparams.Wx, "dWh": dparams.Wh, "dx": dx, "dh'": dstate.h, "dc'": dstate.c}


def table(run):
    """Relative error of each output (columns) under each mistake (rows)."""
    truth = named(*run(lstm.CELL))
    rows = {}
    for name, texts in MISTAKES.items():
        wrong = named(*run(broken(*texts)))
        rows[name] = {part: np.linalg.norm(wrong[part] - truth[part]) / np.linalg.norm(truth[part]) for part in truth}
    return pd.DataFrame(rows).T


# %% [markdown]
# First one step, then the sequence of six. The table says which outputs are wrong by more than 1e-9.

# %%
dy = rng.standard_normal((B, H))
step_errors = table(lambda cell: engine.step_backward(dy, LSTMState(dh, dc), cache._replace(cell=cell)))
sequence_errors = table(lambda cell: engine.backward(dys, dend, sequence._replace(cell=cell)))


def patterns(errors):
    return (errors > 1e-9).apply(lambda row: " ".join(row.index[row]), axis=1)


print("one step: wrong are")
print(patterns(step_errors).to_string())
spoilt = (sequence_errors > 1e-9).mean().mean()
print(f"\nin the sequence {spoilt:.0%} of all outputs are wrong; different patterns: ", end="")
print(f"{patterns(sequence_errors).nunique()} of {len(MISTAKES)} (in one step {patterns(step_errors).nunique()})")

# The mistakes of one gate show in one step at that gate's bias alone, ...
for gate, mistake in (
    ("o", "L9 c for tanh(c)"),
    ("f", "L12 c for c'"),
    ("i", "L14 without σ'"),
    ("g", "L16 σ' for tanh'"),
):
    wrong = step_errors.loc[mistake] > 1e-9
    assert [name for name in wrong.index[wrong] if name.startswith("db")] == [f"db^{gate}"]
    assert not wrong["dc'"]
    # ... and in the sequence everywhere, because the wrong dh' goes on to the steps before.
    assert (sequence_errors.loc[mistake] > 1e-9).all()
assert list(step_errors.columns[step_errors.loc["L18 without f"] > 1e-9]) == ["dc'"]
assert (step_errors.loc["L10 without dc⁺", ["db^i", "db^f", "db^g", "dc'"]] > 1e-9).all()
assert step_errors.loc["L10 without dc⁺", "db^o"] < 1e-12
assert patterns(sequence_errors).nunique() == 1

# %% [markdown]
# In one step a mistake has a face: a wrong L9 shows at db^o, a wrong L12 at db^f, L18 at dc' and nowhere else. In a
# sequence it has none: through dh' and dc' the error comes to every step before, and from there into everything. A test
# that says "dWx, dWh, db, dx and dh0 are wrong" has said nothing. Three ways out:
#
# 1. Check the step before the sequence.
# 2. Look at the last step of the sequence, where nothing has come back yet.
# 3. Look at the *size* of the errors, and not only at whether there is one.
#
# The second: what comes into the last step is right, for no wrong line has touched it yet. So a gradient that is wrong
# there has the broken line, or is computed from one that has. If all of them are right there, and wrong one step
# earlier, then the mistake lies behind them, in L14 to L18.

# %%
at_the_end = {}
for name in ("L10 without dc⁺", "L12 c for c'", "L18 without f"):
    wrong = gate_errors(sequence._replace(cell=broken(*MISTAKES[name]))) > 1e-9
    at_the_end[name] = list(wrong.index[wrong[T - 1]])
    print(
        f"{name}: wrong at the last step:",
        at_the_end[name],
        " one step before:",
        list(wrong.index[wrong[T - 2]]),
    )
    assert wrong[T - 2].sum() > 1
assert set(at_the_end["L10 without dc⁺"]) == {"dc", "di", "df", "dg"}  # dc, and what is computed from it
assert at_the_end["L12 c for c'"] == ["df"]
assert at_the_end["L18 without f"] == []

# %% [markdown]
# ## A mistake that trains
#
# How bad is it? A gradient that points roughly the right way goes down as well, only worse. The cosine between the
# wrong gradient of all weights and the right one, for the ten mistakes:


# %%
def cosine(cell):
    wrong, truth = (
        np.concatenate([np.ravel(array) for array in gradients(sequence._replace(cell=c))["params"]])
        for c in (cell, lstm.CELL)
    )
    return wrong @ truth / np.linalg.norm(wrong) / np.linalg.norm(truth)


cosines = pd.Series({name: cosine(broken(*texts)) for name, texts in MISTAKES.items()}, name="cosine")
print(cosines.round(2).to_string())
assert (cosines > 0).mean() >= 0.8
assert (cosines > 0.9).sum() >= 5
assert (cosines < 0.9999).all()

# %% [markdown]
# Half of them point almost the right way, and nearly all go downhill. A loss that falls is no evidence that a gradient
# is right.


# %%
def draw(step_errors: pd.DataFrame, sequence_errors: pd.DataFrame) -> Figure:
    """Relative errors, mistakes by outputs: one step above, the sequence below."""
    figure = Figure(figsize=(6.4, 7.0), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    scale = LogNorm(1e-2, 10)
    for axes, errors, title in zip(panels, (step_errors, sequence_errors), ("one step", f"a sequence of {T} steps")):
        values = errors.to_numpy()
        image = axes.imshow(np.ma.masked_less(values, 1e-9), norm=scale, cmap="YlOrBr", aspect="auto")
        axes.set_facecolor("#F4F4F4")
        for row, column in np.ndindex(values.shape):
            value = values[row, column]
            if value > 1e-9:
                text = f"{value:.2f}" if value < 10 else f"{value:.0f}"
                colour = "white" if value > 1.2 else "black"
            else:
                text, colour = "·", "#777777"
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
        labels = [f"$d{n[1]}^{n[3]}$" if "^" in n else n for n in errors.columns]
        axes.set_xticks(range(len(labels)), labels, fontsize=9)
        axes.set_yticks(range(len(errors)), errors.index, fontsize=9)
        axes.set_title(title, loc="left", fontsize=11)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
    bar = figure.colorbar(image, ax=panels, location="bottom", shrink=0.6, aspect=40)
    bar.set_label("relative error; a dot: right", fontsize=9)
    return figure


data = pd.concat({"step": step_errors, "sequence": sequence_errors}, axis=1).map(lambda e: 0.0 if e < 1e-9 else e)
data.columns = [f"{where}: {part}" for where, part in data.columns]
keep(draw(step_errors, sequence_errors), "06_lstm_backward", data.rename_axis("mistake"))

# %% [markdown]
# Each row of numbers is different, in the sequence as well. The pattern of right and wrong does not tell the mistakes
# apart in a sequence, but the *values* do: whoever computes what each mistake would give can recognise it. That is how
# the grader of the exercises finds out which term is wrong.

# %%
rows = sequence_errors.to_numpy()
apart = min(
    np.linalg.norm(rows[i] - rows[k]) / max(np.linalg.norm(rows[i]), np.linalg.norm(rows[k]))
    for i in range(len(rows))
    for k in range(i)
)
print(f"the two most similar mistakes still differ by {apart:.0%}")
assert apart > 0.01

# %% [markdown]
# ## Exercises
#
# 1. Write the step, then the sequence, and let the grader name the term: `minirnn learn start lstm_step_backward`, then
#    `minirnn learn start lstm_backward`.
# 2. Read a broken backward pass and find the line: `minirnn learn start broken_lstm`.
# 3. Couple the gates, i = 1 - f, and derive the gradient of f anew. The library has no such cell, so nobody can look it
#    up: `minirnn learn start coupled_gates`.
