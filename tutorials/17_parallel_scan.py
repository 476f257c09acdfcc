# %% [markdown]
# # The parallel scan: a recurrence without waiting
#
# Minutes: 20. Before: a GRU, `jax.lax.scan`, what big-O means.
#
# A recurrent network walks: step t waits for step t-1. Some recurrences need not. Afterwards you can
#
# - say which recurrences can be computed in log T rounds, and why a GRU cannot;
# - use `jax.lax.associative_scan`, and find the gradient of what it computes;
# - tell from a count, before any clock runs, when the parallel form loses.

# %%
import math
import time

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax import lax
from matplotlib.figure import Figure

from minirnn import equations, fast, readable
from minirnn.fast import platforms
from minirnn.inspect.lessons import CELL_COLOURS, OTHER_COLOURS, keep, tidy

jax.config.update("jax_enable_x64", True)
rng = np.random.default_rng(0)

# %% [markdown]
# ## Two steps are one step
#
# Take the step h = a h' + u. Two of them after one another are a₂ (a₁ h + u₁) + u₂ = (a₂ a₁) h + (a₂ u₁ + u₂): the same
# kind of step, with other numbers. So steps can be joined before any h is known; and joining is associative: it does
# not matter which neighbours are joined first.


# %%
def join(first, second):
    """Two steps (a, u), as one."""
    (a1, u1), (a2, u2) = first, second
    return a1 * a2, a2 * u1 + u2


one, two, three = rng.uniform(0, 1, (3, 2))
np.testing.assert_allclose(join(join(one, two), three), join(one, join(two, three)))
h = 0.7
for a, u in (one, two, three):
    h = a * h + u  # H1
a, u = join(join(one, two), three)
np.testing.assert_allclose(a * 0.7 + u, h)

# %% [markdown]
# A vanilla RNN has no such luck. Two steps h = tanh(w h' + u) after one another are not a third one: if they were,
# arctanh of the result would be a straight line in h. It is not, as its second difference shows.


# %%
def bend(step):
    """The second difference of arctanh(step(h)) in h."""
    return abs(np.diff(np.arctanh(step(np.linspace(-1, 1, 5))), n=2)).max()


print(f"second difference: one step {bend(lambda h: np.tanh(2 * h + 0.3)):.0e}, ", end="")
print(f"two steps {bend(lambda h: np.tanh(2 * np.tanh(2 * h + 0.3) - 0.5)):.2f}")
assert bend(lambda h: np.tanh(2 * h + 0.3)) < 1e-12
assert bend(lambda h: np.tanh(2 * np.tanh(2 * h + 0.3) - 0.5)) > 0.1

# %% [markdown]
# ## The shortcut that breaks
#
# With A_t = a_1 ... a_t the solution reads h_t = A_t (u_1 / A_1 + ... + u_t / A_t): two cumulative operations, one
# line, no loop. **Predict before you run:** what happens in float32 with a = 1/2 and 300 steps?

# %%
prefixes = jax.jit(lambda a, u, reverse=False: lax.associative_scan(join, (a, u), reverse=reverse), static_argnums=2)
T = 300
a, u = np.full(T, 0.5, np.float32), rng.standard_normal(T).astype(np.float32)
with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
    shortcut = np.cumprod(a) * np.cumsum(u / np.cumprod(a))
walked = np.zeros(T, np.float32)
h = np.float32(0)
for t in range(T):
    h = a[t] * h + u[t]
    walked[t] = h
first_bad = int(np.argmin(np.isfinite(shortcut)))
print(f"the shortcut is no number from step {first_bad} on")
assert not np.isfinite(shortcut).all()
assert 100 < first_bad < 130  # float32 ends at 2^128
assert np.cumprod(a)[first_bad] > 0 == np.cumprod(a)[160]  # and below 2^-149
_, joined = prefixes(a, u)
np.testing.assert_allclose(joined, walked, atol=1e-6)

# %% [markdown]
# Not where A_t has become zero (that takes 150 steps), but before: u_t / A_t no longer fits a float32. `associative_scan`
# only multiplies: where A_t vanishes, so does what has been forgotten. That is the reason to join, and not to divide.
#
# ## Rounds and joins
#
# How many joins does it take for *all* t, and how many of them have to wait for another one? The walk needs T of them,
# one after the other. The simplest parallel way joins each step with the one before it, then with the one 2 before, 4,
# 8: log₂ T rounds (Hillis and Steele 1986), but nearly T joins in each. `associative_scan` pairs neighbours, solves the
# half as long problem, and fills in the gaps (after Blelloch 1990): twice as many rounds, and about 2 T joins in all.


