"""A forecast as a file that runs without minirnn: StableHLO by ``jax.export``, in a zip that says what goes in.

The zip holds ``forecast.stablehlo`` (what ``jax.export.deserialize`` reads), ``inputs.json`` (names, shapes and meaning
of what it takes and gives) and ``README.txt``. Missing values, the calendar, scales and calibrated intervals are part
of the function. Any number of windows goes through it at once.

Dimension letters: b windows, R rows up to the origin, N rows ahead, C targets, A columns known ahead.
"""

from __future__ import annotations

import json
import os
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn._version import __version__
from minirnn.models.estimator import ParameterError
from minirnn.models.forecasting import frames, intervals
from minirnn.models.forecasting.program import Place, Program, Window, places
from minirnn.models.storage import write_atomically

if TYPE_CHECKING:
    from minirnn.models.forecaster import Forecaster

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
LEVELS = (0.8, 0.95)
PROGRAM, INPUTS, README = "forecast.stablehlo", "inputs.json", "README.txt"
LOADING = """\
import zipfile
from jax import export
with zipfile.ZipFile("{name}") as file:
    forecast = export.deserialize(bytearray(file.read("forecast.stablehlo")))
result = forecast.call({call})
"""
"""The lines of plain JAX that load and run the file."""


def export(model: Forecaster, path: str | os.PathLike, platforms=("cpu",), levels=LEVELS) -> None:
    """Writes the forecast function of a model, whole or not at all.

    Args:
      model: fitted.
      path: of the file, ``.zip``.
      platforms: where it shall run: ``"cpu"``, ``"cuda"``, ``"rocm"``, ``"tpu"``; none of them need be here.
      levels: of the intervals.

    Raises:
      ParameterError: an unknown platform, or a level that is none.
      ImportError: the package flatbuffers, which ``jax.export`` writes with, is not installed.
    """
    platforms = (platforms,) if isinstance(platforms, str) else tuple(dict.fromkeys(platforms))
    unknown = [name for name in platforms if name not in PLATFORMS]
    if unknown or not platforms:
        said = repr(unknown[0]) if unknown else "none"
        raise ParameterError(f"platforms: got {said}; expected one or more of {', '.join(PLATFORMS)}")
    levels = frames.check_levels(levels) if model.fitted_.calibrated else ()
    for given, what in ((model.fitted_.recursion, "strategy='recursive'"), (model.fitted_.outliers, "clip_outliers")):
        if given is not None:
            raise ParameterError(f"a model with {what} cannot be exported; fit one without it")
    if not str(path).endswith(".zip"):
        raise ParameterError(
            f"{os.fspath(path)}: an exported forecast is a zip file; expected a name that ends in .zip"
        )
    about = description(model, platforms, levels)
    contents = {
        PROGRAM: serialized(model, platforms, levels),
        INPUTS: (json.dumps(about, indent=2) + "\n").encode(),
        README: readme(about, os.path.basename(path)).encode(),
    }

    def write(temporary):
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as file:
            for name, data in contents.items():  # without the time of day, so that the same model gives the same bytes
                file.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)

    write_atomically(path, write)


def serialized(model: Forecaster, platforms: tuple[str, ...], levels: tuple[float, ...]) -> bytes:
    """What ``jax.export.deserialize`` reads."""
    import jax
    from jax import export

    from minirnn.fast.platforms import compiling_for

    count = export.symbolic_shape("b")[0]
    shapes = {
        name: jax.ShapeDtypeStruct((count, *each["shape"][1:]), np.dtype(each["dtype"]))
        for name, each in inputs(model).items()
    }
    one = window_function(model, levels)
    function = jax.jit(lambda **given: jax.vmap(one)(given))
    traced_for = "cpu" if "cpu" in platforms else "tpu" if "tpu" in platforms else "gpu"
    with compiling_for(traced_for):
        return bytes(export.export(function, platforms=platforms)(**shapes).serialize())


def inputs(model: Forecaster) -> dict[str, dict[str, Any]]:
    """What the function takes, by name: shape (with ``"b"``, the number of windows), dtype and meaning."""
    encoder, R, N = model.fitted_.encoder, model.reach_, model.horizon_
    found: dict[str, dict[str, Any]] = {
        "values": {
            "shape": ["b", R, len(model.columns_)],
            "dtype": "float32",
            "meaning": f"the last {R} rows of the columns {list(model.columns_)}, the oldest first; NaN where missing",
        }
    }
    if encoder.ahead:
        found["ahead"] = {
            "shape": ["b", N, len(encoder.ahead)],
            "dtype": "float32",
            "meaning": f"the columns {list(model.roles_.future)} in the {N} rows ahead; NaN where missing",
        }
    if encoder.names or any(any(base.encoder.plan.harmonics) for base in model.fitted_.bases):
        of_rows = f"of the {R} rows and of the {N} rows ahead (frequency {model.frequency_})"
        found["days"] = {"shape": ["b", R + N], "dtype": "int32", "meaning": f"days since 1970-01-01 {of_rows}"}
        found["seconds"] = {"shape": ["b", R + N], "dtype": "float32", "meaning": f"seconds of the day {of_rows}"}
    if len(model.fitted_.names) > 1:
        found["series"] = {"shape": ["b"], "dtype": "int32", "meaning": "the number of the series, from 0, as in names"}
    return found


