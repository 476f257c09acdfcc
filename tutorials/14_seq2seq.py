# %% [markdown]
# # Sequence to sequence: reversing strings
#
# Minutes: 20. Before: a GRU, what a softmax is, what a loss and an optimiser are.
#
# A network reads a string of 1 to 10 letters and writes it backwards. That is simple to say and hard for a plain
# encoder-decoder: everything has to pass through one vector, the encoder's last state. With attention the decoder may
# look back at any letter that the encoder has read. Afterwards you can
#
# - train an encoder-decoder with and without attention, and say at which length the plain one breaks;
# - say what teacher forcing hides, and measure it;
# - tell a mistake of the model from a mistake of the search, by greedy writing and by beam search;
# - read an alignment.

# %%
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
from matplotlib.figure import Figure

from minirnn import equations
from minirnn.fast import seq2seq
from minirnn.inspect.lessons import OTHER_COLOURS, RIGHT, SMALL, WRONG, keep, quick, tidy
from minirnn.params import EncoderDecoder

PAD, START, END, FIRST = 0, 1, 2, 3  # symbols 3 to 28 are the letters a to z
LETTERS, LONGEST = 26, 10

# %% [markdown]
# ## Strings without end
#
# Random strings cost nothing, so no batch comes twice. Arrays are time-major: `source[t]` is the t-th letter of every
# string. A target ends with the end symbol, which counts as part of it.


# %%
def draw(rng, *shape):
    """Random strings, `shape` of them -> source (10, *shape), lengths shape, target (11, *shape)."""
    lengths = rng.integers(1, LONGEST + 1, shape)
    letters = rng.integers(FIRST, FIRST + LETTERS, (LONGEST, *shape))
    t = np.arange(LONGEST + 1).reshape(-1, *[1] * len(shape))
    source = np.where(t[:-1] < lengths, letters, PAD)
    backwards = np.take_along_axis(letters, np.clip(lengths - 1 - t, 0, None), axis=0)
    return source, lengths, np.where(t < lengths, backwards, np.where(t == lengths, END, PAD))


def text(symbols):
    return "".join(chr(ord("a") + s - FIRST) for s in np.asarray(symbols) if s >= FIRST)


source, lengths, target = draw(np.random.default_rng(0), 3)
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
# ## Training, with the teacher at hand
#
# Six hundred batches of 64 strings, all inside one compiled `lax.scan`. At each step the decoder is fed the *true*
# letter of the step before, whatever it would have written itself. This is teacher forcing: all steps are known at
# once, and one early mistake does not spoil the rest of the string.

# %%
BATCHES, BATCH = 250 if quick() else 600, 64
sources, all_lengths, targets = draw(np.random.default_rng(1), BATCHES, BATCH)
BATCHED = sources.swapaxes(0, 1), all_lengths, targets.swapaxes(0, 1)  # (batches, 10, 64), (batches, 64), ...
optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(8e-3, BATCHES)))


@functools.partial(jax.jit, static_argnums=0)
def train(description, params, batches):
    def one_batch(carry, batch):
        params, state = carry
        source, lengths, target = batch
        loss, dparams = jax.value_and_grad(
            lambda p: seq2seq.loss(description, p, source, lengths, target, lengths + 1)
        )(params)
        updates, state = optimizer.update(dparams, state, params)
        return (optax.apply_updates(params, updates), state), loss

    (params, _), losses = jax.lax.scan(one_batch, (params, optimizer.init(params)), batches)
    return params, losses


# %% [markdown]
# ## The judgement
#
# Strings that training has not seen, written letter by letter without any help, and counted only if every letter and
# the end are right. **Predict before you run:** what share of them does each network get right, and how does that
# depend on the length?

