# %% [markdown]
# # The LSTM, forward
#
# Minutes: 15. Before: tutorial 01; tutorial 04 for the reason why.
#
# An LSTM is a memory cell with three doors. We wire one by hand so that it remembers a bit, then train one on the same
# task and look at what it has found. Afterwards you can
#
# - say what each of the four gates does, and set it by its bias;
# - read the gates of a trained cell over time;
# - say when the famous forget bias matters, and when it does not.

# %%
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
from matplotlib.figure import Figure

from minirnn import equations, fast
from minirnn.fast import network
from minirnn.inspect.lessons import GATE_COLOURS, keep, quick, tidy
from minirnn.params import LSTM_GATES, LSTMParams, LSTMState, gate_block, stack
from minirnn.readable import lstm

# %% [markdown]
# ## Seven equations
#
# Four gates are computed from the input and the state h, all in the same way. They lie side by side in one array, in
# the order i, f, g, o: the columns of Wx, Wh and b are four blocks of H. Three of them pass a σ and lie between 0 and
# 1: these are the doors. The fourth, g, passes a tanh: it is the candidate, what might be written.

# %%
for equation in equations.select("L1-L7"):
    print(f"{equation.id:4} {equation.plain}")

# %% [markdown]
# L6 is the heart. The old memory c is multiplied by the forget gate f, and the candidate g, times the input gate i, is
# *added*. With f = 1 and i = 0 the memory stays as it is, for ever; with f = 0 and i = 1 it is replaced. (So f should
# be called the keep gate: at 1 nothing is forgotten.) L7 decides what the world may see of it.
#
# A bias of ±20 shuts or opens a door whatever the input says. Two settings, by the library's own step:

# %%
B, D, H = 2, 3, 4
rng = np.random.default_rng(0)
x = rng.standard_normal((B, D))
state = LSTMState(h=rng.standard_normal((B, H)), c=rng.standard_normal((B, H)))


def with_doors(**biases):
    params = lstm.init(0, D, H, dtype=np.float64)
    for gate, value in biases.items():
        params.b[gate_block(gate, LSTM_GATES, H)] = value
    return params


_, kept, _ = lstm.step(with_doors(f=20, i=-20), x, state)
np.testing.assert_allclose(kept.c, state.c, atol=1e-7)
_, replaced, cache = lstm.step(with_doors(f=-20, i=20), x, state)
np.testing.assert_allclose(replaced.c, cache.gates.g, atol=1e-7)
_, hidden_away, _ = lstm.step(with_doors(o=-20), x, state)
assert np.abs(hidden_away.h).max() < 1e-7
print("f open, i shut: c stays;  f shut, i open: c becomes g;  o shut: h is zero")

# %% [markdown]
# ## A task: the latch
#
# At every step comes a value, +1 or -1. At some steps there is also a mark. The output at every step is the value that
# was marked last: all the others have to be ignored.

# %%
T = 50


def draw(key, count, often=True):
    """Count sequences -> xs (T, count, 2) with the columns mark and value, target (T, count, 1): 1 for +1, 0 for -1.

    The first step is always marked; if not ``often``, it is the only one.
    """
    for_marks, for_values = jax.random.split(key)
    marks = (jax.random.bernoulli(for_marks, 0.1, (T, count)) & often).at[0].set(True)
    values = jnp.where(jax.random.bernoulli(for_values, 0.5, (T, count)), 1.0, -1.0)
    t = jnp.arange(T)[:, None]
    last = jax.lax.cummax(jnp.where(marks, t, 0), axis=0)  # the step of the last mark
    target = jnp.take_along_axis(values, last, axis=0)
    return jnp.stack([marks.astype(jnp.float32), values], axis=-1), (target[..., None] > 0).astype(jnp.float32)


# %% [markdown]
# ## Wired by hand
#
# One unit is enough. Where there is a mark, i should open and f should shut; elsewhere the other way round. The mark is
# 0 or 1, so a weight of 20 and a bias of -10 make a door that opens with it. g should follow the value; o may stay
# open; and Wh is not needed at all.

