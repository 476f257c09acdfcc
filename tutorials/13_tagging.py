# %% [markdown]
# # Tagging: sequences of unequal length in one batch
#
# Minutes: 15. Before: backpropagation through time, what a softmax is, a first look at `jax.grad`.
#
# A tagger answers at every step. Real sequences have unequal lengths; a batch is a box. What fills the rest of the box
# must change nothing. Afterwards you can
#
# - say for each array of a batch what padding does to it, and prove that it does nothing;
# - divide a loss by the right number, also where a batch is cut in two;
# - turn a ragged batch around for the second direction of a bidirectional layer;
# - tell what a tagger that reads to the right only can never know.

# %%
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from minirnn import equations, readable
from minirnn.fast import losses, network
from minirnn.inspect.lessons import keep
from minirnn.params import Embedding, Network, Recurrent

# %% [markdown]
# ## The task
#
# Letters a to f. Each letter gets one of four tags, made of two answers: has the same letter stood before (yes, no),
# and will it come again (yes, no)? The first question looks back, the second one ahead.

# %%
LETTERS, SHORTEST, LONGEST = 6, 3, 12
NAMES = np.array(["only", "first", "last", "middle"])  # tag = 2 * seen before + comes again


def draw(rng, count):
    """Count random strings -> letters (T, B), lengths (B,), tags (T, B). Padding: letter 0 and tag -1."""
    lengths = rng.integers(SHORTEST, LONGEST + 1, count)
    letters = rng.integers(0, LETTERS, (LONGEST, count))
    real = np.arange(LONGEST)[:, None] < lengths
    same = (letters[:, None] == letters[None]) & real[:, None] & real[None]  # (T, T, B): step t and step s agree
    before, after = np.tri(LONGEST, k=-1, dtype=bool), ~np.tri(LONGEST, dtype=bool)
    seen, again = ((same & which[:, :, None]).any(axis=1) for which in (before, after))
    return np.where(real, letters, 0), lengths, np.where(real, 2 * seen + again, -1)


letters, lengths, tags = draw(np.random.default_rng(5), 5)
for b in range(2):
    word = "".join("abcdef"[k] for k in letters[: lengths[b], b])
    print(f"{word:13} {' '.join(NAMES[tags[: lengths[b], b]])}")

# %% [markdown]
# ## What padding must not do
#
# The network: an embedding, a bidirectional GRU, and a dense head that reads every step. It gets the lengths. Past its
# length a sequence's state is frozen and its output is zero. The proof is cheap: run each sequence alone, at its own
# length, and compare. We do this in both halves, in float64.

# %%
SIZES = {"vocabulary_size": LETTERS, "size": 5}
BOTH = Network((Embedding(**SIZES), Recurrent("gru", 7, bidirectional=True)), output_size=4, read="steps")
params = readable.network.init(0, BOTH, None, np.float64)
logits, _, cache = readable.network.forward(BOTH, params, letters, None, lengths)

for b, n in enumerate(lengths):
    alone, _, _ = readable.network.forward(BOTH, params, letters[:n, b : b + 1])
    np.testing.assert_allclose(logits[:n, b], alone[:, 0], atol=1e-12)
    assert (logits[n:, b] == 0).all()

# The gradient is the sum of the gradients of the sequences, each run by itself.
rng = np.random.default_rng(1)
dlogits = rng.standard_normal(logits.shape)  # also on the padding: it must count for nothing there
together, _, _ = readable.network.backward(dlogits, None, cache)
separate = np.zeros_like(params.head.W)
for b, n in enumerate(lengths):
    _, _, one = readable.network.forward(BOTH, params, letters[:n, b : b + 1])
    separate += readable.network.backward(dlogits[:n, b : b + 1], None, one)[0].head.W
np.testing.assert_allclose(together.head.W, separate, atol=1e-12)
print(f"{len(lengths)} sequences of {lengths.min()} to {lengths.max()} letters: the batch equals one by one")

