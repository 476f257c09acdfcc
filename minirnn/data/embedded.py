"""Five small series that come with the package; series/SOURCES.md says where each one is from."""

import csv
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd

from minirnn.data.words import DataError, listed, suggestion


@dataclass(frozen=True)
class _About:
    title: str
    frequency: str
    units: dict[str, str]
    source: str
    licence: str


_SERIES = {
    "seattle_weather": _About(
        "Daily weather in Seattle, 2012-2015",
        "D",
        {"precipitation": "mm", "temp_max": "°C", "temp_min": "°C", "wind": "m/s", "weather": "class"},
        "NOAA, Seattle-Tacoma airport, in the form of vega-datasets",
        "public domain (work of the US government)",
    ),
    "co2": _About(
        "Weekly CO2 at Mauna Loa, 1958-2001",
        "W-SAT",
        {"co2": "ppmv"},
        "Keeling and Whorf, Scripps Institution of Oceanography, through CDIAC and statsmodels",
        "public domain",
    ),
    "sunspots": _About(
        "Yearly sunspot numbers, 1700-2008",
        "YS",
        {"sunspots": "sunspot number"},
        "NOAA National Geophysical Data Center, through statsmodels",
        "public domain",
    ),
    "elnino": _About(
        "Monthly sea surface temperature, Nino 1+2, 1950-2010",
        "MS",
        {"temperature": "°C"},
        "NOAA National Weather Service, ERSST.v3b, through statsmodels",
        "public domain",
    ),
    "air_passengers": _About(
        "Monthly international airline passengers, 1949-1960",
        "MS",
        {"passengers": "thousands"},
        "Box and Jenkins, Time Series Analysis, Series G",
        "bare figures, not subject to copyright",
    ),
}

NAMES = tuple(_SERIES)
"""The names that `load` knows."""


def path_of(name: str) -> Path:
    """The CSV file of an embedded series.

    Raises:
        DataError: there is no series of that name.
    """
    if name not in _SERIES:
        raise DataError(
            f"there is no embedded series {name!r}; {suggestion(str(name), NAMES)}choose one of {listed(NAMES)}"
        )
    return Path(str(files("minirnn.data") / "series" / f"{name}.csv"))


def load(name: str) -> pd.DataFrame:
    """An embedded series as a data frame over its dates, gaps left as NaN.

    Args:
        name: one of `NAMES`.

    Returns:
        float64 columns (and `weather` as strings) over a DatetimeIndex named "date" with its freq set;
        `attrs` holds "title", "units" (column -> unit), "source" and "licence".

    Raises:
        DataError: there is no series of that name.

    >>> frame = load("seattle_weather")
    >>> frame["temp_max"].head(3).tolist(), frame["weather"].iloc[0]
    ([12.8, 10.6, 11.7], 'drizzle')
    >>> frame.attrs["units"]["wind"]
    'm/s'
    """
    path = path_of(name)
    about = _SERIES[name]
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    dates, *columns = zip(*rows)
    index = pd.DatetimeIndex(np.array(dates, dtype="datetime64[us]"), freq=about.frequency, name=header[0])
    frame = pd.DataFrame(index=index)
    for column, cells in zip(header[1:], columns):
        if about.units[column] == "class":
            frame[column] = list(cells)
        else:
            frame[column] = np.array([float(cell or "nan") for cell in cells])
    frame.attrs = {
        "title": about.title,
        "units": dict(about.units),
        "source": about.source,
        "licence": about.licence,
    }
    return frame
