# %% [markdown]
# # A backward pass of your own inside JAX
#
# Minutes: 20. Before: backpropagation through time by hand, `jax.grad`, `jax.lax.scan`.
#
# JAX derives backward passes; why would anybody write one? Because autodiff decides for you what is kept in memory and
# what is multiplied where. `jax.custom_vjp` takes both decisions back. Afterwards you can
#
# - plug a hand-written backward pass into `jax.grad`, even one in NumPy;
# - find out whether it is right, since JAX believes whatever you hand it;
# - move the weight gradients of a recurrent layer out of the loop;
# - choose between keeping and recomputing, and read off what each costs.

# %%
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax import lax
from jax.test_util import check_grads
from matplotlib.figure import Figure

from minirnn import equations, fast, readable
from minirnn.inspect.lessons import OTHER_COLOURS, RIGHT, SMALL, WRONG, keep, quick, tidy
from minirnn.params import RNNParams

jax.config.update("jax_enable_x64", True)
T, B, D, H = 12, 3, 4, 5
rng = np.random.default_rng(0)


def relative(tree, other):
    """The largest relative error, by norm, of any array."""
    errors = jax.tree.map(lambda a, b: np.linalg.norm(a - b) / np.linalg.norm(b), tree, other)
    return max(jax.tree.leaves(errors))


# %% [markdown]
# ## NumPy inside `jax.grad`
#
# A function with a gradient of its own is three functions: the function; a forward pass that also returns what the
# backward pass will need (the residuals); and a backward pass from residuals and cotangents to the gradients of all
# arguments. Nothing asks where the numbers come from. Here they come from the NumPy half of minirnn: `pure_callback`
# leaves compiled code, calls Python, and says beforehand what shapes will come back.


# %%
def shapes_of(tree):
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), tree)


def numpy_forward(params, xs):
    params, xs = jax.tree.map(np.asarray, (params, xs))
    return readable.lstm.forward(params, xs)  # ys, final state, cache


def numpy_backward(params, xs, dys):
    _, _, cache = numpy_forward(params, xs)  # a cache is no array that JAX could keep: so it is made again
    return readable.lstm.backward(np.asarray(dys), None, cache)[:2]


@jax.custom_vjp
def numpy_lstm(params, xs):
    """Xs (T, B, D) -> ys (T, B, H), computed by NumPy."""
    shape = jax.ShapeDtypeStruct((*xs.shape[:2], params.Wh.shape[0]), xs.dtype)
    return jax.pure_callback(lambda *arguments: numpy_forward(*arguments)[0], shape, params, xs)


def numpy_lstm_fwd(params, xs):
    return numpy_lstm(params, xs), (params, xs)


def numpy_lstm_bwd(residuals, dys):
    return jax.pure_callback(numpy_backward, shapes_of(residuals), *residuals, dys)


numpy_lstm.defvjp(numpy_lstm_fwd, numpy_lstm_bwd)

lstm = readable.lstm.init(0, D, H, np.float64)
xs, target = rng.standard_normal((T, B, D)), rng.standard_normal((T, B, H))


def loss(layer, params, xs):
    return fast.losses.mse(jnp.tanh(layer(params, xs)), target)


by_numpy = jax.jit(jax.grad(functools.partial(loss, numpy_lstm), argnums=(0, 1)))(lstm, xs)
by_jax = jax.grad(functools.partial(loss, lambda p, xs: fast.lstm.forward(p, xs, plain=True)[0]), argnums=(0, 1))(
    lstm, xs
)
print(f"the NumPy backward pass inside a compiled jax.grad: relative error {relative(by_numpy, by_jax):.0e}")
assert relative(by_numpy, by_jax) < 1e-12

# %% [markdown]
# That is slow, and a good way to try a new backward pass within a program that exists already.
#
# ## An RNN's backward pass, written for JAX
#
# Now in JAX, for a vanilla RNN. Seven equations are all there is:

# %%
for equation in equations.select("R3-R4, P1-P5"):
    print(f"{equation.id:4} {equation.plain}")


