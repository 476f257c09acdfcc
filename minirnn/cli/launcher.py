"""Starts the processes of a training on this machine, and ends all of them when one has ended."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import IO

from minirnn.cli import LOST, note
from minirnn.cli.devices import how_to_resume

_ENDS = (signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))
_POLL = 0.05  # seconds between two looks at the processes
_PATIENCE = 5.0  # seconds in which the process that ended first shows itself, after another has missed it


def run(arguments: argparse.Namespace, command_line: Sequence[str]) -> int:
    """Runs ``minirnn`` with this command line in ``--num-processes`` processes that train together.

    Process 0 prints for all of them. If one ends, the others cannot go on: they are ended too.

    Returns:
      0 if all of them succeeded; 2 if one refused its input or options; 1 if one was killed or failed.
    """
    count = arguments.num_processes
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # What JAX logs when a process is gone is said here in one line.
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    children: list[subprocess.Popen] = []
    errors: list[IO[bytes] | None] = []
    # The processes hear neither a kill nor the end of the terminal: they are to end with us. Under nohup nobody does.
    before = {number: signal.getsignal(number) for number in _ENDS if signal.getsignal(number) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        for i in range(count):
            command = [sys.executable, "-m", "minirnn", *command_line]
            command += ["--coordinator", f"127.0.0.1:{port}", "--process-id", str(i), "--launched"]
            errors.append(tempfile.TemporaryFile() if i else None)  # noqa: SIM115
            children.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL if i else None,
                    stderr=errors[i],
                    env=environment,
                    process_group=0,  # Ctrl-C reaches the launcher alone
                )
            )
        failed = _first_failure(children)
    finally:
        for child in children:
            child.kill()
        for child in children:
            child.wait()
        for number, handler in before.items():
            signal.signal(number, handler)
    if failed is None:
        return 0
    i, status = failed
    file = errors[i]
    if file is not None:  # process 0 has said it itself
        file.seek(0)
        said = file.read().decode(errors="replace").strip()
        if said:
            note(said)
    if status == 2:
        return 2
    how = f"was killed ({signal.Signals(-status).name})" if status < 0 else f"failed with exit status {status}"
    line = f"process {i} of {count} {how} and the others were ended; {how_to_resume(arguments)}"
    note(f"minirnn {arguments.command}: {line}")
    return 1


def _first_failure(children: Sequence[subprocess.Popen]) -> tuple[int, int] | None:
    """Waits for all processes to succeed, or for one to fail: its number and exit status."""
    deadline = None
    while True:
        statuses = [child.poll() for child in children]
        failed = [(i, status) for i, status in enumerate(statuses) if status]
        # Those that only missed another one are not to blame, unless nobody else shows. What all of them refuse is for
        # process 0 to say: it has its say first.
        for i, status in failed:
            if status != LOST and not (status == 2 and statuses[0] is None):
                return i, status
        if failed:
            deadline = deadline or time.monotonic() + _PATIENCE
            if time.monotonic() > deadline:
                return failed[0]
        elif None not in statuses:
            return None
        time.sleep(_POLL)