def window_function(model: Forecaster, levels: tuple[float, ...]):
    """Inputs of one window by name, without the axis b -> ``mean``, ``lower_80``, ``upper_80``, ... (N, C) by name."""
    import jax
    import jax.numpy as jnp

    fitted, R, N = model.fitted_, model.reach_, model.horizon_
    encoder, program = fitted.encoder, Program(fitted)
    stacked: Place = places(fitted, model.recent_)
    fallbacks = encoder.imputer.fallback

    def function(given):
        k = given.get("series", 0)
        place = jax.tree.map(lambda array: jnp.asarray(array, jnp.float32)[k], stacked)
        fallback = jnp.asarray(fallbacks, jnp.float32)[k]
        values = given["values"]
        gaps = jnp.isnan(values)
        columns = [_filled(values[:, c], fallback[c], encoder.imputer, c, lines=True) for c in range(values.shape[1])]
        lead = jnp.zeros((R + N, 0), jnp.float32)
        if encoder.ahead:
            longer = jnp.concatenate([values[:, np.array(encoder.ahead)], given["ahead"]])
            each = [_filled(longer[:, j], fallback[c], encoder.imputer, c) for j, c in enumerate(encoder.ahead)]
            lead = jnp.stack(each, axis=1)
        window = Window(
            jnp.stack(columns, axis=1),
            lead,
            gaps[:, np.array(encoder.masked, int)].astype(jnp.float32),
            given.get("days", jnp.zeros(R + N, jnp.int32)),
            given.get("seconds", jnp.zeros(R + N, jnp.float32)),
            place,
        )
        mean, ends = program.forecast(window, levels)
        found = {"mean": mean}
        for level in levels:
            for side, end in zip(("lower", "upper"), intervals.ends(level)):
                found[f"{side}_{frames.percent(level)}"] = ends[end]
        return found

    return function


def _filled(y, fallback, imputer, c: int, lines: bool = False):
    """A column (rows,) without gaps, as ``Imputer.transform`` fills it; ``lines`` may end at later rows."""
    import jax.numpy as jnp
    from jax import lax

    rows, method, season = jnp.arange(len(y)), imputer.methods[c], imputer.season
    gap = jnp.isnan(y)
    y = jnp.where(gap, 0.0, y)
    there = jnp.where(gap, -1, rows)
    known = lax.cummax(there)
    carried = jnp.where(known < 0, fallback, y[known])
    if method == "seasonal" and season > 1:
        whole = jnp.pad(there, (0, -len(y) % season), constant_values=-1).reshape(-1, season)
        same = lax.cummax(whole, axis=0).reshape(-1)[: len(y)]  # the last known row of the same phase
        return jnp.where(same < 0, carried, y[same])
    if method == "linear" and lines:
        coming = lax.cummin(jnp.where(gap, len(y), rows), reverse=True)
        inner = gap & (known >= 0) & (coming < len(y))
        left, right = jnp.maximum(known, 0), jnp.minimum(coming, len(y) - 1)
        share = (rows - left) / jnp.maximum(right - left, 1)
        return jnp.where(inner, (1 - share) * y[left] + share * y[right], carried)
    return carried


def description(model: Forecaster, platforms: tuple[str, ...], levels: tuple[float, ...]) -> dict[str, Any]:
    """What ``inputs.json`` says."""
    import jax

    names = ["mean"] + [f"{end}_{frames.percent(level)}" for level in levels for end in ("lower", "upper")]
    return {
        "what": "a forecast made by minirnn, as StableHLO; it runs with JAX alone",
        "minirnn": __version__,
        "jax": jax.__version__,
        "platforms": list(platforms),
        "rows": model.reach_,
        "horizon": model.horizon_,
        "frequency": model.frequency_,
        "columns": list(model.columns_),
        "targets": list(model.roles_.target),
        "units": model.units_,
        "names": list(model.fitted_.names) if len(model.fitted_.names) > 1 else [],
        "inputs": inputs(model),
        "outputs": {
            name: {"shape": ["b", model.horizon_, len(model.roles_.target)], "dtype": "float32"} for name in names
        },
    }


def readme(about: dict[str, Any], name: str) -> str:
    """What ``README.txt`` says."""
    call = ", ".join(f"{each}={each}" for each in about["inputs"])
    lines = [
        f"A forecast of {', '.join(about['targets'])}, {about['horizon']} rows ahead, exported by minirnn "
        f"{about['minirnn']} with JAX {about['jax']}",
        f"for {', '.join(about['platforms'])}. It needs JAX and flatbuffers, and not minirnn:",
        "",
        LOADING.format(name=name, call=call),
        "b is the number of windows, any number of them. Inputs, as NumPy or JAX arrays of exactly these types:",
        "",
    ]
    for key, each in about["inputs"].items():
        lines.append(f"  {key:8} {each['dtype']:8} ({', '.join(map(str, each['shape']))})  {each['meaning']}")
    if "days" in about["inputs"]:
        rows = about["rows"] + about["horizon"]
        lines += [
            "",
            "Days and seconds of rows whose times are regular, for example:",
            "",
            f"  times = pandas.date_range(first, periods={rows}, freq={about['frequency']!r})",
            '  days, seconds = numpy.divmod(times.to_numpy("datetime64[s]").astype("int64"), 86400)',
            '  days, seconds = days[None].astype("int32"), seconds[None].astype("float32")',
        ]
    lines += ["", f"The result is a dict of {', '.join(about['outputs'])}:", ""]
    lines.append(f"  each float32 (b, {about['horizon']}, {len(about['targets'])}), in the unit of the targets")
    lines += [
        "",
        "JAX reads what it has exported for at least six months; export again from the model file after that.",
    ]
    return "\n".join(lines) + "\n"
