# %% [markdown]
# # Attention, backwards
#
# Minutes: 20. Before: the chain rule for products of matrices; what attention computes; backpropagation through time.
#
# Attention is three lines forwards. Backwards it hides two traps: the derivative of a softmax is a full matrix, and an
# encoder state receives gradients from several places, which have to be added. Afterwards you can
#
# - write the Jacobian of a softmax, and apply it without ever forming it;
# - say why scores are divided by a root;
# - name all paths on which a gradient reaches an encoder state, and measure each of them;
# - see what a trained alignment does to these paths.

# %%
import functools

import jax
import numpy as np
import optax
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from minirnn import equations, readable
from minirnn.fast import seq2seq
from minirnn.inspect.lessons import keep
from minirnn.params import EncoderDecoder

# %% [markdown]
# ## The softmax and its Jacobian
#
# A query asks S keys; the scores e become weights a that add up to one. Because they add up to one, no weight can move
# alone: raising one score takes from all other weights. In numbers, da_s/de_u = a_s (δ_su - a_u): a diagonal matrix
# minus an outer product.

# %%
for equation in equations.select("A5, A7-A9"):
    print(f"{equation.id:4} {equation.plain}")


def softmax(e):
    exponentials = np.exp(e - e.real.max())
    return exponentials / exponentials.sum()


rng = np.random.default_rng(0)
e, da = rng.standard_normal((2, 6))
a = softmax(e)
jacobian = np.diag(a) - np.outer(a, a)  # (S, S)
by_complex_step = np.stack([softmax(e + 1e-30j * row).imag / 1e-30 for row in np.eye(6)])
np.testing.assert_allclose(jacobian, by_complex_step, atol=1e-15)
assert abs(jacobian.sum(axis=0)).max() < 1e-15  # what one weight gains the others lose
np.testing.assert_allclose(a * (da - (a * da).sum()), jacobian @ da)  # A9 is this product, S numbers instead of S²
np.testing.assert_allclose(jacobian @ (da + 5), jacobian @ da, atol=1e-14)  # praise for all is praise for none
print("A9 equals the product with the Jacobian; a constant added to da changes nothing")

# %% [markdown]
# ## Why the root
#
# The dot product of two vectors of K standard normal numbers has a standard deviation of √K. With large scores one
# weight is nearly one and all others nearly zero: then a_s (δ_su - a_u) is nearly zero everywhere, and next to nothing is
# learned about where to look. A1 divides by √K. **Predict before you run:** for K = 256 and 10 keys, how large is the largest weight
# with and without the root?

# %%
K, KEYS = 256, 10
sureness, slope = {}, {}
for name, divisor in {"with the root": K**0.5, "without": 1.0}.items():
    draws = [softmax(rng.standard_normal((KEYS, K)) @ rng.standard_normal(K) / divisor) for _ in range(300)]
    sureness[name] = np.mean([a.max() for a in draws])
    slope[name] = np.median([np.linalg.norm(np.diag(a) - np.outer(a, a)) for a in draws])
    print(f"{name:14}: largest weight {sureness[name]:.2f} on average; median norm of the Jacobian {slope[name]:.1e}")
assert sureness["with the root"] < 0.6
assert sureness["without"] > 0.9
assert slope["without"] < slope["with the root"] / 10

# %% [markdown]
# ## Two gradients meet
#
# In an encoder-decoder the encoder's outputs k are the keys *and* the values. So what arrives at k is a sum: as values
# (A8) they are what the decoder reads, as keys (A11, A13 or A18) they decide how much of each is read. Whoever keeps
# one of the two gets a gradient of the right shape, of a plausible size, and wrong.

