# %% [markdown]
# # Forecasting honestly
#
# Minutes: 20. Before: what a mean absolute error is, one training loop (tutorial 09).
#
# A forecast is worth something only if it beats what costs nothing, on rows that it has never seen. Afterwards you can
# split, scale and window a series without letting the future in, forecast several steps in two ways, recognise a leak
# by its shape, and say what the network itself is worth.

# %%
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import minirnn
from minirnn.data.scaling import Scaler
from minirnn.data.splits import chronological_split
from minirnn.data.windows import inputs_at, targets_at
from minirnn.fast import network, training
from minirnn.inspect.lessons import CELL_COLOURS, OTHER_COLOURS, SMALL, WRONG, keep, quick, tidy
from minirnn.models import baselines
from minirnn.params import stack

WINDOW, HORIZON = 30, 7
frame = minirnn.data.load("seattle_weather")
print(frame.attrs["title"], "|", frame.attrs["licence"])
y = frame["temp_max"].to_numpy()  # daily maximum temperature, degrees Celsius, 2012 to 2015

# %% [markdown]
# ## Three parts, in order
#
# Shuffling rows before splitting would let a model look at tomorrow to forecast today. The first 60 % of the rows
# train, the next 15 % decide, the last 25 % judge. A window belongs to the part in which *all* of its targets lie; its
# inputs may reach back into the part before, which is known by then.

# %%
split = chronological_split(len(y), WINDOW, HORIZON)
origins = {part: split.origins(part, WINDOW, HORIZON) for part in split.parts}  # the last known row of each window
for part, rows in split.parts.items():
    dates = frame.index[rows.start], frame.index[rows.stop - 1]
    print(f"{part:11}{dates[0]:%Y-%m-%d} to {dates[1]:%Y-%m-%d}  {len(origins[part]):4} windows")
assert origins["train"].max() + HORIZON < split.train  # no training window has a target in another part
assert origins["test"].min() + 1 == split.validation

# %% [markdown]
# ## Scaling that knows the training rows only
#
# Networks want numbers of size one. The mean and the spread for that are *fitted*, so they come from the training rows.
# Over all rows they would be other numbers, which know something of the test year.

# %%
bounds = np.array([0, len(y)])
scaler = Scaler.fit(y[:, None], bounds, stop=np.array([split.train]))
peeking = Scaler.fit(y[:, None], bounds, stop=np.array([len(y)]))
print(f"mean of the training rows {scaler.mean[0, 0]:.2f}, of all rows {peeking.mean[0, 0]:.2f} degrees")
assert np.isclose(scaler.mean[0, 0], y[: split.train].mean())
assert peeking.mean[0, 0] - scaler.mean[0, 0] > 0.1  # 2015 was warm
scaled = scaler.transform(y[:, None]).astype(np.float32)

# %% [markdown]
# ## What costs nothing
#
# The last value, again and again; and the mean of all rows so far. **Predict before you run:** how fast does the error
# of the last value grow: is it at seven days twice, three times, seven times that of one day?

# %%
actual = targets_at(y, origins["test"], HORIZON)  # (n, HORIZON)


def errors(forecast):
    """Mean absolute error for each step ahead (HORIZON,), in degrees."""
    return np.abs(forecast - actual).mean(axis=0)


table = {
    "last value": errors(baselines.last_value(y, origins["test"], HORIZON)),
    "mean": errors(baselines.mean(y, origins["test"], HORIZON)),
}
ratio = table["last value"][-1] / table["last value"][0]
print("last value, 1 to 7 days ahead:", table["last value"].round(2), f" ratio {ratio:.1f}")
assert 1.3 < ratio < 2
assert table["last value"][6] < 1.05 * table["last value"][3]
assert (table["mean"] > table["last value"]).all()

# %% [markdown]
# Weather forgets within a few days, so the error levels off: day seven is hardly worse than day four. A rival that is
# only judged one day ahead looks far better than it is.
#
# ## Several steps ahead: all at once, or one after the other
#
# A GRU of 16 units reads the window. What it has to say is the *change* against the last row, so that it starts as the
# last value does. *Direct*: seven outputs at once. *Roll-out*: one output, and the forecast goes back in as if it were
# the next row.