# %%
seen = set(map(bytes, np.ascontiguousarray(sources.reshape(LONGEST, -1).T)))
source, lengths, target = draw(np.random.default_rng(2), 1500 if quick() else 3000)
unseen = np.array([bytes(string) not in seen for string in np.ascontiguousarray(source.T)])
source, lengths, target = source[:, unseen], lengths[unseen], target[:, unseen]
print(f"{unseen.sum()} of {len(unseen)} strings are unseen; the others are short")

trained, written, right = {}, {}, {}
for name, description in {"without attention": PLAIN, "with attention": ATTENTIVE}.items():
    params, losses = train(description, seq2seq.init(0, description), BATCHED)
    written[name], _, _ = map(np.asarray, seq2seq.greedy(description, params, source, lengths, LONGEST + 1))
    right[name] = (written[name] == target).all(axis=0)
    trained[name] = params
    by_length = "  ".join(f"{n}: {right[name][lengths == n].mean():4.0%}" for n in (3, 5, 7, 10))
    print(f"{name:18} {right[name].mean():6.1%} exact ({by_length} by length)  loss {losses[-50:].mean():.4f}")

assert right["with attention"].mean() > (0.9 if quick() else 0.97)
assert right["without attention"].mean() < 0.9
assert right["without attention"][lengths <= 4].mean() > right["without attention"][lengths >= 9].mean() + 0.3

# %% [markdown]
# Without attention the short strings are right and the long ones are not. Nobody has shown that one vector cannot hold
# ten letters, only that six hundred batches do not teach it (exercise 2). With attention the same budget is enough.
#
# ## What teacher forcing hides
#
# The plain network once more, judged letter by letter: first fed the truth, as in training, then fed what it writes
# itself. `forced` says at which steps the truth is fed.

# %%
forward = jax.jit(seq2seq.forward, static_argnums=0)
target_in = seq2seq.decoder_inputs(PLAIN, target)
inside = np.arange(LONGEST + 1)[:, None] < lengths + 1
letter_right = {}
for name, forced in {"fed the truth": True, "fed its own letters": False}.items():
    forced = np.full(target.shape, forced)
    logits = forward(PLAIN, trained["without attention"], source, lengths, target_in, lengths + 1, forced)
    letter_right[name] = np.asarray(logits.argmax(axis=-1) == target)
    long = inside & (lengths >= 8)
    print(f"{name:20} letters right in strings of 8 and more: {letter_right[name][long].mean():.1%}")
assert letter_right["fed the truth"][long].mean() > letter_right["fed its own letters"][long].mean() + 0.02

# Fed its own letters throughout, it is greedy writing: the same strings are right.
alone = (letter_right["fed its own letters"] | ~inside).all(axis=0)
assert (alone == right["without attention"]).mean() > 0.995

# %% [markdown]
# The training loss speaks of the first line; whoever uses the model gets the second. The gap is called exposure bias.
# It can be made smaller: feed the decoder its own letters for some steps already in training
# (`minirnn.params.teacher_forcing_mask`), at the price of a loop that cannot look ahead.
#
# ## Greedy or beam?
#
# Greedy writing takes the likeliest letter, step by step. The likeliest *string* may begin with the second likeliest
# letter. A beam keeps the best few beginnings. So a wrong answer has one of two causes: the model thinks the wrong
# string likelier than the true one (its own mistake), or the search has not found the likeliest (a mistake of the
# search).

# %%
some = np.flatnonzero(lengths >= 5)[:500]
case = source[:, some], lengths[some]
params = trained["without attention"]


def log_probability(symbols, lengths):
    """Of whole strings (T, B), the end included: (B,)."""
    logits = forward(PLAIN, params, *case, seq2seq.decoder_inputs(PLAIN, symbols), lengths)
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), jnp.asarray(symbols)[..., None], axis=-1)[..., 0]
    return np.asarray(jnp.where(jnp.arange(len(symbols))[:, None] < lengths, chosen, 0).sum(axis=0))


