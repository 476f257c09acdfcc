# %% [markdown]
# # From a NumPy loop to `lax.scan`
#
# Minutes: 20. Before: one step of an LSTM, NumPy; you have seen `jax.jit` and `jax.grad` once.
#
# A recurrent network is a loop. In JAX the loop has to be said differently, or the compiler writes it out step by step.
# Afterwards you can turn a loop over time into a scan, know what its carry may and may not do, batch and compile it,
# and show, intermediate by intermediate, that it computes what the NumPy code does.

# %%
import functools
import textwrap
import time

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax import lax
from matplotlib.figure import Figure

from minirnn import fast, readable
from minirnn.fast import engine
from minirnn.inspect.lessons import CELL_COLOURS, OTHER_COLOURS, SMALL, WRONG, keep, quick, tidy
from minirnn.params import LSTMGates, LSTMState

jax.config.update("jax_enable_x64", True)  # 64-bit numbers, so that rounding does not hide mistakes
rng = np.random.default_rng(8)
T, B, D, H = 6, 4, 3, 5
params = readable.lstm.init(rng, D, H, np.float64)
params = params._replace(b=params.b + rng.standard_normal(4 * H) / 2)  # zeros would hide mistakes
xs = rng.standard_normal((T, B, D))
state0 = LSTMState(h=rng.standard_normal((B, H)), c=rng.standard_normal((B, H)))

# %% [markdown]
# ## The loop
#
# Everything here is *time-major*: `xs[t]` is x_t, the inputs of all B sequences at step t, one block of memory. A loop
# over time then reads one block after the other, and so does a scan, which always goes along the first axis. Data that
# come as (B, T, D) are turned once, before the loop.


# %%
def loop(step, params, xs, state):
    """The recurrence as one would write it first: xs (T, B, D) -> ys (T, B, H), final state."""
    ys = []
    for x in xs:
        y, state = step(params, x, state)[:2]  # the NumPy step also returns a cache
        ys.append(y)
    return ys, state


ys, final = loop(readable.lstm.step, params, xs, state0)
reference, _, cache = readable.lstm.forward(params, xs, state0)
np.testing.assert_allclose(np.stack(ys), reference, rtol=1e-12)

# %% [markdown]
# ## The scan
#
# `lax.scan(step, carry, xs)` is the same loop with its two kinds of results told apart. What one step hands to the next
# is the *carry*; what is kept of every step is stacked for you. The step gets (carry, x_t) and returns (carry, y_t).


# %%
def scanned(params, xs, state):
    """The same recurrence as a scan."""

    def one_step(state, x):
        y, state = fast.lstm.step(params, x, state)
        return state, y  # the carry first: the other way round than the library's step

    state, ys = lax.scan(one_step, state, xs)
    return ys, state


ys, final = scanned(params, xs, state0)
print(f"scan against the NumPy loop: largest difference {np.abs(ys - reference).max():.0e}")
assert np.abs(ys - reference).max() < 1e-12

# %% [markdown]
# The carry is a promise: it goes out as it came in. Same structure, same shapes, same dtypes, because the compiled loop
# has one place in memory for it. Three ways to break the promise, and what JAX says:


# %%
def complaint(step, state):
    """The line of a scan's error that names what differs: the longest."""
    try:
        lax.scan(step, state, xs)
    except TypeError as error:
        return max(str(error).splitlines(), key=len).strip(" *")
    return "nothing"


def growing(state, x):
    h = jnp.concatenate([state.h, x], axis=1)  # (B, H + D): the carry grows
    return state._replace(h=h), h


def another_dtype(state, x):
    return LSTMState(*(part.astype(jnp.float64) for part in fast.lstm.step(params, x, state)[1])), x


def another_structure(state, x):
    return tuple(fast.lstm.step(params, x, state)[1]), x  # a plain tuple is not an LSTMState


