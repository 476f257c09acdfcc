# %% [markdown]
# # Text, character by character
#
# Minutes: 20. Before: an LSTM, cross-entropy, truncated backpropagation (tutorial 03).
#
# A network reads Python source and predicts each next character. Afterwards you can say what its loss means in bits,
# why batches of text hand their state on, watch both halves of the library train to the same curve, and choose a
# temperature for what it writes.

# %%
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import minirnn
import minirnn.fast.language
import minirnn.readable.language
from minirnn import equations, fast, readable
from minirnn.data.sequences import python_source
from minirnn.data.sequences.vocabulary import Vocabulary
from minirnn.inspect.lessons import CELL_COLOURS, OTHER_COLOURS, SMALL, WRONG, keep, quick, tidy
from minirnn.models.language import preparing
from minirnn.params import BETWEEN, Dropout, Embedding, Language, Network, Recurrent, init_network, zero_states

# %% [markdown]
# ## A text that everybody has
#
# The source of the standard library of the Python that runs this. Which files those are depends on your version, so
# your numbers will differ a little from others'.

# %%
documents = python_source.library(limit_bytes=200_000, seed=0)
vocabulary = Vocabulary.of((text for _, text in documents), "characters", least=5)
symbols = preparing.laid_out([vocabulary.encode(text) for _, text in documents])  # (N,)
V = vocabulary.size
print(f"{len(documents)} files, {len(symbols):,} characters, {V} symbols")
print(documents[0].text[:150])

# %% [markdown]
# ## What a loss means
#
# The loss is the cross-entropy (E6): minus the logarithm of the probability that the network gave to what came. With
# the logarithm to base 2 it is counted in *bits per character*, the size of the text after the best compression with
# this model. Three numbers to hold on to: log2 V, if all symbols are equally likely; the entropy of their frequencies,
# if one knows only those; and 8, what the file takes on the disk.

# %%
print(f"{equations.EQUATIONS['E6'].plain}")
frequency = np.bincount(symbols[symbols != BETWEEN], minlength=V) / np.count_nonzero(symbols != BETWEEN)
seen = frequency[frequency > 0]
uniform, by_frequency = math.log2(V), float(-(seen * np.log2(seen)).sum())
print(f"equally likely {uniform:.2f} bits, by frequency {by_frequency:.2f} bits")
assert by_frequency < uniform < 8

# %% [markdown]
# ## Streams that hand their state on
#
# A text of 200,000 steps is too long for one backward pass. So it is cut into B *streams*, read side by side, W
# characters at a time. The state goes on from chunk to chunk, the gradient doesn't: `dstate = None`. Row k of one batch
# is therefore the continuation of row k of the batch before. (Shuffle the chunks, and the state belongs to another
# text.)

# %%
B, W, UPDATES = 16, 32, 150
chunks = preparing.drawing(len(symbols), B, W)(np.random.default_rng(0))
starts = chunks[0]  # (1, S, B) places where chunks begin
print("the first streams begin at", starts[0, 0, :3], "and go on at", starts[0, 1, :3])
assert (starts[0, 1] == (starts[0, 0] + W) % len(symbols)).all()

# %% [markdown]
# ## The same training, twice
#
# Now the first 150 updates, in NumPy with the hand-derived backward pass and in JAX, from the same weights, on the same
# chunks, in float32, with the same dropout: its masks come from `minirnn.random`, which gives the bits of `jax.random`
# in NumPy. **Predict before you run:** how large is the relative difference of the two losses after the last update?
# Rounding is 1e-7.

# %%
network = Network((Embedding(V, 32), Recurrent("lstm", 64), Dropout(0.1)), V, read="steps")
language = Language(network, W)


def losses(half):
    """Bits per character of each batch before its update (UPDATES,)."""
    optimizer = half.language.make_optimizer(1e-2, 1.0)
    state = half.language.start(optimizer, [init_network(0, network, None)])
    counts = np.ones((UPDATES, B), np.float32)
    key = minirnn.random.key(0)
    _, record = half.language.epoch(language, optimizer, state, (symbols,), starts[:, :UPDATES], counts, key)
    return np.asarray(record.losses[0], np.float64) / math.log(2)


curves = pd.DataFrame(
    {"NumPy": losses(readable), "JAX": losses(fast)}, index=pd.RangeIndex(1, UPDATES + 1, name="update")
)
curves["difference"] = (curves["NumPy"] - curves["JAX"]).abs() / curves["NumPy"]
print(curves.iloc[[0, 9, 49, -1]].to_string(float_format=lambda x: f"{x:.3g}"))
assert curves["difference"].iloc[1] < 1e-5  # after one update
assert (curves["difference"][:50] < 1e-4).all()
assert (curves["difference"] < 1e-2).all()
assert curves["difference"].iloc[-50:].mean() > curves["difference"].iloc[:10].mean()  # it grows
assert curves["JAX"].iloc[-10:].mean() < by_frequency  # after some seconds it knows more than the frequencies
assert abs(curves["JAX"].iloc[0] - uniform) < 0.5  # and before the first update it knew nothing


def figure_of(curves, uniform, by_frequency):
    """Both loss curves, on top of each other; and their difference."""
    figure = Figure(figsize=(SMALL[0], 4.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.4))
    above.plot(curves.index, curves["NumPy"], color=OTHER_COLOURS[1], lw=5, alpha=0.6, label="NumPy, backward by hand")
    above.plot(curves.index, curves["JAX"], color=CELL_COLOURS["lstm"], lw=1.5, label="JAX, compiled")
    for level, name in ((uniform, "all symbols equally likely"), (by_frequency, "frequencies alone")):
        above.axhline(level, color="#666666", lw=1, ls=":")
        above.text(curves.index[-1], level, name, ha="right", va="bottom", fontsize=9, color="#444444")
    above.set(ylabel="bits per character", title="An LSTM learns Python: the same training, twice")
    above.set_ylim(0, 7.8)
    above.legend(loc="lower left", fontsize=9, frameon=False)
    difference = curves["difference"].where(curves["difference"] > 1e-9)  # equal ones have no place on a log axis
    below.semilogy(curves.index, difference, ".-", color=WRONG, lw=1, ms=3)
    below.set(xlabel="update", ylabel="relative\ndifference", ylim=(1e-8, 1e-3), xlim=(1, len(curves)))
    tidy(above, below)
    return figure