@jax.custom_vjp
def rnn(params, xs):
    """Xs (T, B, D) -> hs (T, B, H), from a state of zero."""
    return rnn_fwd(params, xs)[0]


def rnn_fwd(params, xs):
    def one_step(h, x):
        h = jnp.tanh(x @ params.Wx + h @ params.Wh + params.b)  # R1, R2
        return h, h

    _, hs = lax.scan(one_step, jnp.zeros((xs.shape[1], len(params.Wh)), xs.dtype), xs)
    return hs, (params, xs, hs)  # the residuals: one array (T, B, H), which is the output anyway


def rnn_bwd(residuals, dys):
    params, xs, hs = residuals

    def one_step(dh_next, step):
        dy, h = step
        dz = (dy + dh_next) * (1 - h**2)  # R3, R4
        return dz @ params.Wh.T, dz  # P1

    _, dzs = lax.scan(one_step, jnp.zeros_like(hs[0]), (dys, hs), reverse=True)
    hs_before = jnp.concatenate([jnp.zeros_like(hs[:1]), hs[:-1]])
    # After the loop: one product over all steps, where autodiff adds up T small ones.
    dWx, dWh = (jnp.einsum("tbi,tbj->ij", a, dzs) for a in (xs, hs_before))  # P3, P4
    return RNNParams(dWx, dWh, dzs.sum(axis=(0, 1))), dzs @ params.Wx.T  # P5, P2


rnn.defvjp(rnn_fwd, rnn_bwd)

weights = readable.rnn.init(0, D, H, np.float64)
mine = jax.grad(functools.partial(loss, rnn), argnums=(0, 1))(weights, xs)
autodiff = jax.grad(functools.partial(loss, lambda p, xs: rnn_fwd(p, xs)[0]), argnums=(0, 1))(weights, xs)
print(f"by hand against autodiff of the same scan: relative error {relative(mine, autodiff):.0e}")
assert relative(mine, autodiff) < 1e-12

# %% [markdown]
# **Predict before you run:** how many matrix products stand inside the reverse loop, by hand and by autodiff? And how
# many does that make for twelve steps, forwards and backwards?
#
# We can count them: the program that JAX traced is data. A product inside a scan counts once for each of its steps.


# %%
def products(jaxpr, times=1):
    """(steps, multiplications) of every matrix product in a traced program, loops unrolled in thought."""
    for equation in jaxpr.eqns:
        inner = times * equation.params.get("length", 1) if equation.primitive.name == "scan" else times
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            sizes = [equation.invars[0].aval.shape[axis] for axis in contracted]
            yield inner, inner * int(np.prod(sizes)) * int(np.prod(equation.outvars[0].aval.shape))
        for value in equation.params.values():
            inside = getattr(value, "jaxpr", value)
            if hasattr(inside, "eqns"):
                yield from products(inside, inner)


def counted(function, *arguments):
    found = list(products(jax.make_jaxpr(jax.grad(function, argnums=(0, 1)))(*arguments).jaxpr))
    return sum(steps for steps, _ in found), sum(number for _, number in found)


calls = {}
for name, layer in {"by hand": rnn, "autodiff": lambda p, xs: rnn_fwd(p, xs)[0]}.items():
    calls[name], multiplications = counted(functools.partial(loss, layer), weights, xs)
    print(f"{name:9} {calls[name]:3} products one after another for T = {T}; {multiplications} multiplications")
# Forwards x Wx and h Wh at each step. Backwards one at each step and three after the loop, or four at each step.
assert calls == {"by hand": 3 * T + 3, "autodiff": 6 * T}

# %% [markdown]
# One product inside the reverse loop, not four. The multiplications are as many, but where autodiff makes 3 T products,
# three large ones do. And at each of its T steps autodiff reads and writes all of dWx and dWh, to add to them. That is
# the first gain. It grows with H, since dWh is H × H whatever the batch is.
#
# ## JAX believes you
#
# A wrong backward pass raises nothing. So test it against something that does not know it: `check_grads` compares with
# finite differences along a random direction.

