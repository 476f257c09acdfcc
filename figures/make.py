"""Makes the figures anew: ``python figures/make.py [FOLDER]`` (default: this folder).

The numbers behind each picture are written beside it, so that a change can be seen without looking at pixels;
``figures/compare.py`` compares them. ``--quick`` leaves out what takes minutes, and lets the lessons take less than
their full time; ``--only NAME`` makes a single one. The speeds (``bench.png``) are those of one machine on one day:
they are measured by ``minirnn bench --full --json`` and drawn by ``figures/bench.py``.
"""

import argparse
import concurrent.futures
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
LESSONS = {path.stem: path for path in sorted((HERE.parent / "tutorials").glob("[0-9]*.py"))}
OTHERS = ("forecast", "grader", "events", "reading")
SLOW = ("grader", "events", "reading")


def forecast(folder: Path) -> None:
    """The daily maximum temperature of Seattle a week ahead, and the errors on the last year: minirnn forecast."""
    import minirnn
    from minirnn.inspect.figures import forecast_figure, save_figure

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


def script(name: str, folder: Path) -> None:
    """Runs ``figures/NAME.py FOLDER``."""
    subprocess.run([sys.executable, "-W", "error", str(HERE / f"{name}.py"), str(folder)], check=True)


def lesson(name: str, folder: Path, quick: bool) -> tuple[str, float, str]:
    """Runs a lesson, which writes its figure: (name, seconds, what went wrong)."""
    started = time.perf_counter()
    environment = {**os.environ, "MINIRNN_FIGURES": str(folder), "MINIRNN_QUICK": "1" if quick else "0"}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(LESSONS[name])], env=environment, capture_output=True, text=True
    )
    wrong = "" if done.returncode == 0 else done.stderr[-3000:] or f"exit status {done.returncode}"
    if not wrong and not all((folder / f"{name}{ending}").exists() for ending in (".png", ".csv")):
        wrong = f"has not written {name}.png and {name}.csv"
    return name, time.perf_counter() - started, wrong


def main() -> int:
    """Makes them; the exit status is 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=HERE)
    parser.add_argument("--quick", action="store_true", help="without what takes minutes; lessons in their quick mode")
    parser.add_argument("--only", metavar="NAME", choices=[*OTHERS, *LESSONS], help="a single figure")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="lessons at a time")
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [asked.only] if asked.only else [*(n for n in OTHERS if not (asked.quick and n in SLOW)), *LESSONS]
    started = time.perf_counter()
    failed = []
    with concurrent.futures.ThreadPoolExecutor(asked.jobs) as pool:
        waiting = [pool.submit(lesson, name, folder, asked.quick) for name in chosen if name in LESSONS]
        for each in concurrent.futures.as_completed(waiting):
            name, seconds, wrong = each.result()
            print(f"{name:<34} {seconds:5.1f} s  {wrong or 'ok'}", flush=True)
            failed += [name] if wrong else []
    if waiting:
        print(f"{len(waiting)} lessons together: {time.perf_counter() - started:.0f} s")
    for name in chosen:
        if name == "forecast":
            forecast(folder)
        elif name == "reading" and not (shutil.which("chromium") or shutil.which("google-chrome")):
            print("reading: left as it is, it needs chromium or google-chrome on the PATH")
        elif name in OTHERS:
            script(name, folder)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
