"""Writes the golden file of today's format, once: ``PYTHONPATH=tests python tests/golden/make.py``.

A file that was released is never written again: it is what later versions must still read.
"""

import json
from pathlib import Path

from forecasters import with_network

import minirnn
from minirnn.models.storage import FORMAT

FOLDER = Path(__file__).parent

if __name__ == "__main__":
    options = {"hidden_size": 2, "window": 6, "horizon": 3, "ensemble": 2, "max_epochs": 2, "backend": "readable"}
    weather = minirnn.data.load("seattle_weather").iloc[:160]
    model = with_network(minirnn.Forecaster(**options, seed=1).fit(weather, target="temp_max"))
    model.save(FOLDER / f"forecaster-format{FORMAT}.safetensors")
    forecast = model.predict()
    found = {
        "times": [str(time.date()) for time in forecast.index],
        **{name: list(forecast[name]) for name in forecast},
    }
    (FOLDER / f"forecaster-format{FORMAT}.json").write_text(json.dumps(found, indent=1) + "\n")
