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
print(result.by_step[["last_value", "climatology", "linear", "gru"]].round(2))
assert result.by_step["last_value"][1] < result.by_step["climatology"][1]
assert result.by_step["last_value"][7] > result.by_step["climatology"][7]

# %% [markdown]
# The last value wins tomorrow and loses next week. A comparison at one step ahead only, as many published ones are, would
# hide that. The linear forecast gets exactly the inputs that the network gets: where it wins, the recurrence was not
# needed.

# %%
print(result.table.round(3))
print(result.sentence)
assert result.by_step["linear"].mean() < result.by_step["climatology"].mean()

# %% [markdown]
# ## The test rows leave no trace
#
# If we change the test rows, the trained weights must not move by a single bit. This is how a leak is found.

# %%
changed = frame.copy()
changed.loc[result.splits["test"]["start"] :, "temp_max"] += 30
other = minirnn.Forecaster(cell="gru", hidden_size=16, ensemble=2, max_epochs=12).fit(changed, target="temp_max")
for ours, theirs in zip(model.members_, other.members_):
    np.testing.assert_array_equal(ours.head.W, theirs.head.W)
print("weights unchanged")

# %% [markdown]
# ## Exercises
#
# 1. Forecast `sunspots` the same way. Does the network win? Should it be used?
# 2. Take `co2`, and explain why "mean" is hopeless there and "drift" is not.