likelihood, exact, missed = {}, {}, {}
true_log_p = log_probability(target[:, some], lengths[some] + 1)
for beam in (1, 4, 16)[: 2 if quick() else 3]:
    strings, ends, _ = seq2seq.beam_search(PLAIN, params, *case, LONGEST + 1, beam=beam, length_penalty=0.0)
    if beam == 1:  # that is greedy writing
        assert (strings == written["without attention"][:, some]).all(axis=0).mean() > 0.99
    log_p, hit = log_probability(strings, ends), (strings == target[:, some]).all(axis=0)
    miss = (log_p < true_log_p - 1e-4) & ~hit  # the truth was likelier, and was not found
    likelihood[beam], exact[beam], missed[beam] = log_p.mean(), hit.mean(), miss.mean()
    print(
        f"beam {beam:2}: mean log-probability {likelihood[beam]:6.2f}; exact {exact[beam]:5.1%}; "
        f"wrong by the search {missed[beam]:5.1%}, by the model {(~miss & ~hit).mean():5.1%}"
    )
assert likelihood[1] < likelihood[4]
assert exact[1] < exact[4]
assert missed[4] < missed[1] / 2

# %% [markdown]
# The beam finds likelier strings, and most mistakes of the search go away with a beam of four. What remains are
# mistakes of the model, which no search can mend: attention does.
#
# ## Where it looks
#
# One string, one row for each letter that is written, one column for each letter that was read. Backwards means: the
# other diagonal.

# %%
word = "recurrence"
symbols = np.array([[ord(letter) - ord("a") + FIRST] for letter in word])
rows, _, weights = seq2seq.greedy(ATTENTIVE, trained["with attention"], symbols, np.array([len(word)]), LONGEST + 1)
print("    " + " ".join(word))
for letter, row in zip(text(rows[:, 0]), np.asarray(weights[:, 0])):
    print(f"  {letter} " + " ".join(" .:+#"[min(int(5 * w), 4)] for w in row))
looked_at = np.asarray(weights[: len(word), 0]).argmax(axis=1)
assert np.corrcoef(looked_at, np.arange(len(word)))[0, 1] < -0.8

# %% [markdown]
# ## The picture


# %%
def draw_lengths(data):
    """The share of strings that are right from the first letter to the end, against their length."""
    figure = Figure(figsize=SMALL, layout="constrained")
    axes = figure.subplots()
    for name, colour, style in (
        ("with attention", RIGHT, "o-"),
        ("without, beam 4", OTHER_COLOURS[0], "s--"),
        ("without attention", WRONG, "o-"),
    ):
        label = "without attention, beam of 4" if "beam" in name else f"{name}, greedy"
        axes.plot(data.index, 100 * data[name], style, color=colour, label=label)
    axes.set_xlabel("letters in the string")
    axes.set_ylabel("strings without any mistake, %")
    axes.set_ylim(-3, 103)
    axes.legend(frameon=False, loc="lower left")
    tidy(axes)
    return figure


four, _, _ = seq2seq.beam_search(PLAIN, params, source, lengths, LONGEST + 1, beam=4, length_penalty=0.0)
right["without, beam 4"] = (four == target).all(axis=0)
data = pd.DataFrame(
    {name: {n: hits[lengths == n].mean() for n in range(3, LONGEST + 1)} for name, hits in right.items()}
)
keep(draw_lengths(data), "14_seq2seq", data.rename_axis("length"), digits=2)

# %% [markdown]
# ## Exercises
#
# 1. `minirnn learn start softmax_cross_entropy`, then `minirnn learn start embedding_backward`: the two ends of every
#    network that reads and writes symbols.
# 2. Is the state of the plain network too small, or the training too short? Give it 2,400 batches; then 256 units.
# 3. Feed the decoder its own letters for half of the steps: `minirnn.params.teacher_forcing_mask`, drawn for every
#    batch outside the compiled function and handed in beside it. Does the gap of exposure bias close?
