"""Times, taken in turns, and the machine that they were taken on."""

from __future__ import annotations

import datetime
import gc
import importlib.metadata
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)


def interleaved(
    runs: Mapping[Name, Callable[[], object]],
    rounds: int = 10,
    warmup: int = 2,
    clock: Callable[[], float] | None = None,
) -> dict[Name, list[float]]:
    """Seconds of every run in every round; one round calls each run once.

    The machine's clock and its other work drift over seconds: taken in turns, all runs meet the same drift. The order
    is rotated by one per round and reversed in every other one, so that none always follows the same other one (whose
    threads may still be spinning).

    Args:
      runs: name -> the function to time; it must wait for its own work.
      rounds: how many times each is timed.
      warmup: calls of each before that, not counted: they compile and fill the caches.
      clock: seconds; ``time.perf_counter`` if None.
    """
    clock = time.perf_counter if clock is None else clock
    for run in runs.values():
        for _ in range(warmup):
            run()
    seconds: dict[Name, list[float]] = {name: [] for name in runs}
    names = list(runs)
    # Garbage is collected between rounds, never inside a time. What is there now is not looked through again: five
    # libraries hold so many objects that it would take longer than many a round.
    enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        for round_number in range(rounds):
            turn = round_number % max(len(names), 1)
            order = names[turn:] + names[:turn]
            for name in order if round_number % 2 == 0 else reversed(order):
                start = clock()
                runs[name]()
                seconds[name].append(clock() - start)
            gc.collect()
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()
    return seconds


def medians(seconds: Mapping[Name, list[float]]) -> dict[Name, float]:
    """Name -> median."""
    return {name: statistics.median(values) for name, values in seconds.items()}


def spreads(seconds: Mapping[Name, list[float]]) -> dict[Name, tuple[float, float]]:
    """Name -> the lower and upper quartile (both the value itself where there is only one)."""
    result = {}
    for name, values in seconds.items():
        lower, _, upper = statistics.quantiles(values, method="inclusive") if len(values) > 1 else values * 3
        result[name] = (lower, upper)
    return result


def machine(peers: dict[str, str] | None = None) -> dict:
    """What a reader needs to judge the times: date, processor, memory, system, versions, devices, flags, load.

    Args:
      peers: name -> version of the other libraries; None: those that are installed.
    """
    import jax

    from minirnn.fast import platforms

    if peers is None:
        from minirnn.bench.peers import installed

        peers = installed()
    torch = sys.modules.get("torch")  # asked only if it has run: importing it takes seconds
    return {
        "date": datetime.date.today().isoformat(),
        "processor": _processor(),
        "cores": cores(),
        "memory_gib": _memory_gib(),
        "os": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "numpy", "optax")} | peers,
        "devices": [f"{device.platform}: {device.device_kind}" for device in jax.devices()],
        "compiler_options": dict(platforms.compiler_options()),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "torch_threads": torch.get_num_threads() if torch else None,
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def busy() -> str:
    """A sentence if other programs occupy more than a quarter of the cores (average of the last minute), else ""."""
    if not hasattr(os, "getloadavg"):
        return ""
    load, count = os.getloadavg()[0], cores()
    return f"other programs keep this machine busy (load {load:.1f} on {count} cores)" if load > count / 4 else ""


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip().lower() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """Processor cores that this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, OSError, ValueError):  # not everywhere a number that the system gives away
        return None