# %%
T, S, B, H = 5, 6, 2, 4
errors = {}
for kind in ("dot", "bilinear", "additive"):
    params = readable.attention.init(0, kind, H, H, 3 if kind == "additive" else None, np.float64)
    queries, k = rng.standard_normal((T, B, H)), rng.standard_normal((S, B, H))
    dcontext, direction = rng.standard_normal((T, B, H)), rng.standard_normal((S, B, H))
    _, _, cache = readable.attention.forward(params, queries, k, k)
    _, _, dkeys, dvalues = readable.attention.backward(dcontext, None, cache)
    moved = k + 1e-30j * direction
    exact = (readable.attention.forward(params, queries, moved, moved)[0] * dcontext).sum().imag / 1e-30
    for name, dk in {"both": dkeys + dvalues, "keys only": dkeys, "values only": dvalues}.items():
        errors[kind, name] = abs((dk * direction).sum() - exact) / abs(exact)
    print(
        f"{kind:9} relative error: "
        + ", ".join(f"{n} {errors[kind, n]:.0e}" for n in ("both", "keys only", "values only"))
    )
    assert errors[kind, "both"] < 1e-12
    assert min(errors[kind, "keys only"], errors[kind, "values only"]) > 1e-3

# %% [markdown]
# ## A network that has learned to look
#
# Strings of eight letters, to be written backwards. The training is four hundred batches in JAX; what follows is NumPy.

# %%
PAD, START, END, FIRST, LETTERS, LENGTH = 0, 1, 2, 3, 12, 8
NETWORK = EncoderDecoder(FIRST + LETTERS, FIRST + LETTERS, cell="gru", attention="bilinear", hidden_size=32)
BATCHES, BATCH = 400, 64
rng = np.random.default_rng(1)
sources = rng.integers(FIRST, FIRST + LETTERS, (BATCHES, LENGTH, BATCH))
targets = np.concatenate([sources[:, ::-1], np.full((BATCHES, 1, BATCH), END)], axis=1)
optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(1e-2, BATCHES)))


@jax.jit
def train(params, sources, targets):
    def one_batch(carry, batch):
        params, state = carry
        loss_of = functools.partial(seq2seq.loss, NETWORK)
        loss, dparams = jax.value_and_grad(loss_of)(params, batch[0], None, batch[1], None)
        updates, state = optimizer.update(dparams, state, params)
        return (optax.apply_updates(params, updates), state), loss

    return jax.lax.scan(one_batch, (params, optimizer.init(params)), (sources, targets))


fresh = seq2seq.init(0, NETWORK)
(trained, _), losses = train(fresh, sources, targets)
source = rng.integers(FIRST, FIRST + LETTERS, (LENGTH, 200))
written, _, _ = readable.seq2seq.greedy(NETWORK, jax.tree.map(np.asarray, trained), source, None, LENGTH + 1)
exact = (written[:LENGTH] == source[::-1]).all(axis=0).mean()
print(f"loss {losses[:20].mean():.2f} at first, {losses[-20:].mean():.4f} at the end; {exact:.0%} of new strings right")
assert exact > 0.9

# %% [markdown]
# ## Three paths
#
# Take one string, and ask of each letter that is written: what would make the network surer of it? That is the gradient
# of the right symbol's logit. It reaches the encoder state h_s
#
# 1. **as a value**: h_s is read, with the weight a_ts;
# 2. **as a key**: h_s decides how much of each state is read;
# 3. **through the recurrence**: h_s made h_{s+1}, and that one was a key and a value too; and the last state of the
#    encoder is the first of the decoder.
#
# The first two come from `attention.backward`. The third is what a backward pass over the later steps hands out for its
# initial state.