keep(figure_of(curves, uniform, by_frequency), "11_character_text", curves)

# %% [markdown]
# The difference grows, for training is a long chain of steps that depend on each other. It grows by rounding and
# nothing else; a wrong term would show after one update.
#
# ## A model, judged
#
# `minirnn.LanguageModel` is this training with a vocabulary, a validation part that chooses the best epoch, and a test
# part of whole files that it never sees. Beside it stand models that only count: how often each symbol follows the four
# before it (a 5-gram).

# %%
model = minirnn.LanguageModel(
    hidden_size=64,
    embedding_size=32,
    window=W,
    batch_size=B,
    learning_rate=1e-2,
    dropout=0.1,
    max_epochs=1 if quick() else 4,
).fit(documents)
result = model.evaluate()
print(result.scores.round(2).to_string())
print(result.sentence)
bits = result.scores["bits per character"]
assert bits.iloc[0] < bits["symbols by themselves"] - 0.5
assert bits.filter(like="5-gram").item() < bits.iloc[0] + 0.2

# %% [markdown]
# A small network after a short training hardly keeps up with 5-grams, which need one reading of the text. Whoever shows
# a loss without such a line has shown nothing.
#
# ## What the state is worth
#
# The same network reads the test part twice: once handing its state on, once with a state of zeros at the start of
# every chunk of 32. The difference is what it remembers from beyond the chunk.

# %%
test = preparing.laid_out([model.vocabulary_.encode(text) for _, text in model.parts_.test])
count = (len(test) - 1) // (B * W)
places = np.arange(B) * count * W + np.arange(count * W + 1)[:, None]  # (count W + 1, B): B streams
read = jnp.asarray(test[places])


@functools.partial(jax.jit, static_argnums=1)
def bits_by_place(weights, carried):
    """Mean bits of the characters at each place of a chunk (W,)."""

    def one_chunk(state, k):
        piece = jax.lax.dynamic_slice_in_dim(read, k * W, W + 1)
        logits, after = fast.network.forward(model.network_, weights, piece[:-1], state)
        nats = -jnp.take_along_axis(jax.nn.log_softmax(logits), piece[1:, :, None], axis=-1)[..., 0]
        return after if carried else state, nats.mean(axis=1)

    zeros = zero_states(model.network_.layers, (B,))
    _, nats = jax.lax.scan(one_chunk, zeros, jnp.arange(count))
    return nats.mean(axis=0) / math.log(2)


carried, reset = (np.asarray(bits_by_place(model.weights_, each)) for each in (True, False))
print("place in the chunk        1      4      8     32   all")
for name, each in (("state handed on", carried), ("state of zeros", reset)):
    print(f"{name:18}", " ".join(f"{each[k]:6.2f}" for k in (0, 3, 7, 31)), f"{each.mean():6.2f}")
assert reset.mean() > carried.mean()
assert reset[0] > carried[0] + 0.5  # the first character after a reset is a guess
assert abs(reset[16:].mean() - carried[16:].mean()) < 0.25  # after some characters the loss is hardly there any more

# %% [markdown]
# ## Temperature
#
# To write, one draws from the softmax of the logits divided by a temperature τ: below 1 the likely becomes likelier, at
# 0 only the likeliest is left, above 1 everything evens out. **Predict before you run:** we let the model score its own
# writing. How many bits per character does it find at τ = 0.5, 1 and 1.5: more or less than for real source?

# %%
written, own_bits = {}, {}
for temperature in (0.5, 1.0, 1.5):
    texts = ["".join(model.generate("def ", 250, temperature=temperature, seed=seed)) for seed in range(4)]
    written[temperature] = texts[0]
    own_bits[temperature] = float(np.mean([model.score("def " + text) for text in texts]))
real = bits.iloc[0]
for temperature, text in written.items():
    print(
        f"--- temperature {temperature}: {own_bits[temperature]:.2f} bits by its own judgement (real source {real:.2f})"
    )
    print("def " + text[:200].rstrip())
assert own_bits[0.5] < own_bits[1.0] < own_bits[1.5]
assert own_bits[0.5] < real < own_bits[1.5]
assert abs(own_bits[1.0] - real) < 1

# %% [markdown]
# At 1 its own writing surprises it nearly as much as real source does; at 0.5 it plays safe and repeats itself; at 1.5
# it makes noise. Few bits are no sign of quality: nothing at all is cheaper still, if it is written as a row of blanks.

# %%
blanks = model.score("\n" + 200 * " ")
print(f"200 blanks: {blanks:.2f} bits per character")
assert blanks < own_bits[0.5]

# %% [markdown]
# ## Exercises
#
# 1. `minirnn learn start truncated_backward`: chunks whose state goes on and whose gradient doesn't; then
#    `minirnn learn start softmax_cross_entropy` and `minirnn learn start embedding_backward`, the two ends of this
#    network.
# 2. Shuffle the chunks of an epoch, so that the state handed on belongs to another place. What happens to the loss by
#    place in the chunk?
# 3. Train with `window=8` and with `window=128`, the same number of characters each. Which is better for the same time?