single = LSTMState(*(part.astype(np.float32) for part in state0))
for name, said in {
    "shape": complaint(growing, state0),
    "dtype": complaint(another_dtype, single),
    "structure": complaint(another_structure, state0),
}.items():
    print(textwrap.fill(f"{name}: {said}", 110, subsequent_indent="  "))
    assert said != "nothing"
assert "float32" in complaint(another_dtype, single)

# %% [markdown]
# The second one is the usual one: a float32 state and weights in float64. `fast.lstm.forward` brings all of them to one
# dtype before its scan:

# %%
final = fast.lstm.forward(params, xs, single)[1]
assert final.h.dtype == np.float64

# %% [markdown]
# ## jit, and what it does to a Python loop
#
# `jax.jit` runs the Python function once with placeholders, writes down every operation, and compiles that list. A
# Python loop is gone by then: what is written down is T copies of its body. A scan is written down as one operation
# that holds one copy. **Predict before you run:** how many operations are there for 8 steps and for 128 steps, in each?


# %%
def operations(function, T):
    """How many operations jit writes down for T steps, those inside of loops included."""

    def count(jaxpr):
        inner = [getattr(value, "jaxpr", None) for e in jaxpr.eqns for value in e.params.values()]
        return len(jaxpr.eqns) + sum(count(each) for each in inner if each is not None)

    traced = jax.make_jaxpr(function)(params, jax.ShapeDtypeStruct((T, B, D), np.float64), state0)
    return count(traced.jaxpr)


def unrolled(params, xs, state):
    """The Python loop, with the outputs as one array."""
    ys, state = loop(fast.lstm.step, params, xs, state)
    return jnp.stack(ys), state


counts = {(f.__name__, T): operations(f, T) for f in (unrolled, scanned) for T in (8, 128)}
for (name, steps), number in counts.items():
    print(f"{name:9} {steps:4} steps: {number:6,} operations")
assert counts["scanned", 8] == counts["scanned", 128]
assert 12 < counts["unrolled", 128] / counts["unrolled", 8] < 20  # 16 times as many steps

# %% [markdown]
# The compiler has to read all of them, and its time grows with the list. So we measure: time to trace and compile, and
# time of a later call, for growing T. Two rules for every timing in JAX: the first call compiles, so it isn't counted;
# and calls return before the work is done, so one has to wait, with `block_until_ready`.
#
# The numbers depend on the machine, what they do as T grows does not. So the figure shows growth: times are divided by
# that of the scan over 8 steps.

# %%
single_params = jax.tree.map(lambda a: np.asarray(a, np.float32), readable.lstm.init(0, 16, 32))


def seconds(function, T):
    """Seconds to trace and compile T steps; and of one later call, the best of several."""
    xs = jnp.asarray(rng.standard_normal((T, 8, 16)), jnp.float32)
    start = LSTMState(*jnp.zeros((2, 8, 32), jnp.float32))
    began = time.perf_counter()
    run = jax.jit(function).lower(single_params, xs, start).compile()
    compiling = time.perf_counter() - began
    jax.block_until_ready(run(single_params, xs, start))
    running = []
    for _ in range(7):
        began = time.perf_counter()
        jax.block_until_ready(run(single_params, xs, start))
        running.append(time.perf_counter() - began)
    return compiling, min(running)


steps = (8, 16, 32) if quick() else (8, 16, 32, 64, 128)
times = {f.__name__: np.array([seconds(f, T) for T in steps]) for f in (scanned, unrolled)}
data = pd.DataFrame(
    {
        f"{name}, {what}": times[name][:, k] / times["scanned"][0, k]
        for k, what in enumerate(("compile", "run"))
        for name in ("unrolled", "scanned")
    },
    index=pd.Index(steps, name="T"),
)
print(data.round(1).to_string())


