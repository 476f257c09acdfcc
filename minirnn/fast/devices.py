"""The devices that train together: processors' cores, accelerators, the processes of several machines.

As a library minirnn uses the devices that JAX shows and changes nothing about them. A mesh of them is handed to
:func:`minirnn.fast.training.epoch`, where each device takes its rows of every batch.
"""

from __future__ import annotations

import socket
import threading
import time

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from minirnn.fast.placement import AXIS

# The size rule of devices_for. A device with less to do than this hardly finishes sooner: what it saves in each time
# step is no more than what the devices lose by waiting for each other. On two cores an LSTM's train step took 0.62 to
# 0.81 of the time of one device at twelve shapes (B, T, D, H) that keep the rule, (32, 24, 1, 32) and
# (8, 512, 32, 128) among them, and 0.94 at (8, 100, 16, 64), which does not.
LEAST_ROWS = 4  # sequences of a batch on each device
LEAST_UNITS = 512  # sequences on each device times hidden units


class DevicesError(ValueError):
    """Devices or processes that are not there; one line that says what was expected and what to do."""


def mesh(count: int | None = None) -> Mesh | None:
    """A mesh of the first ``count`` devices, or of all of them; None where that is one device.

    With several processes it spans the devices of all of them.

    Raises:
      DevicesError: there are fewer devices, or a part of them is asked for where several processes share them.

    >>> mesh(1) is None
    True
    """
    devices = jax.devices()
    count = len(devices) if count is None else count
    if not 1 <= count <= len(devices):
        raise DevicesError(f"{count} devices are asked for, and JAX has {_in_words(devices)}")
    if jax.process_count() > 1 and count != len(devices):
        raise DevicesError(
            f"{jax.process_count()} processes train on all of their {len(devices)} devices, not on {count}"
        )
    return None if count == 1 else Mesh(np.array(devices[:count]), (AXIS,))


def _in_words(devices) -> str:
    platform = devices[0].platform
    return f"{len(devices)} ({platform})" + (
        "; before its first use jax.config.update('jax_num_cpu_devices', n) makes n of the processor's cores"
        if platform == "cpu"
        else ""
    )


def devices_for(batch_size: int, time_steps: int, input_size: int, hidden_size: int, available: int) -> int:
    """How many devices train a recurrent layer fastest: the most that each still have enough to do in a time step.

    n devices are worth it where ``batch_size // n >= LEAST_ROWS`` and ``batch_size * hidden_size // n >= LEAST_UNITS``.
    The devices wait for each other once in a batch, however many time steps and inputs it has.

    >>> devices_for(64, 128, 64, 256, available=2)
    2
    >>> devices_for(8, 24, 1, 32, available=2)
    1
    """
    worth = (
        n
        for n in range(available, 1, -1)
        if batch_size // n >= LEAST_ROWS and batch_size * hidden_size // n >= LEAST_UNITS
    )
    return next(worth, 1)


def default_count(shape: tuple[int, int, int, int]) -> int:
    """How many of JAX's devices train on batches of this shape (B, T, D, H): see :func:`devices_for`.

    Accelerators and the processes of a cluster were brought together in order to be used: then it is all of them.
    """
    available = jax.device_count()
    if jax.process_count() > 1 or jax.default_backend() != "cpu":
        return available
    return devices_for(*shape, available)


# ---------------------------------------------------------------- several processes


def connect(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    timeout: float = 300,
) -> None:
    """Joins the processes of a training, before the first use of JAX; afterwards :func:`mesh` spans all of them.

    What is None is left to JAX's detection of clusters (Slurm, Open MPI, Kubernetes, cloud TPUs).

    Args:
      coordinator: ``host:port`` of process 0, which waits there for the others.
      num_processes: how many processes there are.
      process_id: of this one, from 0.
      timeout: seconds to wait for the others.

    Raises:
      DevicesError: no cluster was detected, the address cannot be used, or not all processes came in time.
    """
    if coordinator is not None and None not in (num_processes, process_id):
        _check_address(coordinator, process_id == 0, timeout)
    failures: list[Exception] = []

    def initialize() -> None:
        # JAX ends the whole process when its own waiting time is over: it is longer than ours.
        try:
            jax.distributed.initialize(
                coordinator, num_processes, process_id, initialization_timeout=int(10 * timeout) + 60
            )
        except Exception as error:
            failures.append(error)

    waiting = threading.Thread(target=initialize, daemon=True)
    waiting.start()
    waiting.join(timeout)
    where = coordinator or "the detected coordinator"
    if waiting.is_alive():
        raise DevicesError(
            f"waited {timeout:g} s at {where}, and not all of the processes came; start every one of them, with the "
            "same coordinator and number of processes, and a process id of its own"
        )
    if failures:
        detail = " ".join(str(failures[0]).split())[:160]
        if coordinator is None:
            raise DevicesError(
                f"JAX detects no cluster here ({detail}); give the coordinator's host:port, the number of processes "
                "and the process id"
            )
        raise DevicesError(f"cannot join the processes at {where} ({detail})")


def _check_address(coordinator: str, first: bool, timeout: float) -> None:
    """One clear line about a wrong address: JAX itself would end the process with a page of them."""
    host, colon, port = coordinator.rpartition(":")
    host = host.strip("[]")
    if not (colon and host and port.isdecimal() and 0 < int(port) < 65536):
        raise DevicesError(f"the coordinator is {coordinator!r}; expected host:port, like 10.0.0.1:1234")
    try:
        socket.getaddrinfo(host, int(port))
    except (OSError, UnicodeError) as error:  # process 0 would look for itself there until the time is over
        reason = getattr(error, "strerror", None) or str(error)
        raise DevicesError(f"coordinator {coordinator}: {host!r} is not the name of a machine ({reason})") from None
    try:
        if first:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("", int(port)))
            return
        _reach(host, int(port), timeout)
    except OSError as error:
        reason = error.strerror or str(error)
        what = "process 0 cannot wait there" if first else f"nobody answered within {timeout:g} s"
        raise DevicesError(f"coordinator {coordinator}: {what} ({reason}); is it the address of process 0?") from None


def _reach(host: str, port: int, timeout: float) -> None:
    """Waits until somebody listens there; process 0 may start later."""
    end = time.monotonic() + timeout
    while True:
        try:
            socket.create_connection((host, port), timeout=max(0.1, min(5, end - time.monotonic()))).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def is_first() -> bool:
    """Whether this is the process that reads and writes files and prints: process 0."""
    return jax.process_index() == 0


def from_first(content: bytes) -> bytes:
    """The bytes that process 0 gave, in every process; those of the others count for nothing."""
    length = int(multihost_utils.broadcast_one_to_all(np.int32(len(content))))
    padded = np.zeros(length, np.uint8)
    if is_first():
        padded[:] = np.frombuffer(content, np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(padded)).astype(np.uint8).tobytes()