# %%
#                   i    f    g   o
wired = LSTMParams(
    Wx=np.array([[20, -20.0, 0, 0], [0, 0, 5.0, 0]]),  # rows: mark, value
    Wh=np.zeros((1, 4)),
    b=np.array([-10, 10.0, 0, 10]),
)
unseen_xs, unseen_target = (np.asarray(array, np.float64) for array in draw(jax.random.key(99), 500))
ys, _, _ = lstm.forward(wired, unseen_xs)
print(f"wired by hand: {((ys > 0) == (unseen_target > 0)).mean():.2%} of all steps right")
assert ((ys > 0) == (unseen_target > 0)).all()

# %% [markdown]
# ## Trained
#
# Now one unit with fresh weights, and a dense layer that reads h. Five hundred batches of 64 sequences, Adam, gradients
# clipped; a compiled scan. **Predict before you run:** will it find the solution that we have wired? Which of the
# four gates could it use differently?


# %%
def accuracy_of(description, params, xs, target):
    outputs, _ = network.forward(description, params, xs)
    return ((outputs > 0) == (target > 0)).mean()


def trainer(description, rate):
    """A function from fresh weights and keys to trained weights and losses, to be vmapped.

    If ``often`` is False, there is one mark, and the loss speaks at the last step only.
    """
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))

    def loss_of(params, xs, target, weight):
        return fast.losses.binary_cross_entropy(network.forward(description, params, xs)[0], target, weight)

    def one_batch(carry, key, often):
        params, state = carry
        xs, target = draw(key, 64, often)
        weight = jnp.broadcast_to((jnp.arange(T) == T - 1)[:, None, None] | often, target.shape)
        loss, dparams = jax.value_and_grad(loss_of)(params, xs, target, weight.astype(xs.dtype))
        updates, state = optimizer.update(dparams, state, params)
        return (optax.apply_updates(params, updates), state), loss

    def train(params, keys, often):
        each = functools.partial(one_batch, often=often)
        (params, _), losses = jax.lax.scan(each, (params, optimizer.init(params)), keys)
        return params, losses

    return train


ONE_UNIT, SEEDS = stack("lstm", hidden_size=1, read="steps"), range(4)
fresh = jax.tree.map(lambda *arrays: jnp.stack(arrays), *(network.init(s, ONE_UNIT, input_size=2) for s in SEEDS))
train = jax.jit(jax.vmap(trainer(ONE_UNIT, 3e-2), (0, None, None)))
trained, losses = train(fresh, jax.random.split(jax.random.key(1), 500), True)  # four seeds at once
accuracy = jax.vmap(accuracy_of, (None, 0, None, None))(ONE_UNIT, trained, unseen_xs, unseen_target)
print(f"loss {losses[0, 0]:.2f} at first; at last", losses[:, -20:].mean(axis=1).round(3))
print("share of all unseen steps that are right:", accuracy.round(4))
assert (accuracy > 0.98).all()

# %% [markdown]
# All four solve it. The readable half takes the trained weights as they are, and returns every gate at every step. Here
# are their means, at the steps with a mark and at the others; and, in the last column, what i g writes at the others,
# counted in the direction of the memory that is there: above zero it makes the memory stronger.

# %%
marked = unseen_xs[..., :1] > 0


def gates_of(seed):
    weights = LSTMParams(*(np.asarray(array[seed], np.float64) for array in trained.layers[0].weights))
    return weights, lstm.gates(weights, unseen_xs)  # each (T, B, 1)


rows = []
for seed in SEEDS:
    _, seen = gates_of(seed)
    before = np.concatenate([np.zeros_like(seen.c[:1]), seen.c[:-1]])  # c_{t-1}
    written = (seen.i * seen.g * np.sign(before))[~marked].mean()
    f, i = ((gate[marked].mean(), gate[~marked].mean()) for gate in (seen.f, seen.i))
    rows.append([*f, *i, written])
columns = ["f, marked", "f, others", "i, marked", "i, others", "written, others"]
means = pd.DataFrame(rows, columns=columns, index=pd.Index(SEEDS, name="seed"))
print(means.round(2))
assert (means["f, marked"] < 0.3).all()
assert (means["f, others"] > 0.6).all()
assert (means["i, others"] > 0.2).sum() >= 3
assert (means["written, others"] > 0.1).sum() >= 3