def figure_of(data):
    """Time to compile and time to run against T, both relative to the scan over the fewest steps."""
    figure = Figure(figsize=SMALL, layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    T = data.index.to_numpy(float)
    for axes, what, title in zip(panels, ("compile", "run"), ("trace and compile", "one later call")):
        for name, label, colour in (
            ("unrolled", "Python loop under jit", WRONG),
            ("scanned", "lax.scan", CELL_COLOURS["lstm"]),
        ):
            axes.loglog(T, data[f"{name}, {what}"], "o-", color=colour, lw=1.8, ms=4, label=label)
        axes.loglog(T, T / T[0], ":", color=OTHER_COLOURS[3], lw=1.5, label="in proportion to T")
        axes.set(xlabel="steps T", title=title)
        axes.set_xticks(T, [f"{t:.0f}" for t in T])
        axes.minorticks_off()
        tidy(axes)
    panels[0].set_ylabel(f"time / time of the scan, T = {T[0]:.0f}")
    panels[0].legend(fontsize=9, frameon=False)
    figure.suptitle("LSTM forward: how time grows (one CPU; ratios)", fontsize=11)
    return figure


keep(figure_of(data), "08_numpy_to_scan", data)

# %% [markdown]
# In the figure in the repository the compiler's time for the written-out loop grows nearly in proportion to T, once T
# is large enough to hide what every compilation costs; that of the scan doesn't know T. What one gets for the waiting
# is nothing: with many steps the written-out loop doesn't even run faster. Look whether that holds on your machine.
# `lax.scan` has an argument `unroll` for the compromise: a few copies of the body for each turn of the loop.
#
# ## vmap: write for one, run for many
#
# Our step has a batch axis because the library's has one. If you write for a single sequence, `jax.vmap` adds the axis:
# `in_axes` says where it stands in each argument. Time-major means axis 1 for inputs and outputs, axis 0 for the state.


# %%
def of_one(params, xs, state):
    """One sequence: xs (T, D), state parts (H,) -> ys (T, H). A batch of one inside."""
    ys, _ = scanned(params, xs[:, None], LSTMState(*(part[None] for part in state)))
    return ys[:, 0]


many = jax.jit(jax.vmap(of_one, in_axes=(None, 1, 0), out_axes=1))
assert np.abs(many(params, xs, state0) - reference).max() < 1e-12

# The same over weights: five networks read the same batch. None means: the same for all.
networks = [readable.lstm.init(seed, D, H, np.float64) for seed in range(5)]
stacked = jax.tree.map(lambda *each: jnp.stack(each), *networks)
all_ys, _ = jax.vmap(scanned, in_axes=(0, None, None))(stacked, xs, state0)
print("five networks, one batch:", all_ys.shape)
for network, its in zip(networks, all_ys):
    assert np.abs(its - readable.lstm.forward(network, xs, state0)[0]).max() < 1e-12

# %% [markdown]
# ## Parity, by name and by step
#
# "The outputs agree" is the weakest thing to test: when they don't, you know nothing. So compare every named
# intermediate, i f g o c tanh_c, at every step. The library has both: `gates` for the values, and for their gradients
# `gate_gradients` in NumPy; in JAX `forward_nudged` adds a zero to each intermediate, and the gradient with respect to
# that zero is the gradient of the intermediate.

# %%
dys = rng.standard_normal((T, B, H))


def by_hand():
    """Values and gradients of all intermediates, from the NumPy half: two NamedTuples of (T, B, H)."""
    return readable.lstm.gates(params, xs, state0), readable.lstm.gate_gradients(dys, None, cache)


def by_jax(cell):
    """The same from JAX."""
    zeros = LSTMGates(*jnp.zeros((6, T, B, H)))
    nudged = lambda nudges: (engine.forward_nudged(cell, params, xs, nudges, state0)[0] * dys).sum()  # noqa: E731
    return engine.gates(cell, params, xs, state0), jax.grad(nudged)(zeros)


def parity(ours, theirs):
    """Relative difference of each intermediate at each step: rows t, columns i ... tanh_c, di ... dtanh_c."""
    table = {}
    for prefix, a, b in zip(("", "d"), ours, theirs):
        for name in LSTMGates._fields:
            x, y = np.asarray(getattr(a, name)), np.asarray(getattr(b, name))
            table[prefix + name] = np.linalg.norm(x - y, axis=(1, 2)) / np.linalg.norm(x, axis=(1, 2))
    return pd.DataFrame(table)


def first_wrong(table, bound=1e-10):
    """The first intermediate that differs: forward in time for values, backward for gradients."""
    # In the order in which they are computed: of gradients that is the last step, and the last intermediate, first.
    for order, gradients in ((1, False), (-1, True)):
        names = [name for name in table if name.startswith("d") == gradients]
        wrong = table[names].iloc[::order, ::order] > bound
        if wrong.to_numpy().any():
            t = wrong.any(axis=1).idxmax()
            return f"{wrong.loc[t].idxmax()} at t = {t}"
    return "nothing"


table = parity(by_hand(), by_jax(fast.lstm.CELL))
print(table.max().map("{:.0e}".format).to_frame("worst of all t").T.to_string())
assert first_wrong(table) == "nothing"

# %% [markdown]
# Is that a test that can fail? Here is an LSTM that adds 1 to the forget gate in every step, as some libraries do,
# though ours keeps that 1 in `b`; and one whose *derivative* alone is wrong, since somebody stopped the gradient of
# tanh(c).


# %%
def adds_one(zx, zh, state, extra, note=engine.unnoted):
    return fast.lstm.update(zx + jnp.repeat(jnp.array([0.0, 1.0, 0.0, 0.0]), H), zh, state, extra, note)


def stops_gradient(zx, zh, state, extra, note=engine.unnoted):
    stopped = lambda name, value: note(name, lax.stop_gradient(value) if name == "tanh_c" else value)  # noqa: E731
    return fast.lstm.update(zx, zh, state, extra, stopped)


found = {
    f.__name__: first_wrong(parity(by_hand(), by_jax(fast.lstm.CELL._replace(update=f))))
    for f in (adds_one, stops_gradient)
}
print(found)
assert found == {"adds_one": "f at t = 0", "stops_gradient": "dc at t = 5"}

# %% [markdown]
# The first report names the gate and the step. In the second all values are right and the last step's dc is the first
# gradient that isn't, which is L10: exactly the line in question.
#
# ## The gradient
#
# JAX differentiates through the scan, backwards through time. The NumPy half has it by hand. Both have to agree for the
# weights, the inputs and the initial state.

# %%
by_hand_gradients = readable.lstm.backward(dys, None, cache)
gradient = jax.jit(jax.grad(lambda *inputs: (scanned(*inputs)[0] * dys).sum(), argnums=(0, 1, 2)))
worst = jax.tree.map(
    lambda a, b: np.linalg.norm(a - b) / np.linalg.norm(b), gradient(params, xs, state0), by_hand_gradients
)
print("largest relative error of any gradient:", f"{max(jax.tree.leaves(worst)):.0e}")
assert max(jax.tree.leaves(worst)) < 1e-12

# `fast.lstm.forward` is this scan, with lengths, and with a gradient that keeps less and takes dW out of the loop.
ours = jax.grad(functools.partial(lambda f, *inputs: (f(*inputs)[0] * dys).sum(), fast.lstm.forward))(
    params, xs, state0
)
assert max(np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(ours, by_hand_gradients[0])) < 1e-12

# %% [markdown]
# ## Exercises
#
# 1. `minirnn learn start jax_scan`: write the scan of another cell. `minirnn learn start jax_vmap`: batch it.
# 2. Give `lax.scan` `unroll=4` in `scanned` and run the timing again. What does it cost, what does it buy? Then time
#    the gradient instead of the forward pass; begin with few steps, for the written-out loop takes long.
# 3. Hand in data as (B, T, D) and forget to turn them. With B = T nothing complains: which assertion above would?
