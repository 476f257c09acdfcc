# %% [markdown]
# # Reading sources critically
#
# Minutes: 20. Before: the LSTM and GRU equations; precision, recall and F1; what an RMSE is.
#
# Much of what one finds about LSTMs on the web is nearly right. Here are five lecture notes and articles that circulate
# on the web, called A to E. Each holds misprints, or code that cannot run. None of them is rare, and none is malicious:
# formulas are copied, names are mixed up, numbers come from different runs. Afterwards you can
#
# - refute a formula in a minute: by shapes, by limits, by invariants, or by running it;
# - check a table of results without having the data;
# - turn a claim ("gates cure exploding gradients") into a measurement.

# %%
import ast
import importlib.util
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
from matplotlib.figure import Figure

from minirnn import equations, fast, readable
from minirnn.fast import losses, network, platforms
from minirnn.inspect.lessons import CELL_COLOURS, RIGHT, WRONG, keep, quick, tidy
from minirnn.models import metrics
from minirnn.params import LSTMGates, LSTMState, stack
from minirnn.readable.activations import blocks, sigmoid

rng = np.random.default_rng(0)

# %% [markdown]
# ## By shapes
#
# **B** works an example: the input is one number at each step, the state begins at zero, and each gate has a W of shape
# 3 × 2 for the vector [h, x]. The first step can be read so that it works (h as the single number 0). It gives a state
# of three numbers. The second step then multiplies a 3 × 2 matrix by four numbers:

# %%
W, bias = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]), np.array([0.1, 0.2, 0.3])
z = W @ [0.0, 1.0] + bias  # h = 0, x = 1; all four blocks of the example have the same weights
i = o = sigmoid(z)
c = np.tanh(z)
memory = i * c  # its h; nothing to forget yet
second = [*memory, 2.0]  # [h, x] of the second step
np.testing.assert_raises(ValueError, np.matmul, W, second)
print(f"B, second step: W {W.shape} times a vector of {len(second)} cannot be formed; W has to be (3, 4)")

# The same example then loses a tanh on the way: y = o tanh(h) becomes o i c. In B's list of formulas there is one too
# many: o becomes o tanh(h), and then y = o tanh(h).
right, lost, twice = o * np.tanh(memory), o * i * c, o * np.tanh(memory) ** 2
print("B, output:", right.round(3), "in the example:", lost.round(3), "in the list:", twice.round(3))
assert min(abs(wrong / right - 1).max() for wrong in (lost, twice)) > 0.05

# %% [markdown]
# **A** feeds windows of five numbers to a network built for ten, two windows with five labels; a library that checks
# shapes refuses at once. **C** writes the same weight name for the input and for the state, and for several gates: that
# needs D = H, and leaves five matrices where an LSTM has eight, three where a GRU has six.

# %%
SMALL_LSTM = stack("lstm", 8)
weights = network.init(0, SMALL_LSTM, input_size=10)
five = np.ones((4, 2, 5), np.float32)
np.testing.assert_raises_regex(ValueError, r"\(4, 2, 5\).*D = 10", network.forward, SMALL_LSTM, weights, five)

NAMES = "ii ih if if ic ih io ih", "iz ih ir ih ih ir"  # C's W, gate by gate: of x, then of h
assert [len(set(names.split())) for names in NAMES] == [5, 3]
D = H = 6  # the only case in which C's formulas can be computed at all
lstm = readable.lstm.init(1, D, H, np.float64)
W_ih, W_if = lstm.Wh[:, :H], lstm.Wx[:, H : 2 * H]
shared = lstm._replace(Wh=np.concatenate([W_ih, W_if, W_ih, W_ih], axis=1))  # i f g o
xs = rng.standard_normal((30, 4, D))
ys, shared_ys = (readable.lstm.forward(weights, xs)[0] for weights in (lstm, shared))
difference = np.linalg.norm(shared_ys - ys) / np.linalg.norm(ys)
print(f"C: an LSTM with five matrices instead of eight has outputs that differ by {difference:.0%}")
assert difference > 0.1

# %% [markdown]
# **A** also gives the GRU three gates, and praises it for having fewer parameters than the LSTM, which has three.
# Count: a gate is a block of weights, and each cell has one more block, the candidate.

# %%
size = {name: sum(a.size for a in getattr(readable, name).init(0, 10, 64)) for name in ("lstm", "gru")}
count = {name: getattr(readable, name).CELL.blocks for name in size}
print(f"blocks {count}, numbers {size}")
assert count == {"lstm": 3 + 1, "gru": 2 + 1}
assert 0.74 < size["gru"] / size["lstm"] < 0.76  # with three gates it would be as many

