# %% [markdown]
# # Train it fast, and many times
#
# Minutes: 20. Before: `jax.jit`, `jax.grad`, `jax.lax.scan`; what Adam is.
#
# Small recurrent networks leave a machine idle: much of the time goes into handing out work. Afterwards you can
#
# - put an optimiser together with optax, and say what each part does in what order;
# - compile a whole training as one scan, and measure time without fooling yourself;
# - train many seeds and learning rates at once, and see which differences are real;
# - say what float32 costs you, and what it does not.

# %%
import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
from jax import lax
from matplotlib.figure import Figure

from minirnn import equations
from minirnn.fast import losses, network, training
from minirnn.inspect.lessons import RIGHT, SMALL, WRONG, keep, quick, tidy
from minirnn.params import stack
from minirnn.readable import optimizers

jax.config.update("jax_enable_x64", True)  # float64 where we ask for it; float32 arrays stay float32

# %% [markdown]
# ## A task
#
# A row of 12 numbers between 0 and 1, two of them marked; the target is the sum of the two. Always answering 1 has a
# mean squared error of 1/6. A thousand sequences, in batches of 32.

# %%
T, BATCH, COUNT, UNITS = 12, 32, 1024, 16
SEEDS = 4 if quick() else 16


def draw(rng, count):
    """Sequences (count, T, 2), sums (count, 1), in float32."""
    values = rng.uniform(0, 1, (count, T))
    marks = np.zeros((count, T))
    np.put_along_axis(marks, np.stack([rng.permutation(T)[:2] for _ in range(count)]), 1, axis=1)
    return np.stack([values, marks], axis=-1).astype(np.float32), (values * marks).sum(axis=1)[:, None].astype(
        np.float32
    )


rng = np.random.default_rng(0)
inputs, sums = draw(rng, COUNT)
EPOCHS = 12 if quick() else 16
# Which sequences stand in which batch is drawn beforehand: (updates, BATCH).
batches = np.concatenate([rng.permutation(COUNT).reshape(-1, BATCH) for _ in range(EPOCHS)])
UPDATES = len(batches)
DESCRIPTION = stack("gru", UNITS)


def loss_of(params, xs, sums):
    outputs, _ = network.forward(DESCRIPTION, params, xs.swapaxes(0, 1))
    return losses.mse(outputs, sums)


def fresh(seed, dtype=np.float32):
    return jax.tree.map(jnp.asarray, network.init(seed, DESCRIPTION, 2, dtype))


# %% [markdown]
# ## The optimiser is a chain
#
# optax builds an optimiser of parts, each of which turns gradients into something more like an update. Order matters:
# clip first, then let Adam see the clipped gradient. (After Adam it would be too late: each number of an update is about
# as large as the learning rate, whatever the gradient was.)

# %%
for equation in equations.select("O1, O3-O5, O7"):
    print(f"{equation.id:3} {equation.plain}")

WARM_UP, RATE = UPDATES // 16, 0.03
rising, falling = optax.linear_schedule(0.0, 1.0, WARM_UP), optax.cosine_decay_schedule(1.0, UPDATES - WARM_UP)
warm_up_and_cosine = optax.join_schedules([rising, falling], [WARM_UP])  # from updates made to a share of the rate


def make_optimizer(rate, schedule=None):
    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adam(rate if schedule is None else lambda made: rate * schedule(made)),
    )


optimizer = make_optimizer(RATE, warm_up_and_cosine)

dparams = jax.jit(jax.grad(loss_of))(fresh(0), inputs[:BATCH], 100 * sums[:BATCH])  # a huge gradient
clip = optax.clip_by_global_norm(1.0)
clipped, _ = jax.jit(clip.update)(dparams, clip.init(dparams))
dparams, clipped = jax.tree.map(np.asarray, (dparams, clipped))
norm = optimizers.global_norm(dparams)
print(f"norm {norm:.0f}, clipped {optimizers.global_norm(clipped):.4f}; the direction stays")
np.testing.assert_allclose(optimizers.global_norm(clipped), 1, rtol=1e-5)
for small, large in zip(jax.tree.leaves(clipped), jax.tree.leaves(dparams)):
    np.testing.assert_allclose(small, large / norm, rtol=1e-4, atol=1e-8)