# %%
def doubling(a, u):
    """All prefixes in log2 T rounds: a, u (T,) -> A, U (T,), and the joins of each round."""
    rounds, reach = [], 1
    while reach < len(a):
        later = join((a[:-reach], u[:-reach]), (a[reach:], u[reach:]))
        a, u = (np.concatenate([old[:reach], new]) for old, new in zip((a, u), later))
        rounds.append(len(later[0]))
        reach *= 2
    return a, u, rounds


def rounds_of_associative_scan(T):
    """The joins of each round, as JAX traces them; nothing is computed."""
    rounds = []

    def counted(first, second):
        rounds.append(first[0].shape[0])
        return join(first, second)

    step = jax.ShapeDtypeStruct((T,), jnp.float32)
    jax.eval_shape(lambda *steps: lax.associative_scan(counted, steps), step, step)
    return [joins for joins in rounds if joins]


np.testing.assert_allclose(doubling(a, u)[1], walked, atol=1e-6)
LENGTHS = [2**k for k in range(2, 15)]
WAYS = {
    "step by step": lambda T: [1] * T,
    "doubling": lambda T: doubling(np.ones(T), np.zeros(T))[2],
    "associative_scan": rounds_of_associative_scan,
}
counts = {name: {T: way(T) for T in LENGTHS} for name, way in WAYS.items()}
for name, of in counts.items():
    print(f"{name:17} T = 1024: {len(of[1024]):5} rounds, {sum(of[1024]):5} joins")
for T in LENGTHS:
    assert len(counts["doubling"][T]) == math.log2(T)
    assert len(counts["associative_scan"][T]) <= 2 * math.log2(T)
    assert sum(counts["associative_scan"][T]) < 2 * T

# %% [markdown]
# ## A cell made for it
#
# The minGRU (Feng et al. 2024) is a GRU whose gate and candidate read x and not h; it has no reset gate and no tanh. All
# gates of all steps are then one product, and what remains is the linear recurrence.

# %%
for equation in equations.select("M1-M5, H1-H5"):
    print(f"{equation.id:3} {equation.plain}")

T, B, D, H = 40, 3, 4, 5
params = readable.mingru.init(0, D, H, np.float64)
xs, start = rng.standard_normal((T, B, D)), rng.standard_normal((B, H))
dys, dfinal = rng.standard_normal((T, B, H)), rng.standard_normal((B, H))
ys, final, cache = readable.mingru.forward(params, xs, start)  # step by step, NumPy
dparams, dxs, dstart = readable.mingru.backward(dys, dfinal, cache)

a, u = fast.mingru.coefficients(xs @ params.Wx + params.b)
A, U = prefixes(a, u)
np.testing.assert_allclose(A * start + U, ys, atol=1e-12)

# %% [markdown]
# The gradient is the same recurrence, from the other end: dh_t = dy_t + a_{t+1} dh_{t+1} (H2, H5). So it is one more
# scan, in reverse. The library writes it so, and does not let JAX differentiate the tree. On a CPU it walks; we ask it
# for the form meant for accelerators, which runs here too.

# %%
a_next = jnp.concatenate([a[1:], jnp.ones((1, B, H))])
with_final = jnp.asarray(dys).at[-1].add(dfinal)
_, dh = prefixes(a_next, with_final, True)
np.testing.assert_allclose(a[0] * dh[0], dstart, atol=1e-12)  # H5

with platforms.compiling_for("gpu"):
    (fast_ys, fast_final), pull = jax.vjp(jax.jit(fast.mingru.forward), params, xs, start)
    fast_dparams, fast_dxs, fast_dstart = pull((jnp.asarray(dys), jnp.asarray(dfinal)))
for parallel, walked_through in ((fast_ys, ys), (fast_final, final), (fast_dxs, dxs), (fast_dstart, dstart)):
    np.testing.assert_allclose(parallel, walked_through, atol=1e-11)
for name in params._fields:
    np.testing.assert_allclose(getattr(fast_dparams, name), getattr(dparams, name), atol=1e-10)
print("minGRU: parallel in JAX and step by step in NumPy give the same outputs and gradients")

# %% [markdown]
# ## What it gives up
#
# The gates do not see the state, and a = 1 - z lies between 0 and 1: the layer is a weighted mean of its candidates n and
# its first state, and can fade a memory but not turn it over. Take the parity of a row of bits: each 1 has to flip the
# state. With `a = 1 - 2x` that *is* a linear recurrence, and 1,000 bits take fewer than 20 rounds. But no sigmoid gives
# a = -1. The limit lies in the range of the gate, not in the joining.