# %% [markdown]
# ## By limits
#
# **C** names tanh the hyperbolic *sine*. Ask what the symbol does far out: tanh stays below 1, sinh grows like an
# exponential. **Predict before you run:** what does an LSTM with sinh compute after 60 steps?


# %%
def sinh_update(zx, zh, state, extra):
    z_i, z_f, z_g, z_o = blocks(zx + zh, 4)
    i, f, g, o = sigmoid(z_i), sigmoid(z_f), np.sinh(z_g), sigmoid(z_o)
    c = f * state.c + i * g
    h = o * np.sinh(c)
    return h, LSTMState(h, c), LSTMGates(i, f, g, o, c, np.sinh(c))


SINH = readable.lstm.CELL._replace(update=sinh_update)
long = rng.standard_normal((60, 4, D))
with np.errstate(over="ignore", invalid="ignore"):
    wild, _, _ = readable.engine.forward(SINH, lstm, long)
tame, _, _ = readable.lstm.forward(lstm, long)
broken = int(np.argmin(np.isfinite(wild).all(axis=(1, 2))))
print(f"C: with sinh the outputs are no numbers from step {broken} on; with tanh the largest is {abs(tame).max():.2f}")
assert not np.isfinite(wild[-1]).all()
assert abs(tame).max() < 1

# %% [markdown]
# **D** calls i the forget gate and f the input gate. Which is which? Close one of them, and ask whether the old memory
# still counts:

