"""Options of a training command that say where it computes: on which devices, together with which processes.

Only the command line configures JAX, and before its first use: each core of the processor that shall share the work
becomes a device.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Iterator

from minirnn.cli import LostProcessError, UsageError, note, positive

# What a message of JAX, Gloo or NCCL says when a process at the other end has gone.
_LOST = re.compile(r"gloo|nccl|coordination|connection|UNAVAILABLE|DEADLINE_EXCEEDED|ABORTED", re.IGNORECASE)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds ``--devices`` and the options of several processes."""
    group = parser.add_argument_group("devices and processes")
    group.add_argument(
        "--devices",
        type=_count,
        metavar="auto|N",
        help="cores or accelerators that share each batch (default auto: as many as make it faster)",
    )
    group.add_argument(
        "--num-processes",
        type=positive,
        metavar="N",
        help="train in N processes; without --coordinator all of them are started on this machine",
    )
    group.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="where process 0 waits for the others; auto leaves all three to JAX's detection of clusters",
    )
    group.add_argument("--process-id", type=_index, metavar="I", help="of this process, from 0: this one alone prints")
    group.add_argument("--launched", action="store_true", help=argparse.SUPPRESS)  # by our own launcher


def _count(text: str) -> int | None:
    return None if text == "auto" else positive(text)


def _index(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, got {text!r}")
    return int(text)


def check(arguments: argparse.Namespace) -> None:
    """Refuses combinations that mean nothing.

    Raises:
      UsageError: the message says what is missing.
    """
    if arguments.backend == "readable":
        for option in ("devices", "num_processes", "coordinator", "process_id"):
            if getattr(arguments, option) not in (None, 1):
                raise UsageError(f"--{option.replace('_', '-')} needs --backend fast: NumPy computes on one processor")
    if arguments.coordinator is None:
        if arguments.process_id is not None:
            raise UsageError("--process-id needs --coordinator HOST:PORT and --num-processes N")
    elif arguments.coordinator != "auto":
        if arguments.num_processes is None or arguments.process_id is None:
            raise UsageError("--coordinator HOST:PORT needs --num-processes N and --process-id I")
        if arguments.process_id >= arguments.num_processes:
            raise UsageError(
                f"--process-id counts from 0: expected at most {arguments.num_processes - 1}, "
                f"got {arguments.process_id}"
            )


def launches(arguments: argparse.Namespace) -> bool:
    """Whether this process only starts the others and waits for them."""
    return arguments.coordinator is None and (arguments.num_processes or 1) > 1


def prepare(arguments: argparse.Namespace, shape: tuple[int, int, int, int]) -> tuple[int | None, bool]:
    """Makes the devices, joins the other processes, and says what was chosen; to be called before JAX is used.

    Args:
      arguments: of the command.
      shape: of a batch (B, T, D, H).

    Returns:
      How many devices train, and whether this is the process that prints and writes.

    Raises:
      UsageError: there are not so many devices, or the other processes cannot be reached.
    """
    if arguments.backend == "readable":
        return None, True
    import jax

    from minirnn.fast import devices

    several = arguments.coordinator is not None
    cores = _cores()
    fastest = 1 if several else devices.devices_for(*shape, cores)
    _make(min(arguments.devices or fastest, cores))
    try:
        if several:
            detected = arguments.coordinator == "auto"
            coordinator = None if detected else arguments.coordinator
            arguments.joined = True
            devices.connect(coordinator, arguments.num_processes, arguments.process_id)
            if arguments.devices and arguments.devices != jax.local_device_count():
                raise UsageError(f"--devices {arguments.devices}: this process has {jax.local_device_count()}")
            return None, devices.is_first()
        count = arguments.devices or devices.default_count(shape)
        devices.mesh(count)
    except devices.DevicesError as error:
        if arguments.devices and not several:
            there = f"{jax.device_count()} ({jax.default_backend()})"
            raise UsageError(f"--devices {arguments.devices}: there are {there}; expected at most as many") from None
        raise UsageError(str(error)) from None
    if not arguments.quiet:
        note(_choice(arguments, shape, count, cores if jax.default_backend() == "cpu" else 0))
    return count, True


def use_cores(backend: str, shape: tuple[int, int, int, int]) -> None:
    """Makes as many cores devices as batches of this shape (B, T, D, H) gain from; before JAX is used."""
    if backend == "fast":
        from minirnn.fast import devices

        _make(devices.devices_for(*shape, _cores()))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _make(count: int) -> None:
    """Makes so many devices of this processor's cores, unless that was settled before."""
    import jax

    # A number that the user gave to JAX stands, and so does what a program that called us has already used.
    chosen = jax.config.jax_num_cpu_devices >= 0  # type: ignore[attr-defined]
    if not chosen and "xla_force_host_platform_device_count" not in os.getenv("XLA_FLAGS", ""):
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", count)


def _choice(arguments: argparse.Namespace, shape: tuple[int, int, int, int], count: int, cores: int) -> str:
    """One line: how many devices, and why."""
    B, T, D, H = shape
    what = f"{count} device{'s' if count > 1 else ''}"
    if arguments.devices:
        return f"{what}: as asked for"
    if not cores:
        return f"{what}: every accelerator that JAX shows"
    batch = f"a batch of {B} sequences ({T} steps, {D} inputs, {H} hidden units)"
    if count > 1:
        return (
            f"{what}: {batch} is large enough to be shared by {count} of {cores} cores (--devices 1: not to share it)"
        )
    return f"{what}: {batch} is too small to be shared by {cores} cores (--devices {cores}: share it nevertheless)"


@contextlib.contextmanager
def watched(arguments: argparse.Namespace) -> Iterator[None]:
    """Around a training: turns the end of another process into a clear line, and keeps Gloo off standard output.

    Raises:
      LostProcessError: another process of the training has ended.
    """
    if arguments.coordinator is None:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)  # Gloo greets its peers there, and it belongs to our results
    try:
        yield
    except Exception as error:
        if isinstance(error, UsageError) or not _LOST.search(str(error)):
            raise
        raise LostProcessError(
            f"another process of this training has ended; {how_to_resume(arguments)}, in all processes"
        ) from None
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(silent)


def how_to_resume(arguments: argparse.Namespace) -> str:
    """What to do after a run that was cut off."""
    if arguments.checkpoint is None:
        return "start it again (with --checkpoint FILE it could be resumed)"
    return f"the same command with --resume goes on from {arguments.checkpoint}"