# %%
def paths(params, source, target):
    """Alignment (T, S), and the gradients of each right logit into each h_s by path: a dict of (T, S, H)."""
    target_in = readable.seq2seq.decoder_inputs(NETWORK, target)
    logits, cache = readable.seq2seq.forward(NETWORK, params, source, None, target_in)
    xs, hs = params.source_embedding[source], cache.encoder.outputs
    T, S, H = len(target), len(source), hs.shape[-1]
    found = {name: np.zeros((T, S, H)) for name in ("values", "keys", "recurrence")}
    for t in range(T):
        dlogits = np.zeros_like(logits)
        dlogits[t, 0, target[t, 0]] = 1
        dz = dlogits @ params.output.W.T * (1 - cache.o**2)  # Q6, Q8
        dj = dz @ params.combine.W.T  # Q9
        _, dqueries, dkeys, dvalues = readable.attention.backward(dj[..., :H], None, cache.attention)
        _, _, dfinal = readable.gru.backward(dj[..., H:] + dqueries, None, cache.decoder[0])
        found["values"][t], found["keys"][t] = dvalues[:, 0], dkeys[:, 0]
        for s in range(S):
            _, _, later = readable.gru.forward(params.encoder[0], xs[s + 1 :], hs[s])
            _, _, arriving = readable.gru.backward((dkeys + dvalues)[s + 1 :], dfinal, later)
            found["recurrence"][t, s] = arriving[0]
    return cache.weights[:, 0], found


def logit_from(params, source, target, s, h, t):
    """The right logit of step t, if the encoder's state after step s were h."""
    xs, target_in = params.source_embedding[source], readable.seq2seq.decoder_inputs(NETWORK, target)
    before, _, _ = readable.gru.forward(params.encoder[0], xs[:s])
    after, final, _ = readable.gru.forward(params.encoder[0], xs[s + 1 :], h)
    hs = np.concatenate([before, h[None], after])
    queries, _, _ = readable.gru.forward(params.decoder[0], params.target_embedding[target_in], final)
    context, _, _ = readable.attention.forward(params.attention, queries, hs, hs)
    o = np.tanh(np.concatenate([context, queries], axis=-1) @ params.combine.W + params.combine.b)  # Q3, Q4
    return (o @ params.output.W + params.output.b)[t, 0, target[t, 0]]  # Q5


word = np.array([[FIRST + "abcdefghijkl".index(letter)] for letter in "feedback"])
target = np.concatenate([word[::-1], [[END]]])
maps, keys_share = {}, {}
for name, weights in {"fresh": fresh, "trained": trained}.items():
    params = jax.tree.map(lambda array: np.asarray(array, np.float64), weights)
    alignment, found = paths(params, word, target)
    # Do the three of them add up to everything? Ask the complex step, at a few places.
    hs = readable.gru.forward(params.encoder[0], params.source_embedding[word])[0]
    for s, t in ((0, 7), (3, 2), (6, 1), (7, 8)):
        direction = rng.standard_normal((1, hs.shape[-1]))
        everything = logit_from(params, word, target, s, hs[s] + 1e-30j * direction, t).imag / 1e-30
        by_paths = sum(gradient[t, s] for gradient in found.values()) @ direction[0]
        np.testing.assert_allclose(by_paths, everything, rtol=1e-9, atol=1e-14)
    maps[name] = {"alignment": alignment} | {path: np.linalg.norm(g, axis=-1) for path, g in found.items()}
    share = {path: maps[name][path][:LENGTH].mean() for path in found}
    total = sum(share.values())
    print(f"{name:8}" + ", ".join(f"{path} {part / total:.0%}" for path, part in share.items()))

    # As a value a state gets the gradient of the context, times its weight (A8): nothing else.
    by_weight = maps[name]["values"] / alignment
    np.testing.assert_allclose(by_weight, by_weight[:, :1].repeat(LENGTH, axis=1), rtol=1e-6)
    # As keys the states share a sum of zero: no weight can move alone (A9), and with it no key.
    np.testing.assert_allclose(found["keys"].sum(axis=1), 0, atol=1e-9)
    keys_share[name] = share["keys"] / total

# %% [markdown]
# The three add up to what the complex step finds, which knows nothing of paths: nothing is missing. In the fresh
# network all weights are nearly alike and the scores nearly flat: the keys hardly matter. It is the values and the
# recurrence that learn at first. Only when the values differ does it pay to look at the right one, and the keys get
# their share.

