# %% [markdown]
# # Reversing strings: what attention is for
#
# A network reads a string of 1 to 12 letters and writes it backwards. That is simple to say and hard for a plain
# encoder-decoder: everything has to pass through one vector, the encoder's last state. With attention the decoder may
# look back at any letter that the encoder has read.

# %%
import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

from minirnn import equations
from minirnn.fast import seq2seq
from minirnn.params import EncoderDecoder

PAD, START, END, FIRST = 0, 1, 2, 3  # symbols 3 to 28 are the letters a to z
LETTERS, LONGEST = 26, 12

# %% [markdown]
# ## Strings without end
#
# Random strings cost nothing, so every batch is drawn afresh. Arrays are time-major: `source[t]` is the t-th letter of
# every string. A target ends with the end symbol, which counts as part of it.


# %%
def draw(key, count):
    """Count random strings -> source (12, count), lengths (count,), target (13, count)."""
    for_lengths, for_letters = jax.random.split(key)
    lengths = jax.random.randint(for_lengths, (count,), 1, LONGEST + 1)
    letters = jax.random.randint(for_letters, (LONGEST, count), FIRST, FIRST + LETTERS)
    t = jnp.arange(LONGEST + 1)[:, None]
    source = jnp.where(t[:-1] < lengths, letters, PAD)
    backwards = jnp.take_along_axis(letters, jnp.clip(lengths - 1 - t, 0), axis=0)
    target = jnp.where(t < lengths, backwards, jnp.where(t == lengths, END, PAD))
    return source, lengths, target


def text(symbols):
    return "".join(chr(ord("a") + s - FIRST) for s in np.asarray(symbols) if s >= FIRST)


source, lengths, target = draw(jax.random.key(0), 3)
for s, t in zip(source.T, target.T):
    print(f"{text(s):>12} -> {text(t)}")
assert all(text(s)[::-1] == text(t) for s, t in zip(source.T, target.T))

# %% [markdown]
# ## The two networks
#
# They differ in one word. With attention, each output h of the decoder is compared with every output k of the encoder,
# by the learned product q W kᵀ; the scores become weights that add up to one, and the context c is the mean of the
# encoder's outputs with these weights.

# %%
for equation in [*equations.select("A2, A5-A6"), *equations.select("Q3-Q5")]:
    print(f"{equation.id:4} {equation.plain}")

SIZES = {"source_vocabulary": FIRST + LETTERS, "target_vocabulary": FIRST + LETTERS, "hidden_size": 64}
PLAIN = EncoderDecoder(cell="gru", **SIZES)
ATTENTIVE = EncoderDecoder(cell="gru", attention="bilinear", **SIZES)

# %% [markdown]
# ## Training
#
# One thousand batches of 64 strings, all inside one compiled `lax.scan`. The decoder is fed the true letters (teacher
# forcing); the loss is the cross-entropy of each letter and of the end.

# %%
BATCHES, BATCH = 1000, 64
KEYS = jax.random.split(jax.random.key(1), BATCHES)
optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(5e-3, BATCHES)))


@functools.partial(jax.jit, static_argnums=0)
def train(description, params, keys):
    def one_batch(carry, key):
        params, state = carry
        source, lengths, target = draw(key, BATCH)
        loss, dparams = jax.value_and_grad(
            lambda p: seq2seq.loss(description, p, source, lengths, target, lengths + 1)
        )(params)
        updates, state = optimizer.update(dparams, state, params)
        return (optax.apply_updates(params, updates), state), loss

    (params, _), losses = jax.lax.scan(one_batch, (params, optimizer.init(params)), keys)
    return params, losses


# %% [markdown]
# ## The judgement
#
# Strings that training has not seen (the drawing of batches can be repeated, so we know which those are), written letter
# by letter without any help, and counted only if every letter and the end are right. **Predict before you run:** what
# share of them does each network get right?

# %%
batches = jax.jit(jax.vmap(lambda key: draw(key, BATCH)[0]))(KEYS)  # (batches, 12, 64)
seen = set(map(bytes, np.asarray(batches).swapaxes(1, 2).reshape(-1, LONGEST)))
source, lengths, target = map(np.asarray, draw(jax.random.key(2), 3000))
unseen = np.array([bytes(string) not in seen for string in np.ascontiguousarray(source.T)])
source, lengths, target = source[:, unseen], lengths[unseen], target[:, unseen]
print(f"{unseen.sum()} of {len(unseen)} strings are unseen; the others are short: {26 + 26**2} have one or two letters")

trained, exact = {}, {}
for name, description in {"without attention": PLAIN, "with attention": ATTENTIVE}.items():
    started = time.perf_counter()
    params, losses = jax.block_until_ready(train(description, seq2seq.init(0, description), KEYS))
    seconds = time.perf_counter() - started
    written, _, weights = seq2seq.greedy(description, params, source, lengths, LONGEST + 1)
    right = np.asarray(written == target).all(axis=0)
    trained[name], exact[name] = params, right.mean()
    by_length = "  ".join(f"{n}: {right[lengths == n].mean():4.0%}" for n in (3, 6, 9, 12))
    print(
        f"{name:18} {exact[name]:6.1%} exact ({by_length} by length)  loss {losses[-50:].mean():.4f}  {seconds:.0f} s"
    )

assert exact["with attention"] >= 0.99
assert exact["without attention"] < 0.9

# %% [markdown]
# Without attention the short strings are right and the long ones are not: the state is too small a suitcase. It would
# learn with more units and more batches. With attention the same budget is more than enough.
#
# ## Where does it look?
#
# One string, one row for each letter that is written, one column for each letter that was read. Backwards means: the
# other diagonal.

# %%
word = "recurrence"
symbols = np.array([[ord(letter) - ord("a") + FIRST] for letter in word])
params = trained["with attention"]
written, count, weights = seq2seq.greedy(ATTENTIVE, params, symbols, np.array([len(word)]), LONGEST + 1)
assert text(written[:, 0]) == word[::-1]
print("    " + " ".join(word))
for letter, row in zip(text(written[:, 0]), np.asarray(weights[:, 0])):
    print(f"  {letter} " + " ".join(" .:+#"[min(int(5 * w), 4)] for w in row))
looked_at = np.asarray(weights[: len(word), 0]).argmax(axis=1)
print("looks at letter", looked_at)
assert np.corrcoef(looked_at, np.arange(len(word)))[0, 1] < -0.9

# %% [markdown]
# ## Exercises
#
# 1. Give the network without attention 256 units. How many batches does it need for 99 %?
# 2. Train on strings of at most 8 letters and test on 12. Which part fails: the reading, the looking, or the writing?
# 3. Write with `seq2seq.beam_search` instead of `greedy`. Does it help the network without attention?
# 4. Feed the decoder its own letters for half of the steps: `minirnn.params.teacher_forcing_mask`, drawn for every batch
#    outside the compiled function and handed in with the keys.
