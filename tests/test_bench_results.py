"""The other measures of the benchmark, and what becomes of the rows: ratios, targets, the table, the figure."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minirnn import readable
from minirnn.bench import compiling, fitting, measure, own, peers, ratios, scan, streaming, table, targets, task, text

ROOT = Path(__file__).parent.parent
JAX_PEERS = [pytest.param(name, marks=pytest.mark.peers) for name in peers.PEERS if name != "torch"]


def needs(name: str) -> None:
    # Not importorskip: Keras must not be imported before its builder has chosen the backend.
    if name not in peers.installed():
        pytest.skip(f"{name} is not installed")


# ---------------------------------------------------------------- a stream


@pytest.mark.parametrize(
    "name", ["minirnn", "minirnn.readable", pytest.param("torch", marks=pytest.mark.peers), *JAX_PEERS]
)
def test_a_stream_carries_its_state(name):
    if not name.startswith("minirnn"):
        needs(name)
    step = streaming.BUILDERS[name]("lstm", 3, 5)
    x = np.ones((1, 3), np.float32)
    first, state = step(x, None)
    second, _ = step(x, state)
    assert np.asarray(first).reshape(-1).shape == (5,)
    np.testing.assert_array_equal(step(x, None)[0], first)
    assert not np.allclose(second, first)


@pytest.mark.parametrize("cell", task.CELLS)
def test_both_halves_stream_the_same_numbers(cell):
    xs = np.random.default_rng(1).standard_normal((4, 1, 3), dtype=np.float32)
    module = getattr(readable, cell)
    expected, *_ = module.forward(module.init(0, 3, 5), xs)
    for name in ("minirnn", "minirnn.readable"):
        step, state = streaming.BUILDERS[name](cell, 3, 5), None
        for x, y_expected in zip(xs, expected):
            y, state = step(x, state)
            np.testing.assert_allclose(y, y_expected, rtol=1e-5, atol=1e-6)


@pytest.mark.peers
def test_the_row_of_a_stream(monkeypatch):
    needs("torch")
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    monkeypatch.setitem(streaming.BUILDERS, "flax", lambda cell, D, H: 1 / 0)
    (row,) = streaming.rows("gru", ["torch", "flax"], rounds=1, warmup=0, count=2)
    assert set(row["ms"]) == {"minirnn", "minirnn.readable", "torch"}
    assert row["failed"] == {"flax": "ZeroDivisionError: division by zero"}
    assert row["shape"] == [1, 1, 16, 64]
    assert torch.get_num_threads() == threads


# ---------------------------------------------------------------- compilation, memory


def test_seconds_to_compile_are_those_of_the_first_call_less_a_later_one(monkeypatch):
    now, takes = [0.0], iter([5.0, 1.0, 9.0, 1.0])

    def call():
        now[0] += next(takes)
        return 0.0

    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    assert compiling.seconds_to_compile(task.Run(call)) == 4.0  # 5 less the median of 1, 9, 1


def test_the_row_of_a_compilation(monkeypatch):
    monkeypatch.setitem(peers.BUILDERS, "flax", lambda cell, shape: own.build(cell, shape))
    monkeypatch.setitem(peers.BUILDERS, "haiku", lambda cell, shape: 1 / 0)
    (row,) = compiling.compile_rows("rnn", ["torch", "flax", "haiku"], repeats=1, shape=(2, 3, 1, 2))
    assert set(row["ms"]) == {"minirnn", "flax"}
    assert row["failed"] == {"haiku": "ZeroDivisionError: division by zero"}


def test_the_gradient_of_the_engine_needs_less_memory_than_autodiff():
    shape = (8, 64, 16, 32)
    plain, engine = (compiling.peak_mib(own.build("lstm", shape, plain=p), shape) for p in (True, False))
    states = 64 * 8 * 32 * 4 / 2**20  # (T, B, H) in MiB: h, c and four pre-activations are kept at least
    assert 6 * states < engine < 0.85 * plain


def test_memory_policies_are_those_that_the_cell_has(monkeypatch):
    class Module:
        @staticmethod
        def forward(params, xs, *, save="all", plain=False): ...

    monkeypatch.setattr(own, "module", lambda cell: Module)
    assert list(compiling.policies("lstm")) == ["autodiff", "all", "states", "chunks"]
    monkeypatch.setattr(Module, "forward", lambda params, xs, **options: None)
    assert list(compiling.policies("lstm")) == ["autodiff", "default"]


def test_the_rows_of_memory_and_growth():
    memory, timed = compiling.memory_rows("rnn", shape=(8, 32, 4, 16), rounds=1, timed=("autodiff", "all", "states"))
    assert memory["ratio"] == {name: mib / memory["mib"]["autodiff"] for name, mib in list(memory["mib"].items())[1:]}
    assert list(timed["ms"]) == ["autodiff", "all", "states"]
    assert timed["ratio"]["states"] == timed["ms"]["states"] / timed["ms"]["all"]
    rows = compiling.growth_rows(rounds=1, steps=(3,), B=2, D=2, H=3)
    assert [(row["cell"], row["shape"]) for row in rows] == [
        (cell, [2, 3, 2, 3]) for cell in ("lstm", "mingru", "minlstm")
    ]
    assert all(row[key]["minirnn"] > 0 for row in rows for key in ("ms", "compile_ms"))
    assert [list(row["mib"]) for row in rows] == [["minirnn"], [], []]


# ---------------------------------------------------------------- a whole training


def test_the_series_is_the_same_every_time():
    series = fitting.series(50)
    assert series.shape == (50, 7)
    assert series.dtype == np.float32
    np.testing.assert_array_equal(series, fitting.series(50))


@pytest.mark.parametrize("name", ["minirnn", pytest.param("torch", marks=pytest.mark.peers), JAX_PEERS[-1]])
def test_a_whole_process_trains(name):
    if name != "minirnn":
        needs(name)
    (row,) = fitting.rows([name], rounds=1, epochs=2, training=256, validation=64)
    assert set(row["ms"]) == {"minirnn", name}
    assert row["ms"][name] > 100
    # Before the first epoch about the variance of the series, 0.29.
    assert all(0.01 < row["reached"][who] < 0.6 for who in row["ms"])


def test_a_library_that_cannot_train_costs_only_its_own_time(monkeypatch, tmp_path):
    monkeypatch.setattr(fitting, "SCRIPTS", {"minirnn": "with_minirnn.py", "torch": "no_such_script.py"})
    (row,) = fitting.rows(["torch"], rounds=1, epochs=1, training=64, validation=8)
    assert set(row["ms"]) == {"minirnn"}
    assert "no_such_script.py" in row["failed"]["torch"]


# ---------------------------------------------------------------- a language model


@pytest.mark.parametrize("name", ["minirnn", pytest.param("torch", marks=pytest.mark.peers), JAX_PEERS[-1]])
def test_a_language_model_is_trained_on_the_same_chunks(name):
    if name != "minirnn":
        needs(name)
    (row,) = text.rows([name], rounds=1, shape=(4, 5, 3, 6), chunks=3, available=1)
    assert set(row["ms"]) == {"minirnn", name}
    assert not row["failed"]
    assert row["characters_per_second"][name] == round(4 * 5 / row["ms"][name] * 1e3)
    assert "Characters per second in training a language model, (4, 5, 3, 6): minirnn " in "\n".join(
        table._remarks([row])
    )


def test_chunks_of_all_libraries_are_cut_from_the_same_streams():
    shape, chunks = (4, 5, 3, 16), 40
    symbols = np.repeat(np.arange(1, 5, dtype=np.int32)[None], chunks * 5 + 1, axis=0)  # each stream one symbol
    assert text._minirnn(shape, symbols, 1)() < 4.2  # of log 106 = 4.66 at first
    assert text.streams(shape, chunks).shape == symbols.shape


# ---------------------------------------------------------------- ratios and targets


def row(cell, shape, ms, **extra):
    return {
        "cell": cell,
        "shape": shape,
        "measure": "train_step",
        "comparison": "one device",
        "ms": ms,
        "ratio": ratios.ratios(ms),
        "devices": dict.fromkeys(ms, 1),
        **extra,
    }


def test_geometric_mean():
    assert ratios.geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    assert np.isnan(ratios.geometric_mean([]))


def test_the_best_jax_library_is_chosen_per_shape():
    rows = [
        row("lstm", [1, 1, 1, 1], {"minirnn": 1.0, "torch": 0.1, "flax": 2.0, "keras": 4.0}),
        row("lstm", [2, 1, 1, 1], {"minirnn": 1.0, "flax": 16.0, "keras": 8.0}),
        row("gru", [2, 1, 1, 1], {"minirnn": 1.0}),
    ]
    (without,) = ratios.geometric_means([rows[0] | {"left_out": ["keras"]}, *rows[1:]])
    assert "keras" not in without["ratio"]
    (mean,) = ratios.geometric_means(rows)
    assert (mean["measure"], mean["comparison"], mean["cell"]) == ("train_step", "one device", "lstm")
    assert mean["ratio"]["best jax"] == pytest.approx(0.25)  # of 1/2 and 1/8
    assert mean["ratio"]["keras"] == pytest.approx(1 / np.sqrt(32))
    assert mean["largest"]["best jax"] == 0.5
    assert mean["ratio"]["torch"] == pytest.approx(10.0)
    assert ratios.best_jax({"minirnn": 1.0, "torch": 0.1}) is None


def a_full_run() -> list[dict]:
    """Two shapes each, with round numbers."""
    rows = []
    for comparison, ours in (("one device", 3.0), ("same mesh", 2.0), ("as used", 1.0)):
        for shape, factor in (([2, 3, 4, 5], 1.0), ([6, 3, 4, 5], 2.0)):
            others = {"flax": 4.0, "haiku": 5.0} | ({"torch": 8.0} if comparison == "as used" else {})
            ms = {"minirnn": ours * factor, **others}
            rows += [row(cell, shape, ms, comparison=comparison) for cell in ("lstm", "gru")]
    rows.append(row("rnn", [2, 3, 4, 5], {"minirnn": 3.0, "torch": 4.0}, comparison="as used"))
    rows.append(row("lstm", [64, 96, 7, 64], {"minirnn": 1.0, "torch": 2.0, "keras": 4.0}, measure="fit"))
    rows.append(row("lstm", [32, 64, 64, 256], {"minirnn": 1.0, "torch": 2.0, "keras": 4.0}, measure="text"))
    for steps, ms in ((64, 1.0), (4096, 96.0)):
        for cell, factor in (("lstm", 1.0), ("mingru", 2.0 if steps == 64 else 0.5), ("minlstm", 3.0)):
            extra = {"compile_ms": {"minirnn": 500.0 * factor}, "mib": {"minirnn": steps / 8}, "measure": "growth"}
            rows.append(row(cell, [4, steps, 3, 8], {"minirnn": ms * factor}, **extra))
    rows.append({"cell": "lstm", "shape": [1, 1, 1, 1], "measure": "memory", "mib": {"autodiff": 8.0, "states": 2.0}})
    ms = {"autodiff": 4.0, "all": 2.0, "states": 3.0}
    rows.append({"cell": "lstm", "shape": [1, 1, 1, 1], "measure": "memory_time", "ms": ms})
    rows.append(row("lstm", [1, 1, 16, 64], {"minirnn": 0.05, "minirnn.readable": 0.03}, measure="step"))
    return rows


def test_every_line_of_the_targets():
    found = {target["line"]: target for target in targets.targets(a_full_run(), seconds=300.0)}
    figures = {line: (round(target["figure"], 3), target["limit"]) for line, target in found.items()}
    assert figures == {
        "train step, lstm and gru / best jax, one device: geometric mean": (1.061, 0.80),  # of 3/4 and 6/4
        "train step, lstm and gru / best jax, one device: largest of a shape": (1.5, 0.95),
        "train step, lstm and gru / best jax, same mesh: geometric mean": (0.707, 0.68),
        "train step, lstm and gru / best jax, same mesh: largest of a shape": (1.0, 0.95),
        "train step, lstm and gru / best jax, as used: geometric mean": (0.354, 0.60),
        "train step, lstm and gru / best jax, as used: largest of a shape": (0.5, 0.95),
        "train step, lstm / torch, as used: geometric mean": (0.177, 0.65),  # of 1/8 and 2/8
        "train step, lstm / torch, as used: largest of a shape": (0.25, 1.0),
        "train step, gru / torch, as used: geometric mean": (0.177, 0.35),
        "train step, rnn / torch, as used: geometric mean": (0.75, 0.50),
        "training a forecaster, whole process / torch": (0.5, 0.6),
        "training a forecaster, whole process / keras": (0.25, 0.4),
        "training a language model, (32, 64, 64, 256) / the better of torch and keras": (0.5, 0.77),
        "lstm, time of a train step per step of time, T = 4096 / T = 64": (1.5, 1.25),
        "lstm, peak memory per step of time, T = 4096 / T = 64": (1.0, 1.25),
        "lstm, seconds to compile, T = 4096 / T = 64": (1.0, 1.25),
        "seconds to compile a train step of one layer, at most": (1.5, 2.0),
        "peak memory, states / autodiff": (0.25, 0.35),
        "time, states / all": (1.5, 1.2),
        "one step of a stream, lstm, NumPy: microseconds": (30.0, 20.0),
        "one step of a stream, lstm, JAX: microseconds": (50.0, 60.0),
        "minutes that this took": (5.0, 10.0),
    }
    for line, (figure, limit) in figures.items():
        assert found[line]["holds"] == (figure <= limit), line


def test_what_was_not_measured_is_no_target():
    assert targets.targets([]) == []
    assert targets.targets([row("lstm", [1, 1, 1, 1], {"minirnn": 1.0})]) == []


def test_where_the_parallel_cells_overtake():
    assert targets.overtaking(a_full_run()) == {"mingru": 4096, "minlstm": None}


# ---------------------------------------------------------------- the table


def test_render():
    flax = {"flax": "one bias less"}
    rows = [
        row("lstm", [32, 100, 16, 64], {"minirnn": 2.0, "torch": 4.0, "flax": 5.0}, notes=flax),
        row("lstm", [32, 24, 1, 32], {"minirnn": 0.342, "torch": 0.1710}),
        row("gru", [1, 1000, 16, 128], {"minirnn": 110.2, "flax": 55.1}, notes=flax, failed={"torch": "it burns"}),
    ]
    result = {
        "machine": {
            "date": "2026-11-21",
            "processor": "A Processor",
            "cores": 2,
            "devices": ["cpu: cpu"] * 2,
            "python": "3.11.9",
            "versions": {"jax": "0.10.2"},
            "compiler_options": {"width": 512},
        },
        "rows": rows,
        "geometric_means": ratios.geometric_means(rows),
    }
    expected = """\
