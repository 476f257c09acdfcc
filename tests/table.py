"""How closely everything agrees, in one table: ``python tests/parity.py`` prints it.

Every number is the worst relative error (||a - b|| / ||b|| of one array) that a function of the tests finds, and is
held to the bound at the head of its column. Nothing is stored.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import jax
import numpy as np
import parity
import peers
import test_attention
import test_losses
import test_seq2seq
from networks import NETWORKS, make_network_case, network_complex_step_error, network_jax_error
from updates import errors_after_updates

from minirnn.bench.peers import installed
from minirnn.params import ATTENTIONS

WIDTH = 14  # of a column
MISSING = "not installed"


class Column(NamedTuple):
    """One comparison: ``error(row, dtype, bound)`` gives a number, or raises AssertionError above the bound."""

    heading: str
    dtype: type
    bound: float
    error: Callable[[str, type, float], float]
    rows: tuple[str, ...] | None = None  # those that have such a comparison; None: all
    library: str | None = None  # that must be installed


class Section(NamedTuple):
    title: str
    rows: tuple[str, ...]
    columns: tuple[Column, ...]


# ---------------------------------------------------------------- the cells

CELLS = {" ".join([cell, *options.values()]): (cell, options) for cell, options in parity.VARIANTS}


def cell_cases(row, dtype):
    """Short sequences, and long ones."""
    return (parity.make_case(*CELLS[row], T=T, D=7, H=16, dtype=dtype) for T in (6, 512))


def cell_complex_step(row, dtype, bound):
    short, long = parity.make_case(*CELLS[row]), parity.make_case(*CELLS[row], T=512)
    return max(parity.complex_step_error(short, bound), parity.complex_step_error(long, bound, directions=8))


def cell_jax(row, dtype, bound):
    return max(parity.worst(parity.by_hand(case), parity.by_jax(case), bound) for case in cell_cases(row, dtype))


def cell_gates(row, dtype, bound):
    cases = cell_cases(row, dtype)
    return max(parity.worst(parity.gates_by_hand(case), parity.gates_by_jax(case), bound) for case in cases)


def cell_torch(row, dtype, bound):
    return peers.torch_error(*CELLS[row], bound, dtype=dtype)


def cell_layers(library):
    """Row -> the names of the layers of a JAX library that compute the same."""
    layers = {}
    for row, (cell, _) in CELLS.items():
        names = [layer for other, name, layer in peers.JAX_LAYERS if (other, name) == (library, cell)]
        if names:
            layers[row] = names
    return layers


def cell_jax_library(library, row, dtype, bound):
    cell, options = CELLS[row]
    activation = options.get("activation", "tanh")
    names = cell_layers(library)[row]
    return max(peers.jax_layer_error(library, cell, name, bound, activation) for name in names)


cell_keras, cell_flax = (functools.partial(cell_jax_library, library) for library in ("keras", "flax"))


# ---------------------------------------------------------------- what is built of them


def network_complex_step(row, dtype, bound):
    return max(network_complex_step_error(make_network_case(row, ragged=ragged), bound) for ragged in (False, True))


def network_jax(row, dtype, bound):
    return network_jax_error(make_network_case(row, dtype=dtype), bound)


def stacked(library, row, dtype, bound):
    return peers.stack_error(library, row, bound, dtype=dtype)


def attention_complex_step(row, dtype, bound):
    return test_attention.complex_step_error(row, bound)


def attention_torch(row, dtype, bound):
    return test_attention.torch_error(bound)


def seq2seq_complex_step(row, dtype, bound):
    return test_seq2seq.complex_step_error(test_seq2seq.DESCRIPTIONS[row], bound)


def seq2seq_jax(row, dtype, bound):
    return test_seq2seq.jax_error(test_seq2seq.DESCRIPTIONS[row], dtype, bound)


LOSSES = {", ".join([name, *options]): (name, options) for name, options in test_losses.CASES}
LOSSES_IN_TORCH = tuple(row for row, case in LOSSES.items() if case in test_losses.IN_TORCH)


def loss_judge(judge):
    def error(row, dtype, bound):
        name, options = LOSSES[row]
        case = test_losses.weighted_example(name, np.random.default_rng(0), dtype=dtype)
        return judge(name, options, case, bound)

    return error


def update_error(what, row, dtype, bound):
    error = updated(row, dtype)[what]
    if not error <= bound:
        raise AssertionError(f"{what}: relative error {error:.3g} > {bound:.3g}")
    return error


updated = functools.cache(errors_after_updates)

# ---------------------------------------------------------------- the table


def judges(complex_step, jax_half, double: float) -> tuple[Column, ...]:
    """The columns of everything that has a hand-derived gradient."""
    return (
        Column("complex step", np.float64, 1e-12, complex_step),
        Column("JAX", np.float64, double, jax_half),
        Column("JAX", np.float32, 1e-5, jax_half),
    )


IN_TORCH = tuple(row for row, variant in CELLS.items() if peers.in_torch(*variant))

SECTIONS = (
    Section(
        "Cells: weights, inputs, initial states; 6 and 512 steps, ragged; other libraries 6 steps",
        tuple(CELLS),
        (
            *judges(cell_complex_step, cell_jax, 1e-10),
            Column("gates, JAX", np.float64, 1e-10, cell_gates),
            Column("PyTorch", np.float64, 1e-12, cell_torch, IN_TORCH, "torch"),
            Column("Keras", np.float32, 1e-5, cell_keras, tuple(cell_layers("keras")), "keras"),
            Column("flax", np.float32, 1e-5, cell_flax, tuple(cell_layers("flax")), "flax"),
        ),
    ),
    Section(
        "Networks: outputs, final states, every gradient; dropout on",
        tuple(NETWORKS),
        judges(network_complex_step, network_jax, 1e-12),
    ),
    Section(
        "Three layers, both directions, ragged lengths: outputs, every gradient, weights in and out again",
        peers.STACKED,
        (
            Column("PyTorch", np.float64, 1e-12, functools.partial(stacked, "torch"), library="torch"),
            Column("PyTorch", np.float32, 1e-5, functools.partial(stacked, "torch"), library="torch"),
            Column("Keras", np.float32, 1e-5, functools.partial(stacked, "keras"), library="keras"),
            Column("flax", np.float32, 1e-5, functools.partial(stacked, "flax"), library="flax"),
        ),
    ),
    Section(
        "Attention: every gradient; PyTorch: what is attended to",
        tuple(ATTENTIONS),
        (
            *judges(attention_complex_step, test_attention.jax_error, 1e-12),
            Column("PyTorch", np.float64, 1e-12, attention_torch, ("dot",), "torch"),
        ),
    ),
    Section(
        "Encoder-decoders: logits, every gradient",
        tuple(test_seq2seq.DESCRIPTIONS),
        judges(seq2seq_complex_step, seq2seq_jax, 1e-12),
    ),
    Section(
        "Losses: value and gradient",
        tuple(LOSSES),
        (
            *judges(loss_judge(test_losses.complex_step_error), loss_judge(test_losses.jax_error), 1e-12),
            Column("PyTorch", np.float64, 1e-12, loss_judge(test_losses.torch_error), LOSSES_IN_TORCH, "torch"),
        ),
    ),
    Section(
        "After 100 updates on real data, in NumPy and in JAX: two layers, dropout on",
        parity.CELLS,
        tuple(
            Column(what, dtype, bound, functools.partial(update_error, what))
            for dtype, bound in ((np.float64, 1e-10), (np.float32, 1e-5))
            for what in ("weights", "losses", "forecasts")
        ),
    ),
)


def every_row(sections=SECTIONS) -> list[tuple[int, str]]:
    return [(index, row) for index, section in enumerate(sections) for row in section.rows]


def entries(index: int, row: str, sections=SECTIONS) -> list[tuple[str, str | None]]:
    """What stands in one row, and beside each entry what is wrong with it."""
    section, found = sections[index], []
    for column in section.columns:
        if column.rows is not None and row not in column.rows:
            found.append(("-", None))
        elif column.library and column.library not in installed():
            found.append((MISSING, None))
        else:
            name = f"{section.title.split(':')[0]}, {row}, {column.heading} {column.dtype.__name__}"
            try:
                with jax.enable_x64(column.dtype is np.float64):
                    error = column.error(row, column.dtype, column.bound)
                wrong = None if error <= column.bound else f"{name}: {error:.3g} > {column.bound:.3g}"
                found.append((f"{error:.1e}", wrong))
            except AssertionError as problem:
                found.append(("OUT OF BOUNDS", f"{name}: {problem}"))
    return found


def line(name: str, width: int, values) -> str:
    return f"{name:{width}}" + "".join(f"{value:>{WIDTH}}" for value in values)


def print_table(results, sections=SECTIONS) -> tuple[list[str], set[str]]:
    """Prints the entries of all rows as they come; gives what is out of bounds, and the libraries that are missing."""
    wrong, missing = [], set()
    results = iter(results)
    for title, rows, columns in sections:
        width = max(map(len, rows)) + 2
        print(f"\n{title}")
        print(line("", width, (column.heading for column in columns)))
        print(line("", width, (column.dtype.__name__ for column in columns)))
        print(line("", width, (f"<= {column.bound:.0e}".replace("e-0", "e-") for column in columns)), flush=True)
        for row in rows:
            found = next(results)
            print(line(row, width, (entry for entry, _ in found)), flush=True)
            wrong += [problem for _, problem in found if problem]
            missing |= {column.library for column, (entry, _) in zip(columns, found) if entry == MISSING}
    return wrong, missing


def main() -> None:
    parser = argparse.ArgumentParser(description="How closely everything agrees.")
    parser.add_argument("--no-skips", action="store_true", help="fail where a library is not installed")
    options = parser.parse_args()
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # several processes may share one GPU
    print("Worst relative error of any array, and the bound that it is held to", flush=True)
    # Nearly all the time is compilation, which keeps one core busy. New processes: JAX does not survive a fork.
    workers = min(4, os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        wrong, missing = print_table(pool.map(entries, *zip(*every_row())))
    if options.no_skips and missing:
        wrong.append(f"not installed, although every extra should be: {', '.join(sorted(missing))}")
    if wrong:
        sys.exit("\n".join(["", *wrong]))
    print("\nEvery number is within its bound.")
