"""What people fit: the Forecaster; with its baselines, metrics, training loop and file format."""
