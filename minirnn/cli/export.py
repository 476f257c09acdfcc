"""``minirnn export``: the forecast of a saved model as a file that runs without minirnn."""

from __future__ import annotations

import argparse

from minirnn.cli import UsageError, levels, loading, places

EXAMPLES = """examples:
  minirnn export report/model.safetensors --out forecast.zip
  minirnn export report/model.safetensors --out forecast.zip --platforms cpu,cuda,tpu    none of them need be here
  unzip -p forecast.zip README.txt                                                       what it takes and gives

To run it, with JAX and flatbuffers and without minirnn:

  import zipfile
  from jax import export
  with zipfile.ZipFile("forecast.zip") as file:
      forecast = export.deserialize(bytearray(file.read("forecast.stablehlo")))
  result = forecast.call(values=values, days=days, seconds=seconds)

values (windows, rows, columns) are the last rows, NaN where missing; days and seconds the times of these rows and of
those ahead; result["mean"], result["lower_80"], ... the forecasts of all windows. README.txt and inputs.json in the zip
name the columns, types and sizes of this model.
"""


def add_parser(subparsers) -> None:
    """Adds the command's options."""
    parser = subparsers.add_parser(
        "export",
        help="write the forecast of a saved model to a file that runs without minirnn",
        description="Writes the forecast function of a saved model as StableHLO (jax.export) to a zip file.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="a saved model (.safetensors)")
    parser.add_argument("--out", metavar="FILE", default="forecast.zip", help="the file (default: forecast.zip)")
    parser.add_argument(
        "--platforms",
        type=lambda text: tuple(part.strip() for part in text.split(",")),
        default=("cpu",),
        metavar="P,Q",
        help="where it shall run: cpu, cuda, rocm, tpu (default: cpu)",
    )
    parser.add_argument(
        "--levels", type=levels, default=(0.8, 0.95), metavar="X,Y", help="of the intervals (default: 0.8,0.95)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    import jax

    out = places.file(arguments.out, arguments.model, endings=(".zip",))
    assert out is not None
    model = loading.load(arguments.model, "export", "Forecaster")
    # Else the file would hold the paths of the source files on this machine, as notes for debuggers.
    jax.config.update("jax_traceback_in_locations_limit", 0)
    try:
        model.export(out, arguments.platforms, arguments.levels)
    except ImportError as error:
        raise UsageError(f"an export needs the package flatbuffers: pip install flatbuffers ({error})") from None
    except OSError as error:
        raise places.cannot_write(out, error) from None
    print(
        f"written to {out}: {model.horizon_} rows ahead from {model.reach_} rows, for {', '.join(arguments.platforms)}"
    )
    return 0