# %%
bits = rng.integers(0, 2, 1000)
signs, _ = prefixes(1 - 2 * bits, 0 * bits)
np.testing.assert_array_equal((1 - np.asarray(signs)) // 2, np.cumsum(bits) % 2)
assert 0 < a.min() <= a.max() < 1
assert len(rounds_of_associative_scan(len(bits))) < 20

# %% [markdown]
# ## When it loses
#
# Fewer rounds help only if somebody is free to do the joins of a round at the same time. With P processors a round of n
# joins takes ⌈n/P⌉ turns. And every join is done for each of the B·H units: the walk too keeps that many processors
# busy. So what counts is P / (B·H), the processors for each unit. **Predict before you run:** from how many processors
# for each unit on does the parallel form win?


# %%
def speed_up(T, processors):
    """Turns of the walk over turns of associative_scan, with so many processors for each unit."""
    return T / sum(math.ceil(n / processors) for n in counts["associative_scan"][T])


PROCESSORS = [2**k for k in range(15)]
gains = {T: {P: speed_up(T, P) for P in PROCESSORS} for T in (64, 1024, 16384)}
for T, of in gains.items():
    print(f"T = {T:5}: " + ", ".join(f"{P} for each unit: {of[P]:.1f}" for P in (1, 2, 4, 64, 1024)))
    assert of[1] < 0.6  # it does nearly twice the work
    assert of[2] < 1.1
    assert of[4] > 1.2
assert gains[1024][16384] > 50

# %% [markdown]
# Below two it loses: it does about twice the work. A GPU works on some ten thousand numbers at once; a batch of 16 with
# 64 units leaves it ten processors for each. A processor with two cores and vectors of 16 numbers has 32 in all, for
# 1,024 units. Here is the clock of the machine that this runs on. It is one machine, so nothing is asserted:

# %%
shape = (1024, 16, 64)
a32, u32 = (jnp.asarray(rng.uniform(0, 1, shape), jnp.float32) for _ in range(2))


@jax.jit
def walk(a, u):
    def one_step(h, step):
        h = step[0] * h + step[1]
        return h, h

    return lax.scan(one_step, jnp.zeros_like(u[0]), (a, u))[1]


np.testing.assert_allclose(walk(a32, u32), prefixes(a32, u32)[1], rtol=1e-4, atol=1e-5)


def best_of(function, times=10):
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        jax.block_until_ready(function(a32, u32))
        seconds.append(time.perf_counter() - started)
    return min(seconds)


print(f"on this {jax.default_backend()}, {shape}: tree over walk, time {best_of(prefixes) / best_of(walk):.1f}")

# %% [markdown]
# ## The picture


# %%
def draw_counts(data):
    """Above: joins in all and rounds against T. Below: the speed-up by processors for each unit."""
    figure = Figure(figsize=(6.0, 6.0), layout="constrained")
    above, below = figure.subplots(2, 1)
    colours = {
        "step by step": CELL_COLOURS["rnn"],
        "doubling": OTHER_COLOURS[0],
        "associative_scan": CELL_COLOURS["lstm"],
    }
    for name, colour in colours.items():
        part = data[data["what"] == name].sort_values("x")
        together = (part["joins"] == part["rounds"]).all()
        label = f"{name}: joins, all of them rounds" if together else f"{name}: joins in all"
        above.loglog(part["x"], part["joins"], "o-", ms=3, color=colour, label=label)
        if not together:
            above.loglog(part["x"], part["rounds"], "--", color=colour, label=f"{name}: rounds")
    above.set_xlabel("steps T")
    above.set_ylabel("counted")
    above.legend(frameon=False, fontsize=8.5)
    lines = data[data["what"].str.startswith("T =")].groupby("what", sort=False)
    for (what, part), style in zip(lines, ("^-", "s-", "o-")):
        below.loglog(part["x"], part["speed_up"], style, ms=3.5, color=CELL_COLOURS["lstm"], label=what)
    below.axhline(1, color="#222222", lw=1)
    below.text(16000, 1.1, "as fast as step by step", ha="right", fontsize=9)
    below.set_xlabel("processors for each unit, P / (B·H)")
    below.set_ylabel("speed-up, from the count alone")
    below.legend(frameon=False, fontsize=9)
    tidy(above, below)
    return figure


rows = [
    {"what": name, "x": T, "rounds": len(rounds), "joins": sum(rounds)}
    for name, of in counts.items()
    for T, rounds in of.items()
]
rows += [{"what": f"T = {T:,}", "x": P, "speed_up": gain} for T, of in gains.items() for P, gain in of.items()]
data = pd.DataFrame(rows)
keep(draw_counts(data), "17_parallel_scan", data.set_index("what"))

# %% [markdown]
# ## Exercises
#
# 1. `minirnn learn start jax_associative_scan`: a linear recurrence with an initial state, forward and reverse.
# 2. A running maximum, a running product of 2 × 2 matrices, a moving mean, the median so far: which of them can be
#    joined?
# 3. Join blocks of 32 steps by a walk, and the blocks by the tree. How many rounds and joins is that? When does it pay?