# %%


@jax.custom_vjp
def broken(params, xs):
    return rnn_fwd(params, xs)[0]


def broken_bwd(residuals, dys):
    params, xs, hs = residuals
    return rnn_bwd((params, xs, hs / 1.1), dys)  # tanh' taken at another point


broken.defvjp(rnn_fwd, broken_bwd)


def passes(layer):
    try:
        check_grads(functools.partial(loss, layer), (weights, xs), order=1, modes=["rev"])
    except AssertionError:
        return False
    return True


wrong = jax.grad(functools.partial(loss, broken), argnums=(0, 1))(weights, xs)
print(f"the broken one: finite, right in shape, relative error {relative(wrong, autodiff):.2f}")
assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(wrong))
assert passes(rnn)
assert not passes(broken)

# %% [markdown]
# It also has no forward mode: `jax.jvp` and `jax.jacfwd` refuse it. (`jax.hessian` does not: it differentiates the
# backward pass, which is ordinary JAX.) Hence `plain=True` in the library: the same layer, without a gradient of its own.

# %%
tangents = jax.tree.map(jnp.ones_like, lstm)
try:
    jax.jvp(lambda p: fast.lstm.forward(p, xs)[0], (lstm,), (tangents,))
    refused = False
except TypeError as error:
    refused = True
    print("jvp:", str(error).split(".")[0][:90])
assert refused
jax.jvp(lambda p: fast.lstm.forward(p, xs, plain=True)[0], (lstm,), (tangents,))
jax.jvp(jax.grad(functools.partial(loss, rnn)), (weights, xs), jax.tree.map(jnp.ones_like, (weights, xs)))

# %% [markdown]
# ## Memory: keep it or compute it again
#
# What a backward pass needs can be kept, or computed again from less. The layers of the library offer three ways
# (`save`):
#
# - `"all"` keeps the pre-activations, four blocks, and the states: nothing is computed twice but the elementwise part;
# - `"states"` keeps the states and forms the pre-activations of sixteen blocks of steps again, one large product each;
# - `"chunks"` keeps the state before each chunk of about √T steps, and runs each chunk once more.
#
# Beside them stand plain autodiff, which keeps every intermediate of every step, and `jax.checkpoint` around the step,
# which keeps what enters it. The loss reads the last state only, as a classifier does, so that no output has to be kept
# for it. The compiler knows how much memory it will need, before anything runs: no clock, no noise.

# %%
SIZES = {"batch": 16, "inputs": 8, "hidden": 64}
lstm32 = fast.lstm.init(0, SIZES["inputs"], SIZES["hidden"])


def last_state(how, params, xs):
    """The final h of an LSTM (B, H)."""
    if how != "remat":
        options = {"plain": True} if how == "plain" else {"save": how}
        return fast.lstm.forward(params, xs, **options)[1].h

    @jax.checkpoint
    def one_step(state, x):
        return fast.lstm.step(params, x, state)[1], None

    return lax.scan(one_step, fast.lstm.initial_state(params, xs.shape[1]), xs)[0].h


def square(how, params, xs):
    return (last_state(how, params, xs) ** 2).sum()


WAYS = {
    "plain": "plain autodiff",
    "all": 'save="all"',
    "states": 'save="states"',
    "remat": "checkpoint of each step",
    "chunks": 'save="chunks"',
}
LENGTHS = (64, 4096) if quick() else (64, 512, 4096)
unit = SIZES["batch"] * SIZES["hidden"] * 4  # bytes of one state
rows = []
for steps in LENGTHS:
    shape = jax.ShapeDtypeStruct((steps, SIZES["batch"], SIZES["inputs"]), jnp.float32)
    for how in WAYS:
        function = functools.partial(square, how)
        lowered = jax.jit(jax.grad(function)).lower(lstm32, shape)
        compiled = lowered.compile({"xla_backend_optimization_level": 0})  # it will not run: compile it quickly
        rows.append({"T": steps, "way": how, "states": compiled.memory_analysis().temp_size_in_bytes / unit})