# The NumPy half has optimisers of the same shape. Ten updates of both, from the same gradients:
ours = optimizers.chain(optimizers.clip_by_global_norm(1.0), optimizers.adam(optimizers.cosine_decay(RATE, 100)))
theirs = make_optimizer(RATE, optax.cosine_decay_schedule(1.0, 100))
weights = {"W": np.zeros((3, 4)), "b": np.zeros(4)}
our_state, their_state, their_update = ours.init(weights), theirs.init(weights), jax.jit(theirs.update)
for _ in range(10):
    gradient = jax.tree.map(lambda w: rng.standard_normal(w.shape), weights)
    our_updates, our_state = ours.update(gradient, our_state, weights)
    their_updates, their_state = their_update(gradient, their_state, weights)
    for name in weights:
        np.testing.assert_allclose(our_updates[name], their_updates[name], rtol=1e-6)

# %% [markdown]
# ## Three ways to run the same training
#
# The update is compiled in all three. What differs is who counts the batches: Python, a compiled scan over an epoch, or
# Python without waiting. **Predict before you run:** a GRU of 16 units, 32 sequences of 12 steps: how many times
# quicker is the scan than the loop?


# %%
def update(carry, rows, data, optimizer):
    """One batch: (params, optimiser state) -> the same, and the loss before the update."""
    params, state = carry
    loss, dparams = jax.value_and_grad(loss_of)(params, *(array[rows] for array in data))
    updates, state = optimizer.update(dparams, state, params)
    return (optax.apply_updates(params, updates), state), loss


@functools.partial(jax.jit, static_argnums=3)
def one_update(carry, rows, data, optimizer):
    return update(carry, rows, data, optimizer)


@functools.partial(jax.jit, static_argnums=3)
def whole(params, batches, data, optimizer):
    """A training as one scan over its batches -> params, losses (updates,)."""
    step = functools.partial(update, data=data, optimizer=optimizer)
    (params, _), losses = lax.scan(step, (params, optimizer.init(params)), batches)
    return params, losses


data = jnp.asarray(inputs), jnp.asarray(sums)  # on the device, once
some = batches[:128]


def loop(wait):
    carry, seen = (fresh(0), optimizer.init(fresh(0))), []
    for rows in some:
        carry, loss = one_update(carry, rows, data, optimizer)
        seen.append(float(loss) if wait else loss)  # float() waits until the number is there
    return seen


def seconds(function):
    """Until the numbers are there, and until they are promised."""
    started = time.perf_counter()
    result = function()
    promised = time.perf_counter() - started
    jax.block_until_ready(result)
    return time.perf_counter() - started, promised


# The first runs compile. They are not timed.
by_loop, by_scan = loop(wait=True), whole(fresh(0), some, data, optimizer)[1]
np.testing.assert_allclose(by_loop, by_scan, rtol=1e-3)
ways = {
    "loop, waits for each loss": lambda: loop(wait=True),
    "loop, does not wait": lambda: loop(wait=False),
    "one compiled scan": lambda: whole(fresh(0), some, data, optimizer),
}
times = {name: seconds(way) for name, way in ways.items()}
for name, (done, promised) in times.items():
    print(
        f"{name:26} {done / times['one compiled scan'][0]:5.1f} times the scan; returned after {promised / done:4.0%}"
    )

# %% [markdown]
# The numbers are the same; the times are those of one machine, and nothing is asserted of them. The last column is why
# a stopwatch without `jax.block_until_ready` lies: JAX returns promises. And a `float(loss)` in a loop is such a wait,
# too: fetch the losses of an epoch together.
#
# ## Many seeds at once
#
# One network of 16 units is too small to keep a processor busy. `vmap` puts many side by side: every product becomes a
# batch of products in one call. The function needs no change; the weights get a leading axis.

# %%
members = jax.tree.map(lambda *arrays: jnp.stack(arrays), *(fresh(seed) for seed in range(SEEDS)))
of_all_seeds = jax.jit(jax.vmap(whole, in_axes=(0, None, None, None)), static_argnums=3)
together = of_all_seeds(members, some, data, optimizer)[1]  # (SEEDS, updates)
for seed in (0, SEEDS - 1):
    alone = whole(fresh(seed), some, data, optimizer)[1]
    np.testing.assert_allclose(together[seed], alone, rtol=1e-2)  # rounding grows with every update
    np.testing.assert_allclose(together[seed][:10], alone[:10], rtol=1e-4)