# %% [markdown]
# The forget gate does what we have wired, with every seed: keep, and drop the old at a mark. The *input gate does not*.
# It stays half open between the marks, and yet the memory is not spoilt. How?
#
# With f = 0.95 a third of the memory would be left after twenty steps. Our wiring had f = 1, which takes a large bias;
# a trained cell finds another way. Its Wh is not zero: the candidate g reads h, and so the sign of what is remembered,
# and writes it again. It does not keep the letter, it copies it out before it fades. Without Wh the same weights are
# worse:

# %%
for seed in SEEDS:
    weights, _ = gates_of(seed)
    head = [np.asarray(array[seed], np.float64) for array in trained.head]
    right = []
    for Wh in (weights.Wh, 0 * weights.Wh):
        ys, _, _ = lstm.forward(weights._replace(Wh=Wh), unseen_xs)
        right.append((((ys @ head[0] + head[1]) > 0) == (unseen_target > 0)).mean())
    print(f"seed {seed}: {right[0]:.1%} right, {right[1]:.1%} without Wh")
    means.loc[seed, "loss without Wh"] = right[0] - right[1]
assert (means["loss without Wh"] > 0.05).sum() >= 3

# %% [markdown]
# And what is written is chosen: the door opens further where the candidate agrees with the memory than where it does
# not.

# %%
_, seen = gates_of(0)
before = np.concatenate([np.zeros_like(seen.c[:1]), seen.c[:-1]])
agrees = np.sign(seen.g) == np.sign(before)
written = {
    name: np.abs(seen.i * seen.g)[~marked & which].mean() for name, which in (("agrees", agrees), ("not", ~agrees))
}
print("seed 0, |i g| where the candidate", {name: round(float(value), 2) for name, value in written.items()})
assert written["agrees"] > 2 * written["not"]

# %% [markdown]
# A lesson in reading gates: they show *what* is done, and a mean is not yet an explanation. Here is one sequence, with
# the first seed. At the marks (grey) f shuts, and c becomes what g says. Between them c does not only stay, it drifts:
# it is written again and again.

# %%
# Of the sequences with five marks whose target turns three times or more, the one whose marks lie furthest apart.
gaps = [np.diff(np.flatnonzero(column)).min() if column.sum() == 5 else 0 for column in unseen_xs[..., 0].T]
turns = np.abs(np.diff(unseen_target[..., 0], axis=0)).sum(axis=0)
example = int(np.argmax(np.where(turns >= 3, gaps, 0)))
shown = pd.DataFrame(
    {
        "mark": unseen_xs[:, example, 0],
        "value": unseen_xs[:, example, 1],
        "target": 2 * unseen_target[:, example, 0] - 1,
        **{name: getattr(seen, name)[:, example, 0] for name in ("i", "f", "g", "o", "c")},
        "h": (seen.o * seen.tanh_c)[:, example, 0],
    },
    index=pd.RangeIndex(T, name="t"),
)
np.testing.assert_allclose(shown.c[1:], shown.f[1:] * shown.c[:-1].to_numpy() + shown.i[1:] * shown.g[1:])  # L6