# %%
EPOCHS, BATCH = (6, 32) if quick() else (20, 32)


def fit(columns, targets, seed=0):
    """A GRU from windows of columns (rows, D) to targets (n, O) at the training origins: a function origins -> outputs."""
    inputs = inputs_at(columns, origins["train"], WINDOW)  # (n, WINDOW, D)
    n, outputs = targets.shape
    steps = n // BATCH
    description = stack("gru", 16, output_size=outputs)
    optimizer = training.make_optimizer(5e-3, 1.0, decay_steps=EPOCHS * steps)
    state = training.start(optimizer, [network.init(seed, description, columns.shape[1])])
    data = training.place((inputs, targets.astype(np.float32), np.ones_like(targets, np.float32)))
    rng = np.random.default_rng(seed)
    for _ in range(EPOCHS):
        batches = rng.permutation(n)[: steps * BATCH].reshape(1, steps, BATCH)
        state, _ = training.epoch(description, optimizer, state, data, batches, np.ones((steps, BATCH), np.float32))

    def answer(windows):
        """Windows (n, WINDOW, D) -> outputs (n, O)."""
        return training.predict(description, state, windows)[0]

    return answer, training.members(state)[0]


def changes(values, steps):
    """The change of each of the next steps against the last known row, at the training origins (n, steps)."""
    return targets_at(values, origins["train"], steps)[..., 0] - values[origins["train"]]


def degrees(change):
    """Scaled changes (n, HORIZON) -> degrees."""
    return scaler.inverse(change + scaled[origins["test"]], column=0)


def direct(answer, columns):
    """All steps at once."""
    return degrees(answer(inputs_at(columns, origins["test"], WINDOW)))


def rolled_out(answer):
    """One step at a time, each forecast read as the next row."""
    windows = inputs_at(scaled, origins["test"], WINDOW)
    for _ in range(HORIZON):
        following = windows[:, -1] + answer(windows)  # (n, 1)
        windows = np.concatenate([windows[:, 1:], following[:, None]], axis=1)
    return scaler.inverse(windows[:, -HORIZON:, 0], column=0)


all_steps, weights = fit(scaled, changes(scaled, HORIZON))
one_step, _ = fit(scaled, changes(scaled, 1))
table["GRU, direct"] = errors(direct(all_steps, scaled))
chained = rolled_out(one_step)
table["GRU, rolled out"] = errors(chained)
for name in ("GRU, direct", "GRU, rolled out"):
    print(f"{name:16} {table[name].round(2)}")
assert table["GRU, direct"].mean() < 0.95 * table["last value"].mean()
moves = [np.abs(np.diff(each, axis=1)).mean() for each in (chained, actual)]
print(f"mean change from day to day: rolled out {moves[0]:.2f}, actual {moves[1]:.2f} degrees")
assert moves[0] < 0.5 * moves[1]

# %% [markdown]
# A roll-out needs one network for all horizons; but after the first step it reads its own forecasts, which are much
# smoother than the rows that it was trained on. The direct network never does. Which of the two wins depends on the
# series; never read a one-step error as if it held for the roll-out.
#
# ## A leak, on purpose
#
# "We smooth the series with a centred moving average of seven days and add it as a second column." It sounds harmless,
# and is easily done: it is what a centred window of a data-frame library does. But the average of day t contains days
# t+1 to t+3.

# %%
half_width = 3


def with_average(values):
    """A column (rows, 1), and beside it its centred moving average (rows, 2)."""
    padded = np.pad(values[:, 0], half_width, mode="edge")
    smooth = np.convolve(padded, np.ones(2 * half_width + 1) / (2 * half_width + 1), mode="valid")
    return np.stack([values[:, 0], smooth.astype(np.float32)], axis=1)


leaking = with_average(scaled)

# %% [markdown]
# We take the plainest model, a linear regression of the window, without and with that column. **Predict before you
# run:** at which horizons does the leak pretend to be better, and by how much?
#
# Then we do what reality would do: at the moment of the forecast the rows after the origin don't exist, and the
# averages at the end of the window are over what there is.