# %% [markdown]
# One trap deserves its own test. Multiplying by a mask of 0 and 1 is not enough: 0 times NaN is NaN. So the library
# replaces padding *before* the first product, with `where`. Poison in the padding must leave no trace:

# %%
GRU_LAYER = Recurrent("gru", 7, bidirectional=True)
weights = params.layers[1]
xs = rng.standard_normal((LONGEST, 5, 5))
real = np.arange(LONGEST)[:, None] < lengths
poisoned = np.where(real[:, :, None], xs, np.nan)
dys = rng.standard_normal((LONGEST, 5, 14))

clean_ys, _, clean_cache = readable.recurrent.forward(GRU_LAYER, weights, xs, None, lengths)
ys, _, poisoned_cache = readable.recurrent.forward(GRU_LAYER, weights, poisoned, None, lengths)
np.testing.assert_array_equal(ys, clean_ys)
dweights, dxs, _ = readable.recurrent.backward(dys, None, poisoned_cache)
clean, _, _ = readable.recurrent.backward(dys, None, clean_cache)
np.testing.assert_array_equal(dweights.weights.forward.Wh, clean.weights.forward.Wh)
assert np.isnan(poisoned).any()
assert np.isfinite(dxs).all()
assert (dxs[~real] == 0).all()

# %% [markdown]
# ## Turning a ragged batch around
#
# The second direction reads each sequence from its last *real* letter to its first. `xs[::-1]` is right only for
# sequences that fill the box: in all others it reads the padding first. **Predict before you run:** which outputs of the
# backward direction differ then?

# %%
backward_cell = weights.weights.backward
right, _, _ = readable.gru.forward(backward_cell, readable.recurrent.reverse(xs, lengths), None, lengths)
right = readable.recurrent.reverse(right, lengths)
np.testing.assert_allclose(right, clean_ys[:, :, 7:], atol=1e-12)

padded = np.where(real[:, :, None], xs, 0)
CASES = {  # bias, inputs
    "fresh weights (biases of zero), padding of zeros": (0.0, padded),
    "fresh weights, padding read as letter 0": (0.0, params.layers[0].E[letters]),
    "biases of 0.5, padding of zeros": (0.5, padded),
}
wrong = {}
for name, (b, inputs) in CASES.items():
    cell = backward_cell._replace(b=backward_cell.b + b)
    naive = readable.gru.forward(cell, inputs[::-1])[0][::-1]
    honest, _, _ = readable.gru.forward(cell, readable.recurrent.reverse(inputs, lengths), None, lengths)
    honest = readable.recurrent.reverse(honest, lengths)
    wrong[name] = np.abs(naive - honest).max(axis=-1)  # (T, B)
    print(f"xs[::-1], {name}: largest error on a real step {wrong[name][real].max():.3f}")
hidden, *shown = wrong.values()
assert hidden[real].max() < 1e-12
assert all((errors[real & (lengths < LONGEST)] > 1e-5).all() for errors in shown)

# %% [markdown]
# Every step of every sequence that does not fill the box is wrong. But with zeros for padding and biases of zero the
# state stays zero while the padding is read, and the mistake stays hidden. A test with fresh weights would pass: test
# with random biases.
#
# ## By what to divide
#
# The loss of a batch is a weighted mean.

# %%
for equation in equations.select("E1, E8"):
    print(f"{equation.id:4} {equation.plain}")

loss, dlogits = readable.losses.softmax_cross_entropy(logits, tags, real)
each = np.array([readable.losses.softmax_cross_entropy(logits[:, b], tags[:, b], real[:, b])[0] for b in range(5)])
over_box = loss * real.sum() / real.size
print(f"by the {real.sum()} real steps: {loss:.4f}; mean of the sequences' means: {each.mean():.4f}")
print(f"by all {real.size} places of the box: {over_box:.4f}")
np.testing.assert_allclose((each * lengths).sum() / lengths.sum(), loss)
assert over_box < loss
assert abs(each.mean() - loss) > 1e-4

