"""Makes every figure of this folder anew: ``python figures/make.py [FOLDER]`` (default: this folder).

The numbers behind each picture are written beside it, so that a change can be seen without looking at pixels.
"""

import sys
from pathlib import Path

import minirnn
from minirnn.inspect.figures import forecast_figure, save_figure


def forecast(folder: Path) -> None:
    """The daily maximum temperature of Seattle a week ahead, and the errors on the last year: minirnn forecast."""
    model = minirnn.Forecaster(seed=0).fit(minirnn.data.load("seattle_weather"), target="temp_max")
    result = model.evaluate()
    errors = result.by_horizon.T.rename(columns=result.title_of)
    figure = forecast_figure(
        model.table_.frame["temp_max"],
        model.predict(),
        errors,
        network=result.title_of(result.network),
        best=result.title_of(result.best_naive),
        unit=result.units["temp_max"],
        ahead="7 days",
        period=f"{result.splits['test']['start']} to {result.splits['test']['end']}",
    )
    save_figure(figure, folder / "forecast.png", dpi=120)
    errors.round(2).to_csv(folder / "forecast.csv", lineterminator="\n")


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    target.mkdir(parents=True, exist_ok=True)
    forecast(target)