def draw_gates(shown: pd.DataFrame) -> Figure:
    """The task, the doors, and the memory over time."""
    figure = Figure(figsize=(7.2, 5.6), layout="constrained")
    panels = figure.subplots(3, 1, sharex=True, height_ratios=(0.8, 1, 1.2))
    t, marked = shown.index, shown.mark > 0
    for axes in panels:
        for step in t[marked]:
            axes.axvspan(step - 0.5, step + 0.5, color="#EEEEEE", lw=0, zorder=0)
    task, doors, memory = panels
    task.scatter(t[~marked], shown.value[~marked], s=18, facecolor="white", edgecolor=GATE_COLOURS["x"], label="value")
    task.scatter(t[marked], shown.value[marked], s=34, color="#222222", label="marked value", zorder=3)
    task.step(t, 0.75 * shown.target, where="mid", color="#222222", lw=1, ls=":", label="to be remembered")
    for name, label in (("i", "i: write"), ("f", "f: keep"), ("o", "o: show")):
        doors.plot(t, shown[name], color=GATE_COLOURS[name], lw=1.8, marker=".", ms=4, label=label)
    for name, style, label in (("g", ":", "g: candidate"), ("c", "-", "c: memory"), ("h", "-", "h: output")):
        memory.plot(t, shown[name], color=GATE_COLOURS[name], ls=style, lw=1.8, marker=".", ms=4, label=label)
    task.set_ylim(-1.5, 1.5)
    task.set_yticks([-1, 1], ["−1", "+1"])
    doors.set_ylim(-0.05, 1.05)
    memory.axhline(0, color="#999999", lw=0.8)
    memory.set_xlabel("step t; grey: a mark")
    for axes, title in zip(panels, ("task", "gates between 0 and 1", "candidate, memory, output")):
        axes.set_title(title, loc="left", fontsize=10)
        axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    tidy(*panels)
    return figure


keep(draw_gates(shown), "05_lstm_forward", shown)

# %% [markdown]
# ## The forget bias
#
# Fresh LSTMs here begin with a forget bias of 1 (it is *stored* in b; nothing is added in the forward pass). How long
# such a cell remembers without having learned anything is a matter of σ, as in tutorial 04. Does it help training?
#
# We take eight units, biases of 0, 1 and 3, four seeds, and two versions of the task. In the *near* one the loss speaks
# at every step, so there is always a mark close by to learn from. In the *far* one only the first step is marked, and
# the loss speaks at the last step only, fifty steps later: what has to be learned can be learned only if a gradient
# comes all the way back. All 24 trainings run at once, by `vmap`.

# %%
BIASES, SEEDS = (0.0, 1.0, 3.0), range(2 if quick() else 4)
EIGHT = stack("lstm", 8, read="steps")
starts = []
for bias in BIASES:
    for seed in SEEDS:
        params = network.init(seed, EIGHT, input_size=2)
        params.layers[0].weights.b[gate_block("f", LSTM_GATES, 8)] = bias
        starts.append(params)
together = jax.tree.map(lambda *arrays: jnp.stack(arrays + arrays), *starts)  # all of them near, and then all far
near = jnp.arange(2 * len(starts)) < len(starts)
train = jax.jit(jax.vmap(trainer(EIGHT, 1e-2), (0, None, 0)))
_, losses = train(together, jax.random.split(jax.random.key(2), 200), near)
last = np.asarray(losses[:, -20:].mean(axis=1)).reshape(2, len(BIASES), len(SEEDS))

table = pd.DataFrame(
    {"near": last[0].mean(axis=1), "far": last[1].mean(axis=1), "far: learned": (last[1] < 0.1).sum(axis=1)},
    index=pd.Index(BIASES, name="forget bias"),
)
print(f"loss after 200 batches, mean of {len(SEEDS)} seeds, and how many have learned the far task")
print(table.round(3))
assert (last[0] < 0.3).all()
assert last[0, 2].mean() > last[0, 0].mean()
assert (last[1, 0] > 0.5).all()
assert (last[1, 2] < 0.3).sum() >= len(SEEDS) - 1
assert last[1, 1].mean() > 10 * last[1, 2].mean()

# %% [markdown]
# Near, all learn it; the largest bias is even the slowest, since a cell that keeps everything first has to learn to
# forget. Far, the bias decides. A bias of 0 forgets half at every step, and the gradient with it; guessing costs log 2
# = 0.69, and there it stays. The usual bias of 1 is a compromise, and for fifty steps most seeds find it too small. If
# you know how far back your data reach, say so: σ(b)^k should not be nothing.
#
# ## Exercises
#
# 1. Write the step yourself: `minirnn learn start lstm_step`.
# 2. Wire a *counter* by hand: c should hold the number of marks so far. Which gate has to stay where? Why can no h tell
#    5 from 6?
# 3. Shut the door o of the wired latch except at marks. What does h show, and what does c hold?