Milliseconds, float32: median over rounds, all libraries in turns.
In parentheses: minirnn's time divided by that library's; below 1, minirnn is faster.

Train step (forward, backward, Adam), one device: every JAX library on one device, with the compiler's own settings

lstm (B, T, D, H)  minirnn         torch         flax  best jax
32, 100, 16, 64       2.00   4.00 (0.50)  5.00 (0.40)    (0.40)
32, 24, 1, 32        0.342  0.171 (2.00)            -         -
geometric mean                    (1.00)       (0.40)    (0.40)

gru (B, T, D, H)  minirnn  torch         flax  best jax
1, 1000, 16, 128      110      -  55.1 (2.00)    (2.00)

Notes:
  flax (lstm, gru): one bias less

Could not run:
  torch (gru): it burns

A Processor, 2 cores, JAX on 2 x cpu: cpu
2026-11-21, Python 3.11.9, jax 0.10.2
minirnn's compiler options: width=512"""
    assert table.render(result) == expected


def test_a_full_run_is_rendered_with_its_summary():
    rows = a_full_run()
    found = targets.targets(rows, 90.0)
    means = ratios.geometric_means(rows)
    text = table.render({"machine": {}, "rows": rows, "geometric_means": means, "targets": found}, summary=True)
    assert "mingru is quicker than the lstm from T = 4096 on" in text
    assert "minlstm is never quicker than the lstm" in text
    assert "1, 1, 1, 1             8.00  2.00 (0.25)\n" in text
    assert "(of the others the quickest on one device)" not in text
    some = table.render({"machine": {}, "rows": [rows[0] | {"left_out": ["keras"]}], "geometric_means": means})
    assert "own settings (of the others the quickest on one device)\n" in some
    lines = {line.split("  ")[0]: line.split()[-3:] for line in text.splitlines()}
    for target in found:
        shown = f"{target['figure']:.2f}", f"{target['limit']:.2f}"
        assert lines[target["line"]] == [*shown, "missed"] or tuple(lines[target["line"]][-2:]) == shown
        assert (lines[target["line"]][-1] == "missed") != target["holds"]