# %%
assert maps["fresh"]["alignment"].max() < 0.2  # eight letters: 1/8 each would be alike
assert keys_share["fresh"] < 0.1
assert keys_share["trained"] > 2 * keys_share["fresh"]

# %% [markdown]
# And inside the trained network? Where one weight is nearly one, the Jacobian is nearly zero: there the keys get next
# to nothing. The more the network still hesitates between neighbours, the more they get.


# %%
doubt = 1 - maps["trained"]["alignment"].max(axis=1)  # (T,)
as_key = maps["trained"]["keys"].sum(axis=1)
for which, t in (("surest", doubt.argmin()), ("least sure", doubt.argmax())):
    print(f"{which:10} step {t}: largest weight {1 - doubt[t]:.3f}; gradient that reaches the keys {as_key[t]:.2f}")
together = np.corrcoef(np.log(doubt), np.log(as_key))[0, 1]
print(f"correlation of doubt (1 - the largest weight) and gradient over all steps, in logarithms: {together:.2f}")
assert as_key[doubt.argmin()] < np.median(as_key)
assert together > 0.5
assert maps["trained"]["values"].min() < 1e-3 < maps["trained"]["recurrence"].min()  # which leaves no state out

# %%
PATHS = {
    "alignment": "weight $a_{ts}$",
    "values": "as a value",
    "keys": "as a key",
    "recurrence": "through the recurrence",
}


def draw_maps(data):
    """Four maps of the trained network: rows are letters written, columns letters read."""
    figure = Figure(figsize=(6.0, 5.6), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True, sharey=True)
    gradients = data[list(PATHS)[1:]].to_numpy()
    norm = LogNorm(gradients.min(), gradients.max())
    for axes, (name, title) in zip(panels.flat, PATHS.items()):
        values = data.pivot(index="t", columns="s", values=name).to_numpy()
        if name == "alignment":
            first = axes.imshow(values, cmap="Greys", vmin=0, vmax=1)
        else:
            second = axes.imshow(values, cmap="cividis", norm=norm)
        axes.set_title(title, fontsize=10)
        axes.set_xticks(range(LENGTH), list("feedback"))
        axes.set_yticks(range(LENGTH + 1), [*"kcabdeef", "end"])
    for axes in panels[:, 0]:
        axes.set_ylabel("letter written")
    for axes in panels[1]:
        axes.set_xlabel("encoder state after letter")
    figure.colorbar(first, ax=panels[0, 0], shrink=0.8)
    label = "norm of the gradient of the right logit in $h_s$\n(below 1/10,000 of the largest: as that)"
    figure.colorbar(second, ax=panels[:, 1], label=label, shrink=0.8)
    return figure


data = pd.DataFrame(
    [
        {"t": t, "s": s} | {name: values[t, s] for name, values in maps["trained"].items()}
        for t in range(LENGTH + 1)
        for s in range(LENGTH)
    ]
).round({"alignment": 3})
gradients = list(PATHS)[1:]
data[gradients] = data[gradients].clip(lower=data[gradients].to_numpy().max() / 1e4)  # below: as good as nothing
keep(draw_maps(data), "15_attention_backward", data.set_index(["t", "s"]), digits=2)

# %% [markdown]
# Each row is one written letter, "feedback" backwards from the top. As a value, a state gets the alignment itself,
# scaled: the second map is the first one on another scale. As keys the right place and its neighbours share a sum of
# zero: "more of this one" is "less of those". The recurrence is no respecter of places: it brings something to every
# state, because each made all later ones.
#
# ## Exercises
#
# 1. `minirnn learn start broken_attention`: which line is wrong? Then write it all yourself, with padded keys:
#    `minirnn learn start attention_backward`.
# 2. Stop the gradient of the keys (`jax.lax.stop_gradient` around the keys in a copy of `_head` in
#    `minirnn/fast/seq2seq.py`). Does the network still learn to look? Now stop the values instead.
# 3. Draw the four maps for the fresh network. Why is the key map so dark?