# %%
def regression(columns):
    """Least squares from the window to the seven changes: a function from windows (n, WINDOW, D) to changes."""

    def design(windows):
        return np.concatenate([windows.reshape(len(windows), -1), np.ones((len(windows), 1))], axis=1)

    known = design(inputs_at(columns, origins["train"], WINDOW)).astype(np.float64)
    coefficients = np.linalg.lstsq(known, changes(scaled, HORIZON), rcond=None)[0]
    return lambda windows: design(windows) @ coefficients


honest, leaky = regression(scaled), regression(leaking)
table["linear"] = errors(direct(honest, scaled))
table["linear, leak on paper"] = errors(direct(leaky, leaking))

windows = inputs_at(leaking, origins["test"], WINDOW).copy()
for back in range(half_width):  # the last three averages of each window would have to look ahead
    known = inputs_at(scaled, origins["test"], half_width + 1 + back)[..., 0]  # rows up to the origin only
    windows[:, -1 - back, 1] = known.mean(axis=1)
table["linear, leak in use"] = errors(degrees(leaky(windows)))
for name in ("linear", "linear, leak on paper", "linear, leak in use"):
    print(f"{name:22} {table[name].round(2)}")
assert (table["linear, leak on paper"][:half_width] < 0.05).all()  # exactly as far as the average looks ahead
assert (table["linear, leak on paper"][half_width + 1 :] > 0.7 * table["linear"][half_width + 1 :]).all()
price = table["linear, leak in use"] - table["linear"]
assert (price[: half_width + 1] > 0).all()
assert price[:half_width].mean() > price[half_width:].mean()

# %% [markdown]
# Three perfect days: the regression has undone the average and reads the future out of it. In use it is worse than the
# honest one, most of all where it looked perfect. A network finds only a part of this in a short training, and then the
# leak looks like skill:

# %%
network_leaks, _ = fit(leaking, changes(scaled, HORIZON))
gain = 1 - errors(direct(network_leaks, leaking)) / table["GRU, direct"]
print("GRU, pretended gain by day:", " ".join(f"{g:.0%}" for g in gain))
assert gain[0] > 0.05
assert gain[0] > gain[half_width:].mean() + 0.05

# %% [markdown]
# That's how to recognise it: errors that are too small exactly as far ahead as something looks, and a kink behind it.
# Two tests find leaks without knowing them; each changes what must not matter. First, change the rows *after an
# origin*, make all columns anew, and forecast again: the forecast may not move. This one finds our moving average.

# %%
origin = origins["test"][:1]
later = scaled.copy()
later[origin.item() + 1 :] += 1


def moved(model, columns_of):
    """By how much a forecast changes when the rows after its origin do."""
    before, after = (model(inputs_at(columns_of(each), origin, WINDOW)) for each in (scaled, later))
    return np.abs(before - after).max()


by_honest, by_leaky = moved(honest, np.copy), moved(leaky, with_average)
print(f"other rows after the origin move the honest forecast by {by_honest}, the leaky one by {by_leaky:.1f}")
assert by_honest == 0
assert by_leaky > 0.1

# %% [markdown]
# Second, change the *test rows* and train again: not a single bit of the weights may move. This one finds what leaks
# into the training, such as a scaler that has seen all rows.

# %%
changed = y.copy()
changed[split.validation :] += 30
again = Scaler.fit(changed[:, None], bounds, stop=np.array([split.train])).transform(changed[:, None])
_, other = fit(again.astype(np.float32), changes(again.astype(np.float32), HORIZON))
np.testing.assert_array_equal(weights.head.W, other.head.W)
with_all_rows = Scaler.fit(changed[:, None], bounds, stop=np.array([len(y)])).transform(changed[:, None])
assert np.abs(with_all_rows[: split.train] - scaled[: split.train]).max() > 0.1  # the peeking scaler would be caught
print("weights unchanged by other test rows")

# %% [markdown]
# ## The whole of it, by the library
#
# `Forecaster` does all of this: a level and a season that move with the rows, a regression, and what the network adds,
# as far as the validation rows speak for it. And it is judged beside the simple ones, on the same windows.

# %%
sizes = {"hidden_size": 16, "max_epochs": 12}
if quick():  # the NumPy half computes the same and compiles nothing
    sizes = {"hidden_size": 8, "max_epochs": 2, "ensemble": 1, "backend": "readable"}