memory = pd.DataFrame(rows).pivot(index="T", columns="way", values="states")[list(WAYS)]
print("memory for the gradient, in states (B, H) of float32:")
print(memory.round(0).astype(int).to_string())

longest = memory.loc[LENGTHS[-1]]
assert longest["plain"] > 1.8 * longest["all"] > 1.8 * 1.8 * longest["states"]
assert longest["states"] > 8 * longest["chunks"]
for how, (low, high) in {"plain": (12, 20), "all": (5, 9), "states": (2, 4), "remat": (1.5, 3)}.items():
    assert low < longest[how] / LENGTHS[-1] < high, how
assert (memory["chunks"] / np.sqrt(memory.index) < 20).all()
growth = np.log2(longest / memory.loc[64]) / 6  # the exponent of T
assert growth["plain"] > 0.95
assert growth["chunks"] < 0.65  # about √T

# %% [markdown]
# Sixteen states for each step with plain autodiff, seven with `"all"`, three or two where things are computed again,
# and with chunks ten to sixteen √T in all. The price is arithmetic. **Predict before you run:** by how much do the
# multiplications of a gradient grow with `"states"` and with `"chunks"`?

# %%
xs32 = np.zeros((1024, SIZES["batch"], SIZES["inputs"]), np.float32)
work = {how: counted(functools.partial(square, how), lstm32, xs32) for how in WAYS}
for how, (steps, number) in work.items():
    print(f"{WAYS[how]:24} {number / work['all'][1]:.2f} times the multiplications of save='all'; {steps} products")
for how in ("states", "chunks", "remat"):
    assert 1.25 < work[how][1] / work["all"][1] < 1.4

# %% [markdown]
# A third more, since the forward products are a third of all; and nothing else changes:

# %%
xs32 = rng.standard_normal((96, SIZES["batch"], SIZES["inputs"])).astype(np.float32)
gradients = {}
for how in WAYS:
    lowered = jax.jit(jax.grad(functools.partial(square, how))).lower(lstm32, xs32)
    gradients[how] = lowered.compile({"xla_backend_optimization_level": 0})(lstm32, xs32)  # quicker, for a single call
    assert relative(gradients[how], gradients["plain"]) < 1e-4, how
print("all five give the same gradient, to the rounding of float32")


# %%
def draw_memory(data):
    """Memory of a gradient against the number of steps, both logarithmic."""
    figure = Figure(figsize=SMALL, layout="constrained")
    axes = figure.subplots()
    styles = {
        "plain": (WRONG, "o-"),
        "all": (RIGHT, "o-"),
        "states": (RIGHT, "s--"),
        "remat": (OTHER_COLOURS[1], "^-"),
        "chunks": (RIGHT, "D:"),
    }
    for how, (colour, style) in styles.items():
        axes.loglog(data.index, data[how] * unit / 2**20, style, color=colour, label=WAYS[how])
    axes.set_xticks(data.index, [f"{steps:,}" for steps in data.index])
    axes.minorticks_off()
    axes.set_xlabel("steps T    (LSTM, batch 16, 64 units, float32)")
    axes.set_ylabel("temporary memory\nof a gradient, MiB")
    axes.legend(frameon=False, fontsize=8.5)
    tidy(axes)
    return figure


keep(draw_memory(memory), "16_custom_vjp", memory, digits=3)

# %% [markdown]
# Two remarks. What the figure shows is what this compiler plans for a CPU; others fuse differently, and a loss that
# reads all outputs adds one or two arrays (T, B, H) to every line. And arithmetic is not time: `"states"` repeats its
# products in a few large ones, the other two step by step, which is serial work.
#
# ## Exercises
#
# 1. `minirnn learn start jax_custom_vjp`: write the residuals and the backward pass of one step, and have it judged.
#    (`minirnn learn start rnn_backward` first if the loop above was new to you.)
# 2. Put a `jax.checkpoint` around √T steps of a scan of scans. Does its line meet that of `"chunks"`?