# %%
moved = {}
for k, gate in enumerate("if"):
    closed = lstm._replace(b=lstm.b - 40 * (np.arange(4 * H) // H == k))
    new = [readable.lstm.gates(closed, xs[:1], LSTMState(0 * ys[0], c + 0 * ys[0])).c for c in (1, -1)]
    moved[gate] = abs(new[0] - new[1]).max()
    print(f"D: {gate} closed, old memory 1 or -1: the new memory differs by {moved[gate]:.2g}")
assert moved["f"] < 1e-12 < 0.1 < moved["i"]  # f it is that forgets

# %% [markdown]
# Then D computes four gates and never a memory, calls g the hidden state, and lets the output be o = o g. Taken at its
# word, neither i nor f acts on anything. Differentiate, and see:


# %%
def without_memory(zx, zh, state, extra, note):
    _, _, z_g, z_o = jnp.split(zx + zh, 4, axis=-1)
    g = jnp.tanh(z_g)
    return jax.nn.sigmoid(z_o) * g, LSTMState(g, state.c)


def last(cell, weights, xs):
    return (fast.engine.forward(cell, weights, xs)[0][-1] ** 2).sum()


as_printed = fast.lstm.CELL._replace(update=without_memory)
for name, cell in {"D as printed": as_printed, "LSTM": fast.lstm.CELL}.items():
    dparams = jax.grad(last, argnums=1)(cell, lstm, xs)
    norms = [np.linalg.norm(block) for block in np.split(np.asarray(dparams.Wx), 4, axis=1)]
    print(f"{name:12} norms of dWx of i, f, g, o: " + ", ".join(f"{n:.3f}" for n in norms))
    assert [n > 0 for n in norms] == ([True] * 4 if name == "LSTM" else [False, False, True, True])

# %% [markdown]
# **B** calls r the update gate and z the reset gate, and blends h = r h' + (1-r) c, c = z c' + (1-z) n. That is a cell
# one can compute (`gru_two_state`), but its "reset gate" resets nothing. The limit shows it: close that gate, and ask
# whether the candidate still depends on the old state.

# %%
for equation in equations.select("G4, T4-T6"):
    print(f"{equation.id:3} {equation.plain}")
depends = {}
for name, block in {"gru": 0, "gru_two_state": 1}.items():  # the block that is called reset gate: r here, z in B
    module = getattr(readable, name)
    weights = module.init(2, D, H, np.float64)
    weights.b[block * H : (block + 1) * H] = -40  # closed
    states = [np.full((1, H), 0.8), np.full((1, H), -0.8)]
    if name == "gru_two_state":
        states = [module.initial_state(weights, 1)._replace(h=h) for h in states]
    n = [module.gates(weights, np.full((1, 1, D), 0.5), state).n for state in states]
    depends[name] = abs(n[0] - n[1]).max()
    print(f"{name:14} 'reset gate' closed: another old state moves the candidate by {depends[name]:.1e}")
assert depends["gru"] < 1e-12
assert depends["gru_two_state"] > 0.1

# %% [markdown]
# ## By invariants
#
# Tables can be checked without their data. **D** reports MSE 0.029, MAE 0.031 and RMSE 0.053 of one forecast. The RMSE
# is the root of the MSE, whatever the data. And D translates MAE as mean *squared* error: it is the mean absolute one.

# %%
pair = rng.standard_normal((2, 1000))  # any truth, any forecast
assert np.isclose(metrics.rmse(*pair), metrics.mse(*pair) ** 0.5)
print(f"of random numbers: mean absolute error {metrics.mae(*pair):.2f}, mean squared error {metrics.mse(*pair):.2f}")
assert not np.isclose(metrics.mae(*pair), metrics.mse(*pair), rtol=0.1)
print(f"D: root of the MSE {0.029**0.5:.3f}, RMSE printed 0.053; that would need an MSE of {0.053**2:.4f}")
assert 0.0285**0.5 > 0.0535  # whatever the rounding

# %% [markdown]
# **B** prints precision, recall and F1 of eight classes. F1 is the harmonic mean of the other two, and lies between
# them. All have three digits (a fourth one is always 0), so each row leaves an interval of possible F1. (The model beside
# the table has a single sigmoid as its output: it could not have told eight classes apart.)

# %%
table = pd.DataFrame(
    {
        "precision": [0.928, 0.906, 0.875, 0.883, 0.913, 0.913, 0.963, 0.964],
        "recall": [0.906, 0.805, 0.856, 0.782, 0.898, 0.894, 0.957, 0.965],
        "printed": [0.917, 0.855, 0.871, 0.811, 0.906, 0.904, 0.961, 0.966],
    }
)
HALF = 0.0005  # of the last digit
for name, shift in {"lowest": -HALF, "recomputed": 0.0, "highest": HALF}.items():
    p, r = table["precision"] + shift, table["recall"] + shift
    table[name] = 2 * p * r / (p + r) + shift
table["possible"] = table["printed"].between(table["lowest"], table["highest"])
print(table[["precision", "recall", "printed", "recomputed", "possible"]].round(4).to_string(index=False))
assert list(table.index[~table["possible"]]) == [1, 2, 3, 6, 7]
assert table["printed"][7] > max(table["precision"][7], table["recall"][7])  # a mean above both of its parts

# %% [markdown]
# Five of eight rows are impossible: one by a hair, three by far.
#
# ## By running it
#
# **A** trains in a loop that computes a loss, adds it up and prints it, but never calls a backward pass or the
# optimiser. Its test rows are drawn from the training rows. Both can be seen without A's libraries:

# %%
rows = rng.standard_normal((1, 2, 10)).astype(np.float32), np.array([[0.0], [1.0]], np.float32)


@jax.jit
@jax.value_and_grad
def loss_and_gradient(weights):
    return losses.mse(network.forward(SMALL_LSTM, weights, rows[0])[0], rows[1])


for name, updates in {"as printed": False, "with updates": True}.items():
    weights, seen = network.init(0, SMALL_LSTM, input_size=10), []
    for _ in range(20):
        loss, dweights = loss_and_gradient(weights)
        seen.append(float(loss))
        if updates:  # A has neither this line nor the gradient
            weights = jax.tree.map(lambda w, dw: w - 0.1 * dw, weights, dweights)
    print(f"A {name}: loss of the first epoch {seen[0]:.4f}, of the last {seen[-1]:.4f}")
    assert seen[-1] < 0.5 * seen[0] if updates else seen[-1] == seen[0]

train = pd.DataFrame({"value": rng.standard_normal(50)}).sample(frac=0.8, random_state=0)
test = train.dropna()  # what A does; nothing is missing, so nothing is dropped
print(f"A: {test.index.isin(train.index).mean():.0%} of the test rows are training rows, out of their order in time")
assert test.equals(train)
assert not train.index.is_monotonic_increasing

# %% [markdown]
# **E** says that it uses the function `lstm` of PyTorch's `nn.functional`, and a layer `nn.TransformStack`. Before you
# build on a name, look it up. Where PyTorch is installed, its source can be read without running it:

# %%
torch = importlib.util.find_spec("torch")
if torch is None:
    print("E: PyTorch is not installed here, so we cannot look")
else:
    sources = [Path(torch.origin).parent / "nn" / name for name in ("functional.py", "modules/__init__.py")]
    functions, layers = (path.read_text(encoding="utf-8") for path in sources)
    defined = {node.name for node in ast.parse(functions).body if isinstance(node, ast.FunctionDef)}
    print(f"E: of {len(defined)} functions of nn.functional, lstm is one: {'lstm' in defined}")
    assert ("softmax" in defined, "lstm" in defined) == (True, False)
    assert ("LSTMCell" in layers, "TransformStack" in layers) == (True, False)

# %% [markdown]
# ## Claims, measured
#
# **B** and **E**: gates cure vanishing *and exploding* gradients. The gates open a path on which little vanishes. Do
# they also bound what comes through h Wh? We scale recurrent weights, and look at the gradient of the last output with
# respect to the input so many steps before. **Predict before you run:** which cells explode?

# %%
STEPS, UNITS, SCALES = 60, 32, (1, 6)


def gradient_by_lag(cell, scale):
    """The norm of dx, averaged over a batch: (STEPS,), lag 0 first."""
    module = getattr(readable, cell)
    weights = module.init(3, 4, UNITS, np.float64)
    weights = weights._replace(Wh=scale * weights.Wh)
    inputs = np.random.default_rng(4).standard_normal((STEPS, 16, 4)) * 0.1
    ys, _, cache = module.forward(weights, inputs)
    of_the_last = np.ones_like(ys) * (np.arange(STEPS) == STEPS - 1)[:, None, None] / UNITS**0.5
    _, dxs, _ = module.backward(of_the_last, None, cache)
    return np.linalg.norm(dxs, axis=-1).mean(axis=1)[::-1]


RUNS = {f"{cell} times {scale}": (cell, scale) for cell in ("rnn", "lstm", "gru") for scale in SCALES}
lags = pd.DataFrame({name: gradient_by_lag(*run) for name, run in RUNS.items()})
growth = lags.iloc[-1] / lags.iloc[0]
print("growth of the gradient:", ", ".join(f"{name}: {by:.0e}" for name, by in growth.items()))
assert min(growth["lstm times 6"], growth["gru times 6"]) > 1e3
assert growth["rnn times 6"] > 1e3 * max(growth["lstm times 6"], growth["gru times 6"])

# %% [markdown]
# Every cell explodes with large recurrent weights. The gates make that many orders of magnitude smaller, and do not
# cure it: they are bounded, the product with Wh is not. What helps is clipping, and a start with smaller weights.
#
# **E**: the training of an LSTM can run in parallel. Over what? We count the steps that have to wait for another step,
# in the gradient's program as JAX traces it.


# %%
def waiting(jaxpr):
    """Steps one after another: the lengths of all scans of a traced program."""
    total = 0
    for equation in jaxpr.eqns:
        assert equation.primitive.name != "while"  # whose steps nobody could count
        inside = [getattr(value, "jaxpr", value) for value in equation.params.values()]
        within = sum(waiting(each) for each in inside if hasattr(each, "eqns"))
        total += max(equation.params["length"], within) if equation.primitive.name == "scan" else within
    return total


def steps_of(cell, T, B):
    module = getattr(fast, cell)
    with platforms.compiling_for("gpu"):  # the form that is meant for many processors
        program = jax.make_jaxpr(jax.grad(lambda w, xs: (module.forward(w, xs)[0] ** 2).sum()))
        return waiting(program(module.init(0, 4, 8), np.zeros((T, B, 4), np.float32)).jaxpr)


print(f"steps of loops that wait, T = 128: LSTM {steps_of('lstm', 128, 1)}, minGRU {steps_of('mingru', 128, 1)}")
assert steps_of("lstm", 32, 1) == steps_of("lstm", 32, 64) == 2 * 32
assert steps_of("mingru", 128, 1) == 0

# %% [markdown]
# Over sequences yes: a batch of 64 waits no longer than a single one. Over time no: there are T steps forwards and T
# steps backwards, in that order. A cell whose gates do not read the state is another matter: no loop, but about 2 log₂ T
# rounds (tutorial 17).
#
# **A**, **B** and **C**: the GRU is faster; and **C**: the LSTM overfits more. Three blocks instead of four are three
# quarters of the multiplications; what a clock makes of that depends on machine and library (it is printed, not
# asserted). For the second claim we let both overfit: 48 noisy waves to learn from, 24 units, 300 updates with all data at once. The
# gap is the error on 400 new waves minus that on those learned. **And all of it sixteen times, with new data.**

# %%
WAVES, LENGTH, SETS, UPDATES, rng = 48, 16, 16, 150 if quick() else 300, np.random.default_rng(0)


def waves(count):
    """Noisy sines of random frequency -> (SETS, T, count, 1), and the value that follows (SETS, count, 1)."""
    frequency, phase = rng.uniform(0.2, 0.6, (SETS, count, 1)), rng.uniform(0, 2 * np.pi, (SETS, count, 1))
    noisy = np.sin(frequency * np.arange(LENGTH + 1) + phase) + 0.3 * rng.standard_normal((SETS, count, LENGTH + 1))
    noisy = noisy.astype(np.float32)
    return noisy[:, :, :LENGTH].swapaxes(1, 2)[..., None], noisy[:, :, LENGTH:]


learned, new, optimizer = waves(WAVES), waves(400), optax.adam(5e-3)


def gap_after_training(description, params, learned, new):
    def error(params, data):
        return losses.mse(network.forward(description, params, data[0])[0], data[1])

    def one_update(carry, _):
        params, state = carry
        updates, state = optimizer.update(jax.grad(error)(params, learned), state, params)
        return (optax.apply_updates(params, updates), state), None

    (params, _), _ = jax.lax.scan(one_update, (params, optimizer.init(params)), None, length=UPDATES)
    return error(params, new) - error(params, learned)


gap = {}
for cell in ("gru", "lstm"):
    description = stack(cell, 24)
    members = jax.tree.map(lambda *a: jnp.stack(a), *(network.init(seed, description, 1) for seed in range(SETS)))
    of_sets = jax.jit(jax.vmap(lambda *arguments, d=description: gap_after_training(d, *arguments)))
    run = of_sets.lower(members, learned, new).compile()
    started = time.perf_counter()
    gap[cell] = np.asarray(run(members, learned, new))
    print(f"{cell:4} gap {np.median(gap[cell]):.2f} (from {gap[cell].min():.2f} to {gap[cell].max():.2f}), ", end="")
    print(f"{time.perf_counter() - started:.1f} s on this machine")
more = gap["lstm"] - gap["gru"]
error = more.std(ddof=1) / SETS**0.5
print(f"LSTM less GRU: {more.mean():.3f} ± {error:.3f}; the LSTM overfits more in {(more > 0).sum()} of {SETS} sets")
assert min(np.median(gap["gru"]), np.median(gap["lstm"])) > 0.15  # both do overfit
assert 0 < np.mean(more > 0) < 1
assert abs(more.mean()) < min(3 * error, 0.3 * np.median(gap["gru"]))

# %% [markdown]
# Whoever takes one set of data can prove that the LSTM overfits more; whoever takes the next one can prove the
# opposite. Over all of them nothing is to be seen beyond the noise, although the LSTM has a third more weights. It is one
# task and one size, and proves nothing about others; but a claim about all tasks would have to hold for this one.


# %%
def draw_both(table, lags):
    """Above: printed F1 and what is possible. Below: gradient against lag, with recurrent weights times six."""
    figure = Figure(figsize=(6.0, 6.0), layout="constrained")
    above, below = figure.subplots(2, 1)
    middle = (table["highest"] + table["lowest"]) / 2
    height = table["highest"] - table["lowest"]
    above.bar(table.index + 1, height, 0.6, -height / 2, color="#cccccc", label="possible, from precision and recall")
    for possible, colour, marker in ((True, RIGHT, "o"), (False, WRONG, "X")):
        part, label = table["possible"] == possible, f"printed: {'possible' if possible else 'impossible'}"
        above.plot(table.index[part] + 1, (table["printed"] - middle)[part], marker, color=colour, label=label)
    above.set_xticks(table.index + 1, [f"{value:.3f}" for value in table["printed"]])
    above.set_xlabel("F1 as printed, row by row")
    above.set_ylabel("distance from the\nrecomputed F1")
    above.set_title("Eight printed values of F1, held against precision and recall", fontsize=10, loc="left")
    above.legend(frameon=False, fontsize=9, loc="center right")
    for name, (cell, scale) in RUNS.items():
        label = f"{cell.upper()}, {'as initialised' if scale == 1 else f'times {scale}'}"
        below.semilogy(lags.index, lags[name], "--" if scale == 1 else "-", color=CELL_COLOURS[cell], label=label)
    below.set_xlabel("steps from the input x to the output that the gradient comes from")
    below.set_ylabel("norm of dx")
    below.set_title("Gates do not cure exploding gradients (times 6: the weights Wh)", fontsize=10, loc="left")
    below.legend(frameon=False, fontsize=8, ncols=2)
    tidy(above, below)
    return figure


both = pd.concat([table, lags], axis=1).rename_axis("row or lag")  # rows 0 to 7 of the table, lags 0 to 59
keep(draw_both(table, lags), "19_reading_sources_critically", both)

# %% [markdown]
# ## Exercises
#
# 1. `minirnn learn start broken_gru`: a backward pass with one wrong term; which?
# 2. `minirnn learn start broken_course`: the mistakes that a course handed out. Which terms are wrong?
# 3. Find a claim of your own, and write down *before* measuring which number would refute it.
