# %% [markdown]
# # One LSTM step by hand
#
# We take one step of an LSTM, forward and backward, in NumPy; check the gradient without trusting any library; and then
# ask JAX. Everything is small: a batch of B = 2 sequences, D = 3 inputs, H = 4 hidden units.

# %%
import jax
import numpy as np

from minirnn import equations, fast, readable
from minirnn.params import LSTM_GATES, LSTMState, gate_block

jax.config.update("jax_enable_x64", True)  # 64-bit numbers, so that rounding does not hide mistakes
rng = np.random.default_rng(0)
B, D, H = 2, 3, 4
params = readable.lstm.init(rng, D, H, dtype=np.float64)
x = rng.standard_normal((B, D))
state = LSTMState(h=rng.standard_normal((B, H)), c=rng.standard_normal((B, H)))

# %% [markdown]
# ## Forward
#
# These are the equations of the step. Each number stands in a comment on the line of `minirnn/readable/lstm.py` that
# computes it.

# %%
for equation in equations.select("L1-L7"):
    print(f"{equation.id:4} {equation.plain}")

# %% [markdown]
# The four gates lie side by side in one array, in the order i, f, g, o. The forget gate's bias starts at 1: a fresh LSTM
# remembers.

# %%
forget = gate_block("f", LSTM_GATES, H)
assert (params.b[forget] == 1).all()
y, new_state, cache = readable.lstm.step(params, x, state)
print("forget gate, sequence 0:", cache.gates.f[0].round(2))

# The same step, by hand: L1, L3 and L6.
z = x @ params.Wx + state.h @ params.Wh + params.b
f = 1 / (1 + np.exp(-z[:, forget]))
np.testing.assert_allclose(f, cache.gates.f)
np.testing.assert_allclose(new_state.c, f * state.c + cache.gates.i * cache.gates.g)

# %% [markdown]
# ## Backward
#
# Let the loss be the sum of all outputs. Its gradient with respect to y is 1 everywhere; nothing arrives from a later
# step. **Predict before you run:** which is larger on average, the gradient with respect to the old c or to the old h?

# %%
dy = np.ones_like(y)
nothing = LSTMState(np.zeros((B, H)), np.zeros((B, H)))
dparams, dx, dstate = readable.lstm.step_backward(dy, nothing, cache)
for equation in equations.select("L8-L18"):
    print(f"{equation.id:4} {equation.plain}")
# c is the larger one: it reaches the new c through one product with f, near 1 here. h has to pass a sigmoid or a tanh,
# whose slopes are at most 1/4 and 1, and small weights.
print("mean |dc|:", np.abs(dstate.c).mean().round(3), " mean |dh|:", np.abs(dstate.h).mean().round(3))

# %% [markdown]
# ## Is it right? The complex step
#
# A finite difference subtracts two nearly equal numbers. The complex step does not subtract at all: for an analytic
# function, `f(w + i h) = f(w) + i h f'(w) + O(h^2)`, so the imaginary part divided by h *is* the derivative, to the last
# digit, however small h is. That is why the NumPy half of minirnn works on complex numbers.


# %%
def loss(Wh):
    return readable.lstm.step(params._replace(Wh=Wh), x, state)[0].sum()


exact = np.zeros_like(params.Wh)
for index in np.ndindex(exact.shape):
    moved = params.Wh.astype(complex)
    moved[index] += 1e-30j
    exact[index] = loss(moved).imag / 1e-30
error = np.linalg.norm(dparams.Wh - exact) / np.linalg.norm(exact)
print(f"dWh by hand against the complex step: relative error {error:.1e}")
assert error < 1e-14

# %% [markdown]
# ## Now ask JAX
#
# The JAX half holds the same forward lines. It has no backward: JAX derives it. Two derivations, one by a person and one
# by a program, give the same numbers.

# %%
gradient = jax.grad(lambda p: fast.lstm.step(p, x, state)[0].sum())(params)
for name in params._fields:
    error = np.linalg.norm(getattr(gradient, name) - getattr(dparams, name)) / np.linalg.norm(getattr(dparams, name))
    print(f"d{name:3} JAX against by hand: relative error {error:.1e}")
    assert error < 1e-14

# %% [markdown]
# ## Exercises
#
# 1. Break L10: drop the `1 - tanh_c**2` in a copy of `update_backward`. Which gradients change, and which do not?
# 2. Write the complex step for `dx` and for `dstate.c`.
