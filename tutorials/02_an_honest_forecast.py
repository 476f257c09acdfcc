# %% [markdown]
# # An honest forecast
#
# A forecast is worth something only if it beats what costs nothing, on rows that it has never seen. This takes the daily
# maximum temperature of Seattle, 2012 to 2015, and looks a week ahead.

# %%
import numpy as np

import minirnn

frame = minirnn.data.load("seattle_weather")
print(frame.attrs["title"], "|", frame.attrs["licence"])

# %% [markdown]
# ## Three parts, in order
#
# Shuffling rows before splitting would let a model look at tomorrow to forecast today. The first 60 % of the rows train,
# the next 15 % decide when to stop, the last 25 % judge. A small training is enough here.

# %%
model = minirnn.Forecaster(cell="gru", hidden_size=16, ensemble=2, max_epochs=12).fit(frame, target="temp_max")
result = model.evaluate()
for name, part in result.splits.items():
    print(f"{name:11}{part['start']} to {part['end']}  {part['rows']} rows")
assert result.splits["train"]["end"] < result.splits["validation"]["start"] < result.splits["test"]["start"]

# %% [markdown]
# ## The rivals
#
# **Predict before you run:** which of these is best one day ahead: the last value, or the climatology (what is usual on
# this day of the year)? And seven days ahead?

# %%
errors = result.by_horizon
print(errors.loc[["last_value", "climatology", "linear", "gru"]].round(2))
assert errors.loc["last_value", 1] < errors.loc["climatology", 1]
assert errors.loc["last_value", 7] > errors.loc["climatology", 7]

# %% [markdown]
# The last value wins tomorrow and loses next week. A comparison at one step ahead only, as many published ones are, would
# hide that.

# %%
print(result.table[["MAE", "RMSE", "MASE", "coverage_80", "coverage_95"]].round(3))
print(result.sentence)
assert errors.loc["linear"].mean() < errors.loc["climatology"].mean()

# %% [markdown]
# ## What the network itself is worth
#
# The forecast is a level and a season that move with the rows, plus a regression, plus what the GRU adds. So "it beats
# the others" does not yet say that the GRU did. The same forecast without it does: `network_share` is the weight that
# the validation rows gave it, from 0 to 1, and `without` are the forecasts that remain at 0.

# %%
print(
    f"weight of the network {result.model['network_share']:.2f}; it makes the error smaller by {result.network_adds:.1%}"
)
bare = np.abs(result.without - result.actual)[result.counts].mean()
full = np.abs(result.forecasts["gru"] - result.actual)[result.counts].mean()
assert np.isclose(result.network_adds, 1 - full / bare)

# %% [markdown]
# ## How sure is it?
#
# An interval of 80 % should hold four truths of five. It is calibrated on rows that trained nothing, and that were known
# when the forecast was made; the test rows say whether that was honest.

# %%
print(model.predict().round(1))
assert 0.7 < result.table.loc["gru", "coverage_80"] < 0.9
assert 0.9 < result.table.loc["gru", "coverage_95"] < 0.99

# %% [markdown]
# ## The test rows leave no trace
#
# If we change the test rows, the trained weights must not move by a single bit. This is how a leak is found.

# %%
changed = frame.copy()
changed.loc[result.splits["test"]["start"] :, "temp_max"] += 30
other = minirnn.Forecaster(cell="gru", hidden_size=16, ensemble=2, max_epochs=12).fit(changed, target="temp_max")
for ours, theirs in zip(model.fitted_.members, other.fitted_.members):
    np.testing.assert_array_equal(ours.head.W, theirs.head.W)
print("weights unchanged")

# %% [markdown]
# ## Exercises
#
# 1. Forecast `sunspots` the same way. Does the forecast win? Does its network have a part in that?
# 2. Take `co2`, and explain why "mean" is hopeless there and "drift" is not.