# ---------------------------------------------------------------- the figure


def figure_of(rows):
    from minirnn.inspect.speed import speed_figure

    return speed_figure(
        {
            "machine": measure.machine({"torch": "9.9"}),
            "rows": rows,
            "geometric_means": ratios.geometric_means(rows),
        }
    )


def test_the_figure_shows_every_ratio():
    figure = figure_of(a_full_run())
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes if axes.get_visible()}
    compared = {f"{cell}, {c}" for cell in ("LSTM", "GRU") for c in ratios.COMPARISONS}
    assert set(panels) == compared | {"RNN, as used"}  # with PyTorch alone: its threads are its own affair
    shown = panels["LSTM, as used"]
    marks = {tuple(np.round(point, 3)) for marks in shown.collections for point in marks.get_offsets().data}
    of_flax, of_haiku, of_torch = (
        {(1 / ms, 0.0), (2 / ms, 1.0), (round(2**0.5 / ms, 3), 2.0)} for ms in (4.0, 5.0, 8.0)
    )
    assert marks == of_flax | of_haiku | of_torch  # row 2: the geometric means, below both shapes
    assert [text.get_text() for text in shown.get_yticklabels()] == [
        *("2, 3, 4, 5", "6, 3, 4, 5", "geometric mean"),
    ]


def test_a_result_without_ratios_is_no_figure():
    with pytest.raises(ValueError, match="no ratios of the measure 'train_step'"):
        figure_of([row("lstm", [1, 1, 1, 1], {"minirnn": 1.0})])


def test_the_figure_of_the_readme_is_drawn_from_stored_numbers(tmp_path):
    script = [sys.executable, str(ROOT / "figures" / "bench.py"), str(tmp_path / "bench.json")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(script, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert "is missing: minirnn bench --full --json" in done.stderr
    rows = a_full_run()
    result = {"machine": {}, "rows": rows, "geometric_means": ratios.geometric_means(rows)}
    (tmp_path / "bench.json").write_text(json.dumps(result))
    subprocess.run(script, check=True, env=environment)
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")


def test_scan_needs_no_more_than_the_model():
    """A model of one's own is compared by the same loop."""
    model = scan.Model(lambda params, xs, ys: ((xs.sum(axis=(0, 2))[:, None] * params - ys) ** 2).mean(), np.ones(1))
    run = scan.run(model, "train_step", task.make_batches((4, 2, 3, 5), 2))
    assert run.parameters == 1
    assert run() > run()