# %% [markdown]
# Divided by the box, the same sequences have a smaller gradient the more padding stands beside them: how large a step of
# plain gradient descent is then depends on how the batch was packed. And a mean of means gives a step of a short sequence more weight than a step
# of a long one. That matters as soon as a batch is cut up, on two devices or for want of memory: hand out the *sum* of
# losses and the *sum* of weights of each part, and divide once.

# %%
order = np.argsort(lengths)
halves = [order[:2], order[2:]]  # the short ones, the long ones
sums = [
    (readable.losses.softmax_cross_entropy(logits[:, part], tags[:, part], real[:, part])[0], real[:, part].sum())
    for part in halves
]
mean_of_means = np.mean([mean for mean, _ in sums])
sum_by_sum = sum(mean * weight for mean, weight in sums) / sum(weight for _, weight in sums)
print(f"whole batch {loss:.6f}; sum over sum of its halves {sum_by_sum:.6f}; mean of their means {mean_of_means:.6f}")
np.testing.assert_allclose(sum_by_sum, loss)
assert abs(mean_of_means - loss) > 1e-4

# %% [markdown]
# ## Where the gradient arrives
#
# The gradient of the loss with respect to what the recurrent layer reads, one number for each step: the norm of dx.
# With lengths it is zero on the padding, exactly. Without them the network reads, and learns from, letters that nobody
# wrote. The sequences are sorted by length.

# %%


def gradient_map(lengths_told):
    """The norm of dx (T, B) of the mean loss over the real steps."""
    embedded = params.layers[0].E[letters]
    ys, _, layer = readable.recurrent.forward(GRU_LAYER, weights, embedded, None, lengths_told)
    logits, head = readable.layers.dense(params.head, ys)
    _, dlogits = readable.losses.softmax_cross_entropy(logits, tags, real)
    _, dys = readable.layers.dense_backward(dlogits, head)
    return np.linalg.norm(readable.recurrent.backward(dys, None, layer)[1], axis=-1)


with_lengths, without = gradient_map(lengths), gradient_map(None)
assert (with_lengths[~real] == 0).all()
assert (with_lengths[real] > 0).all()
assert (without[~real] > 0).any()


def draw_map(data):
    """Two maps of gradients: rows are sequences, columns steps; a hatch where the gradient is exactly zero."""
    figure = Figure(figsize=(6.0, 4.4), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    drawn = data[["with_lengths", "without_lengths"]].to_numpy()
    low, top = drawn[drawn > 0].min(), drawn.max()
    for axes, name, title in zip(
        panels,
        ("with_lengths", "without_lengths"),
        ("with lengths: zero on padding, exactly", "without lengths: padding is read, and learned from"),
    ):
        norms = data.pivot(index="sequence", columns="t", values=name).to_numpy()
        axes.set_facecolor("#dddddd")
        image = axes.imshow(np.ma.masked_equal(norms, 0), cmap="cividis", norm=LogNorm(low, top), aspect="auto")
        for row in data.itertuples():
            if getattr(row, name) == 0:
                axes.text(row.t, row.sequence, "0", ha="center", va="center", fontsize=8, color="#666666")
            else:
                bright = getattr(row, name) > (low * top) ** 0.5
                label = row.letter if row.real else "–"
                axes.text(row.t, row.sequence, label, ha="center", va="center", color="black" if bright else "white")
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_ylabel("sequence")
        axes.set_yticks(range(len(norms)))
    panels[1].set_xticks(range(LONGEST))
    panels[1].set_xlabel("step t      (letter: a real step; –: padding)")
    figure.colorbar(image, ax=panels, label="norm of dx", pad=0.02)
    return figure


data = pd.DataFrame(
    [
        {
            "sequence": row,
            "t": t,
            "letter": "abcdef"[letters[t, b]],
            "real": bool(real[t, b]),
            "with_lengths": with_lengths[t, b],
            "without_lengths": without[t, b],
        }
        for row, b in enumerate(order)
        for t in range(LONGEST)
    ]
)
keep(draw_map(data), "13_tagging", data.set_index(["sequence", "t"]))

# %% [markdown]
# ## What the past cannot tell
#
# Now we train two taggers: one that reads from left to right, and one that reads both ways. Whether a letter comes
# again cannot be known from the left. It can be guessed: with a string that may end soon, "no" is a good guess. As the
# letters are independent, the best guess depends on the step alone, so that we can compute how good it is. **Predict
# before you run:** what share of the tags will the best left-to-right tagger get right?

# %%
every = np.arange(SHORTEST, LONGEST + 1)
right_guesses = steps = 0.0
for t in range(LONGEST):
    left = (every - 1 - t)[every > t]  # letters that are still to come, one case for each length
    again = 1 - (1 - 1 / LETTERS) ** left  # the chance that this one is among them
    right_guesses += len(left) * max(again.mean(), 1 - again.mean())
    steps += len(left)
ceiling = right_guesses / steps
print(f"no tagger that reads to the right only can be right more often than {ceiling:.1%}")

# %%
UPDATES, BATCH, UNITS = 600, 64, 32
optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(1e-2, UPDATES)))
rng = np.random.default_rng(2)
batches = tuple(jnp.asarray(np.stack(part)) for part in zip(*(draw(rng, BATCH) for _ in range(UPDATES))))