model = minirnn.Forecaster(cell="gru", window=WINDOW, horizon=HORIZON, reference="calendar", **sizes)
result = model.fit(frame, target="temp_max").evaluate()
np.testing.assert_allclose(result.actual[..., 0], actual)  # the same test windows
by_horizon = result.by_horizon
np.testing.assert_allclose(by_horizon.loc["last_value"], table["last value"])
table["climatology"] = by_horizon.loc["climatology"]
table["Forecaster"] = by_horizon.loc["gru"]
data = pd.DataFrame(
    {name: np.asarray(row, float) for name, row in table.items()}, index=pd.RangeIndex(1, HORIZON + 1, name="days")
)
print(data.T.round(2).to_string())
print(result.sentence)
assert data["Forecaster"].mean() < data["climatology"].mean()
assert data["last value"].iloc[0] < data["climatology"].iloc[0]
assert data["last value"].iloc[-1] > data["climatology"].iloc[-1]

# %% [markdown]
# *Climatology* forecasts the mean of that time of the year. The last value beats it tomorrow and loses next week. And
# what is the network itself worth? "It beats the others" doesn't say that: the same forecast without the network does
# (`without`). On these four years the answer is: nothing that can be seen. The validation rows give it little weight or
# none (`network_share`).

# %%
bare = np.abs(result.without - result.actual)[result.counts].mean()
full = np.abs(result.forecasts["gru"] - result.actual)[result.counts].mean()
print(f"weight of the network {result.model['network_share']:.2f}; it makes the error smaller by {1 - full / bare:.1%}")
assert np.isclose(result.network_adds, 1 - full / bare)
assert abs(result.network_adds) < 0.02
# An interval of 80 % should hold 80 % of the truths.
coverage = result.table.loc["gru", ["coverage_80", "coverage_95"]]
print("share of truths inside the intervals:", coverage.round(3).to_dict())
assert 0.7 < coverage["coverage_80"] < 0.9
assert 0.9 < coverage["coverage_95"] < 0.99


def figure_of(data):
    """Mean absolute error for each day ahead: rivals, networks, and the leak."""
    figure = Figure(figsize=(SMALL[0], 4.4), layout="constrained")
    axes = figure.subplots()
    looks = {
        "last value": (OTHER_COLOURS[3], "s:"),
        "climatology": (OTHER_COLOURS[0], "s:"),
        "linear": (OTHER_COLOURS[2], "s:"),
        "GRU, direct": (CELL_COLOURS["gru"], "o-"),
        "GRU, rolled out": (CELL_COLOURS["gru"], "P--"),
        "Forecaster": (CELL_COLOURS["lstm"], "D-"),
        "linear, leak on paper": (WRONG, "v-"),
        "linear, leak in use": (WRONG, "^--"),
    }
    for name, (colour, style) in looks.items():
        axes.plot(data.index, data[name], style, color=colour, lw=1.8, ms=5, label=name)
    axes.set(xlabel="days ahead", ylabel="mean absolute error (°C)", ylim=(0, None))
    axes.set_title("Seattle, daily maximum temperature, 2015: errors on the test rows", fontsize=11)
    axes.axvspan(0.8, half_width + 0.2, color=WRONG, alpha=0.07, lw=0)
    axes.text(2, 0.2, "as far as the\nleak looks ahead", ha="center", fontsize=9, color=WRONG)
    tidy(axes)
    figure.legend(loc="outside lower center", ncols=3, fontsize=9, frameon=False, handlelength=2.6)
    return figure


keep(figure_of(data), "10_forecasting_honestly", data)

# %% [markdown]
# ## Exercises
#
# 1. Another leak: shuffle the windows before splitting them. Neighbouring windows share six of seven targets; how much
#    does that pretend? Why does it pretend less for a small network than for a nearest neighbour?
# 2. Forecast `sunspots` with `minirnn.Forecaster`. Does the forecast win? Does its network have a part in that? Take
#    `co2`, and explain why "mean" is hopeless there and "drift" is not.
# 3. `minirnn learn start truncated_backward`: how a long series is trained on in windows with the state carried over.
