# %% [markdown]
# # Looking inside
#
# Minutes: 20. Before: the LSTM's gates (tutorial 05), a language model (tutorial 11), what a correlation is.
#
# What do the units of a trained network do? Some are said to count the characters of a line, some to know that they are
# inside of quotes. Afterwards you can find such units without fooling yourself, test whether the network needs them,
# and read from the gates how long each unit remembers.

# %%
import copy
import math

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import minirnn
from minirnn import equations, fast, readable
from minirnn.data.sequences import python_source
from minirnn.inspect.figures_sequences import activity_figure
from minirnn.inspect.lessons import keep, quick
from minirnn.models.forecasting.gates import CLOSED, OPEN
from minirnn.models.language import explaining
from minirnn.params import LSTM_GATES, gate_block, init_network

H = 64
documents = python_source.library(limit_bytes=250_000, seed=0)
model = minirnn.LanguageModel(
    hidden_size=H,
    embedding_size=32,
    window=64,
    batch_size=16,
    learning_rate=1e-2,
    dropout=0.0,
    max_epochs=2 if quick() else 8,
).fit(documents)
test = "".join(text for _, text in model.parts_.test)[:30_000]
print(f"{len(documents)} files; {model.score(test):.2f} bits per character of files it has not seen")

# %% [markdown]
# ## Units that follow something
#
# `explain` reads a text, records what every unit does after each character, and correlates that with five things one
# can compute from the text: inside quotes, inside a comment, depth of brackets, place in the line, indentation. The
# activity of an LSTM's unit is tanh(c), before the output gate hides it:

# %%
for equation in equations.select("L6-L7"):
    print(f"{equation.id:4} {equation.plain}")
found = model.explain(test)
print(found.units.round(2).to_string())

# %% [markdown]
# Two ways of fooling oneself, and how each is kept out.
#
# **The best of many.** Among 64 units one is always correlated with *something*, by chance. So `explain` chooses the
# unit in one half of the text and measures in the other. **Predict before you run:** we correlate the units with the
# features of the *wrong* place, the text turned round by a few thousand characters. How large is the largest
# correlation in the half in which it was chosen, and in the other half?

# %%
names = list(found.units.index)  # those that vary in both halves of the text
features = explaining.features(test)[0][:, [explaining.FEATURES.index(name) for name in names]]  # (n, F)
active = explaining.activities(model, model.vocabulary_.encode(test))  # (n, H)
half = len(test) // 2
at = np.arange(len(names))


def chosen_and_measured(active, features):
    """For each feature: the best unit of the first half, its |correlation| there, and its correlation in the second."""
    first, second = (explaining.correlations(active[part], features[part]) for part in (slice(half), slice(half, None)))
    best = np.abs(first).argmax(axis=0)
    return best, np.abs(first[best, at]), np.abs(second[best, at])


best, first, second = chosen_and_measured(active, features)
_, wrong_first, wrong_second = chosen_and_measured(active, np.roll(features, 3777, axis=0))
table = pd.DataFrame(
    {"chosen in": first, "measured in": second, "wrong place: in": wrong_first, "measured": wrong_second},
    index=names,
)
print(table.round(2).to_string())
assert np.mean(wrong_second) < np.mean(wrong_first)  # what was chosen by chance does not last
assert second.max() > 0.5
assert second.max() > 2 * wrong_second.max()

# %% [markdown]
# **What a fresh network does already.** A unit with a forget gate near 1 adds up what comes in, and so counts
# characters without having learned anything. So we ask the same of the network before its first update.

# %%
fresh = copy.copy(model)
fresh.weights_ = init_network(0, model.network_, None)
fresh_active = explaining.activities(fresh, model.vocabulary_.encode(test))
_, _, untrained = chosen_and_measured(fresh_active, features)
table = pd.DataFrame({"untrained": untrained, "trained": second}, index=names)
print(table.round(2).to_string())
assert second.mean() > untrained.mean()
assert untrained[names.index("place in the line")] > 0.25
learned = table["trained"] - table["untrained"]
print("learned most:", learned.idxmax())

# %% [markdown]
# Only the difference of these two columns is what training has made. The place in the line is the warning: a fresh
# network follows it already, perhaps since every line begins with the same few characters and forgetting does the rest.
#
# ## Does the network need it?
#
# A unit that follows the quotes is not yet one that the network uses. So we silence units, one at a time: a bias of -30
# in the output gate makes o = 0 and takes the unit out of h. Sixty-four networks that differ in one number are one call
# of `lax.map`: a `vmap` that takes them in turn and needs less memory.

# %%
recurrent = model.weights_.layers[1]
output_gate = gate_block("o", LSTM_GATES, H)
symbols = model.vocabulary_.encode(test)
B = 40
T = (len(symbols) - 1) // B
streams = symbols[: B * T + 1][np.arange(B) * T + np.arange(T + 1)[:, None]]  # (T + 1, B)


@jax.jit
def bits(b):
    """Bits per character with this bias of the LSTM."""
    layers = (model.weights_.layers[0], recurrent._replace(weights=recurrent.weights._replace(b=b)))
    weights = model.weights_._replace(layers=(*layers, *model.weights_.layers[2:]))
    logits, _ = fast.network.forward(model.network_, weights, streams[:-1])
    nats = -jnp.take_along_axis(jax.nn.log_softmax(logits), jnp.asarray(streams[1:, :, None]), axis=-1)
    return nats.mean() / math.log(2)