def mean_loss(description, params, letters, lengths, tags):
    logits, _ = network.forward(description, params, letters, None, lengths)
    return losses.softmax_cross_entropy(logits, tags, tags >= 0)


@functools.partial(jax.jit, static_argnums=0)
def train(description, params, batches):
    def one_batch(carry, batch):
        params, state = carry
        loss, dparams = jax.value_and_grad(functools.partial(mean_loss, description))(params, *batch)
        updates, state = optimizer.update(dparams, state, params)
        return (optax.apply_updates(params, updates), state), loss

    return jax.lax.scan(one_batch, (params, optimizer.init(params)), batches)


unseen_letters, unseen_lengths, unseen_tags = draw(np.random.default_rng(3), 2000)
correct = {}
for name, two_ways in {"left to right": False, "both ways": True}.items():
    description = Network(
        (Embedding(LETTERS, 8), Recurrent("gru", UNITS, bidirectional=two_ways)), output_size=4, read="steps"
    )
    fresh = jax.tree.map(jnp.asarray, network.init(0, description, None))
    (trained, _), _ = train(description, fresh, batches)
    logits, _ = network.forward(description, trained, unseen_letters, None, unseen_lengths)
    hits = np.asarray(logits.argmax(axis=-1)) == unseen_tags
    counts = unseen_tags >= 0
    correct[name] = hits[counts].mean()
    seen_right = (np.asarray(logits.argmax(axis=-1)) // 2 == unseen_tags // 2)[counts].mean()
    print(f"{name:14} {correct[name]:.1%} of the tags right; 'seen before' alone {seen_right:.1%}")
    assert seen_right > 0.95
assert correct["both ways"] > 0.95
assert abs(correct["left to right"] - ceiling) < 0.02  # 15,000 tags: chance moves the share by less than that

# %% [markdown]
# The left-to-right tagger knows all that can be known from the left, and guesses the rest as well as anybody could.
# More units, more data or an LSTM will not help it; a second direction does. (A tagger that must answer while the
# sequence still comes in has no choice.)
#
# The library's `minirnn.Tagger` does all of this, with words, spelling and spans: `minirnn tag`.
#
# ## Exercises
#
# 1. `minirnn learn start masked_backward`: write the backward pass of a masked RNN. Its test poisons the padding.
# 2. `minirnn learn start bidirectional_backward`: the gradient of both directions, ragged.
# 3. Suppose that the left-to-right tagger is told the length of each string beforehand. Compute its new ceiling.
