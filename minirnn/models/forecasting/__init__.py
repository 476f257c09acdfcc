"""The parts of a Forecaster, from rows to forecasts. Everything a saved model needs runs without pandas and JAX."""