b = recurrent.weights.b
silenced = np.tile(b, (H, 1))
silenced[np.arange(H), np.arange(output_gate.start, output_gate.stop)] = -30
cost = np.asarray(jax.lax.map(bits, jnp.asarray(silenced))) - float(bits(b))  # (H,) bits
print(f"silencing one unit costs {np.median(cost):.4f} bits (median), at most {cost.max():.4f}")
rank = H - np.argsort(np.argsort(cost))  # 1 is the costliest
for name, unit in zip(names, best):
    print(f"  the unit of {name:18} {cost[unit]:.4f} bits, rank {rank[unit]} of {H}")
assert np.median(cost) > 0  # most units are of some use
assert cost.max() > 3 * np.median(cost)  # but not of the same

# %% [markdown]
# How well a unit follows something and how much the network needs it are two questions: look at the ranks. A
# correlation that one can name is not what training was after. And one unit's silence is a lower bound: others may know
# the same.
#
# ## How long do units remember?
#
# By L6 a unit keeps the share f of its memory at each step. A gate below 0.1 is shut, one above 0.9 is wide open
# (*saturated*, Karpathy et al. 2015). At the start all forget gates are near σ(1) = 0.73. We say that a unit remembers
# for as many characters as it takes until 1/e, or 37 %, of its memory is left: -1/log f, with the geometric mean of f
# over the text.


# %%
def opened(params):
    """The gates along the test text, each (T, B, H)."""
    layer = params.layers[1].weights
    xs = readable.layers.embedding(params.layers[0], streams[:-1])[0]  # (T, B, E)
    return readable.lstm.gates(layer, xs)


gates = {"untrained": opened(fresh.weights_), "trained": opened(model.weights_)}
shares = pd.DataFrame(
    {
        (name, kind): [float(test(getattr(seen, gate)).mean()) for gate in "ifo"]
        for name, seen in gates.items()
        for kind, test in (("shut", lambda g: g < CLOSED), ("open", lambda g: g > OPEN))
    },
    index=list("ifo"),
)
print(shares.round(2).to_string())
memory = {
    name: -1 / np.log(np.exp(np.log(np.maximum(seen.f, 1e-12)).mean(axis=(0, 1)))) for name, seen in gates.items()
}  # (H,) steps
for name, steps in memory.items():
    print(f"{name:10} characters that units remember:", np.quantile(steps, (0.1, 0.5, 0.9)).round(1))
assert (shares["untrained"].to_numpy() < 0.05).all()
assert shares.loc["f", ("trained", "open")] > 0.1
assert np.ptp(np.log(memory["trained"])) > 2 * np.ptp(np.log(memory["untrained"]))
assert np.quantile(memory["trained"], 0.1) < 2
assert np.quantile(memory["trained"], 0.9) > 10

# %% [markdown]
# A tenth of the units remembers for less than the first number, half of them for less than the second, a tenth for more
# than the third. Training has spread them out: some forget within two characters, others keep something for a word or a
# line.
#
# ## A name is a guess
#
# "It follows the place in the line" is our name for what a unit does. Other names may fit better: perhaps it only knows
# whether the line has begun, that is, whether anything but blanks has come. We choose and measure again, with that.

# %%
begun = np.array([1.0 if line[: k + 1].strip() else 0.0 for line in test.splitlines(True) for k in range(len(line))])
begun[[k for k, c in enumerate(test) if c == "\n"]] = 0
(unit,) = np.abs(explaining.correlations(active[:half], begun[:half, None])).argmax(axis=0)
held_out = explaining.correlations(active[half:], begun[half:, None])[unit, 0]
line_unit = best[names.index("place in the line")]
print(f"unit {unit + 1}: correlation {held_out:+.2f} with 'the line has begun'")
print(f"unit {line_unit + 1} is the one that was named after the place in the line")
assert abs(held_out) > 0.6
assert abs(held_out) > second.max()

# %% [markdown]
# This correlation is higher than all those above. Where both are the same unit, that unit counts nothing: it is a
# switch. The only way to find out is to look at the text itself. So here it is, coloured by this unit and by the one of
# the brackets. Would you have given the second one that name?

# %%
passage = found.passage
lines = passage.split("\n")[:12]
shown = "\n".join(lines)
start = test.index(passage)
bracket_unit = best[names.index("depth of brackets")]
activity = {
    f"unit {unit + 1}: has the line begun? ({held_out:+.2f})": active[start : start + len(shown), unit],
    f"unit {bracket_unit + 1}: depth of brackets ({found.units.loc['depth of brackets', 'correlation']:+.2f})": active[
        start : start + len(shown), bracket_unit
    ],
}
data = pd.DataFrame(
    {"character": [c.encode("unicode_escape").decode() for c in shown]} | activity,
    index=pd.RangeIndex(len(shown), name="place"),
)


def figure_of(data) -> Figure:
    """A text, once for each unit, coloured by what the unit does after each character."""
    text = "".join(c.encode().decode("unicode_escape") for c in data["character"])
    return activity_figure(text, {name: data[name].to_numpy() for name in data.columns[1:]}, width=52, unit="tanh(c)")


keep(figure_of(data), "12_looking_inside", data)

# %% [markdown]
# ## Exercises
#
# 1. Choose the unit in the whole text and measure in the whole text. How much better does it look?
# 2. Train with `hidden_size=16` and with 256. Do the correlations rise or fall? Does one unit follow more than one
#    thing?
# 3. The gates of a GRU: which of them says how long it remembers? `minirnn learn start gru_step` is the way to its
#    equations.