# The library trains its members in the same way: an epoch is one scan, with all members side by side.
state = training.start(optimizer, [network.init(seed, DESCRIPTION, 2) for seed in range(SEEDS)])
order = np.broadcast_to(batches[: COUNT // BATCH], (SEEDS, COUNT // BATCH, BATCH))
counts = np.ones((COUNT // BATCH, BATCH), np.int64)
_, record = training.epoch(DESCRIPTION, optimizer, state, (inputs, sums, np.ones_like(sums)), order, counts)
np.testing.assert_allclose(record.losses, together[:, : COUNT // BATCH], rtol=1e-3)
print(f"{SEEDS} seeds at once: the same losses as one by one, and as minirnn.fast.training.epoch")

# %% [markdown]
# ## Which difference is real?
#
# Two ways to set the learning rate over time: constant, or a short warm-up and then a cosine down to zero. Which one is
# better? One run of each proves nothing. We take every seed at five rates with both plans, all of them in one call:
# `vmap` runs over the seeds, over the rates and over the plans. Judged on sequences that no training has seen.
# **Predict before you run:** which plan wins?

# %%
unseen = tuple(map(jnp.asarray, draw(np.random.default_rng(1), 2000)))
RATES = (0.01, 0.03, 0.1, 0.3, 1.0)
made = np.arange(UPDATES)
SHARES = {"constant": np.ones(UPDATES), "warm-up and cosine": np.asarray(warm_up_and_cosine(made))}
# A schedule is a row of numbers: the rate of every update. So vmap can run over schedules as over anything else.
rows = jnp.asarray([[rate * share for rate in RATES] for share in SHARES.values()], jnp.float32)  # (2, 5, UPDATES)


@jax.jit
def error_of(params, row):
    """The error on unseen sequences after a whole training."""
    trained, _ = whole(params, batches, data, make_optimizer(1.0, lambda made: row[made]))
    return loss_of(trained, *unseen)


for_seeds = jax.vmap(error_of, in_axes=(0, None))
for_plans = jax.jit(jax.vmap(jax.vmap(for_seeds, in_axes=(None, 0)), in_axes=(None, 0)))
errors = dict(zip(SHARES, np.asarray(for_plans(members, rows))))  # (5, SEEDS) of each plan
medians = pd.DataFrame({name: np.median(error, axis=1) for name, error in errors.items()}, index=RATES)
print(medians.rename_axis("rate").round(5).to_string())
wins = np.mean(errors["warm-up and cosine"][:, :, None] < errors["constant"][:, None, :], axis=(1, 2))
for rate, share in zip(RATES, wins):
    print(f"rate {rate:4}: the schedule is better in {share:4.0%} of all pairs of seeds")
assert wins[0] < 0.25
assert min(wins[3:]) > 0.75
assert medians["constant"].iloc[-1] > 10 * medians["warm-up and cosine"].iloc[-1]

# %% [markdown]
# Either, as you like! At the smallest rate the schedule loses in nearly every pair: it spends half of its updates at less
# than half of that rate. At large ones it wins as clearly: the constant rate never comes to rest, and at last learns
# nothing. Whoever compares at one rate can prove what he likes. The fair question is what each plan reaches at *its own*
# best rate; and a best rate is found only if rates on both sides of it have been tried.

# %%
places = {name: int(medians[name].to_numpy().argmin()) for name in medians}
for name, place in places.items():
    print(f"{name:18} best at rate {RATES[place]:g}: median error {medians[name].iloc[place]:.5f}")
    assert 0 < place < len(RATES) - 1
best = {name: errors[name][place] for name, place in places.items()}  # (SEEDS,) of each plan
won = (best["warm-up and cosine"][:, None] < best["constant"]).mean()
print(f"each at its own: the schedule is better in {won:.0%} of all pairs of seeds")
assert np.median(best["warm-up and cosine"]) < np.median(best["constant"])
assert won > 0.6
by_plan = np.median(best["constant"]) / np.median(best["warm-up and cosine"])
for name, place in zip(places, reversed(places.values())):
    by_rate = medians[name].iloc[place] / np.median(best[name])
    print(f"{name:18} at the best rate of the other plan: {by_rate:.0f} times its best error")
    assert by_rate > by_plan

# %% [markdown]
# So here the schedule is the better plan: about half the error, at a rate that the constant plan cannot bear. Stop the
# grid at 0.03, and you would have reported the opposite. And mind the proportions: with the other plan's best rate each
# of them loses more than the choice of the plan is worth.

# %% [markdown]
# ## float32 and float64
#
# The same training in float64. A number of float32 has seven digits, so the losses agree to seven digits at first. Each
# update passes the difference on, a little larger. **What matters is the scale:** how large is it beside the difference
# between two seeds?

# %%
members64, data64 = jax.tree.map(lambda array: array.astype(jnp.float64), (members, data))
in32, in64 = np.asarray(together), np.asarray(of_all_seeds(members64, some, data64, optimizer)[1])  # (SEEDS, updates)
assert (in32.dtype, in64.dtype) == (np.float32, np.float64)
by_dtype = np.median(np.abs(in64 / in32 - 1), axis=0)
by_seed = np.median(np.abs(in64 / np.roll(in64, 1, axis=0) - 1), axis=0)
for first in (0, 96):
    span = slice(first, first + 32)
    print(
        f"updates {first + 1:3} to {first + 32:3}: losses differ by {by_dtype[span].mean():.0e} between the types, ",
        end="",
    )
    print(f"by {by_seed[span].mean():.0e} between two seeds")
assert by_dtype[0] < 1e-5
assert by_dtype[-32:].mean() > 2 * by_dtype[:10].mean()
assert by_dtype[-32:].mean() < by_seed[-32:].mean() / 100

# %% [markdown]
# So float64 is for checking gradients, where digits after the seventh tell right from wrong. For training it buys
# nothing here but a longer wait: another seed changes the result far more than another type does. (Longer trainings at
# larger rates drift further apart; by then they are different runs, like two seeds.)

# %%


def draw_errors(data):
    """Every seed's error on unseen sequences at each rate; a bar at the median of each plan."""
    figure = Figure(figsize=SMALL, layout="constrained")
    axes = figure.subplots()
    spread = np.random.default_rng(0)
    for offset, name, colour in ((-0.17, "constant", WRONG), (0.17, "warm-up and cosine", RIGHT)):
        for place, rate in enumerate(RATES):
            values = data[(data["plan"] == name) & (data["rate"] == rate)]["error"]
            x = place + offset + spread.uniform(-0.07, 0.07, len(values))
            axes.semilogy(x, values, "o", color=colour, alpha=0.6, ms=4)
            label = name if place == 0 else None
            axes.plot(
                place + offset + np.array([-0.13, 0.13]), [values.median()] * 2, color=colour, lw=2.5, label=label
            )
    axes.set_xticks(range(len(RATES)), [f"{rate:g}" for rate in RATES])
    axes.set_xlabel(f"largest learning rate (points: {data['seed'].nunique()} seeds, bars: their medians)")
    axes.set_ylabel("mean squared error\non unseen sequences")
    axes.axhline(1 / 6, color="#222222", lw=1, ls=":")
    axes.text(-0.4, 1 / 7, "always answering 1", fontsize=9, va="top")
    axes.legend(frameon=False, loc="upper left")
    tidy(axes)
    return figure


frame = pd.DataFrame(
    [
        {"plan": name, "rate": rate, "seed": seed, "error": value}
        for name, table in errors.items()
        for rate, row in zip(RATES, table)
        for seed, value in enumerate(row)
    ]
)
keep(draw_errors(frame), "18_train_it_fast", frame.set_index(["plan", "rate", "seed"]), digits=2)

# %% [markdown]
# ## Exercises
#
# 1. `minirnn learn start clip_by_global_norm`, then `minirnn learn start jax_scan` and `minirnn learn start jax_vmap`.
# 2. Take the clipping away; then clip after Adam instead of before. From which rate on does each plan suffer?
# 3. Move the drawing of sequences into the compiled scan, with `jax.random` and a new batch at every update. Is the gap
#    between training and unseen sequences gone?
