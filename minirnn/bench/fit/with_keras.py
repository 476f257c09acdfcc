"""Trains the forecaster with Keras on JAX: ``python with_keras.py SERIES.npy EPOCHS WINDOWS``."""

import json
import os
import sys


def main(path: str, epochs: int, windows: int) -> None:
    """Prints the losses of every epoch."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras
    import numpy as np

    keras.utils.set_random_seed(0)
    series = np.load(path)
    cut = np.lib.stride_tricks.sliding_window_view(series, 96 + 24, axis=0).swapaxes(1, 2)
    x, y = cut[:, :96].astype(np.float32), cut[:, 96:, 0].astype(np.float32)

    model = keras.Sequential([keras.Input((96, 7)), keras.layers.LSTM(64), keras.layers.Dense(24)])
    model.compile(optimizer=keras.optimizers.Adam(1e-3, epsilon=1e-8, global_clipnorm=1.0), loss="mse")
    history = model.fit(
        x[:windows],
        y[:windows],
        batch_size=64,
        epochs=epochs,
        validation_data=(x[windows:], y[windows:]),
        verbose=0,
    ).history
    print(json.dumps({"loss": history["loss"], "validation": history["val_loss"]}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
