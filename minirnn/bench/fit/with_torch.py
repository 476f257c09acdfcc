"""Trains the forecaster with PyTorch: ``python with_torch.py SERIES.npy EPOCHS WINDOWS``.

nn.LSTM, and batches by index from tensors in memory: faster than a DataLoader, which collates rows one by one.
"""

import json
import sys


def main(path: str, epochs: int, windows: int) -> None:
    """Prints the losses of every epoch."""
    import numpy as np
    import torch

    torch.manual_seed(0)
    series = np.load(path)
    cut = np.lib.stride_tricks.sliding_window_view(series, 96 + 24, axis=0).swapaxes(1, 2)
    x = torch.tensor(cut[:, :96], dtype=torch.float32)
    y = torch.tensor(cut[:, 96:, 0], dtype=torch.float32)
    (x, x_validation), (y, y_validation) = (torch.tensor_split(a, [windows]) for a in (x, y))

    class Forecaster(torch.nn.Module):
        """An LSTM, and all steps ahead from its last output."""

        def __init__(self):
            super().__init__()
            self.layer = torch.nn.LSTM(7, 64, batch_first=True)
            self.head = torch.nn.Linear(64, 24)

        def forward(self, x):
            hs, _ = self.layer(x)
            return self.head(hs[:, -1])

    model = Forecaster()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    loss_of = torch.nn.functional.mse_loss
    losses, validation = [], []
    for _ in range(epochs):
        total = 0.0
        for chosen in torch.randperm(windows).split(64):
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(model(x[chosen]), y[chosen])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total += loss.item() * len(chosen)
        losses.append(total / windows)
        with torch.inference_mode():
            validation.append(loss_of(model(x_validation), y_validation).item())
    print(json.dumps({"loss": losses, "validation": validation}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
