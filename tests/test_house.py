"""What keeps the house in order: arrows between rooms, light imports, mirror modules, documented names."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import minirnn

ROOT = Path(minirnn.__file__).parent

# Room -> the rooms and libraries that it may import. What is not listed here may be imported by nobody.
GROUND = {"params", "equations", "random", "search", "_version"}
ARROWS = {
    "equations": {"inspect", "re", "dataclasses", "collections", "typing"},
    "params": {"numpy", "dataclasses", "collections", "functools", "typing", "minirnn"},
    "convert": {"numpy", "re", "collections", "typing", "params"},
    "random": {"numpy", "math", "operator"},
    "search": {"numpy", "collections", "equations", "params"},
    "readable": {"numpy", "warnings", "dataclasses", "collections", "functools", "types", "typing", *GROUND},
    "fast": {
        "numpy",
        "jax",
        "optax",
        "collections",
        "contextlib",
        "contextvars",
        "dataclasses",
        "functools",
        "math",
        "os",
        "socket",
        "threading",
        "time",
        "types",
        "typing",
        *GROUND,
    },
}
ABOVE = {
    "data": GROUND,
    "models": GROUND | {"data", "fast", "readable"},
    "inspect": GROUND | {"data", "fast", "readable"},
    "bench": GROUND | {"convert", "fast", "readable", "models"},  # models: a script that trains as a user does
    "learn": GROUND | {"data", "fast", "readable"},
    "cli": GROUND | {"data", "models", "inspect", "bench", "learn", "fast"},
}


def imports(path: Path):
    """(line, dotted name) of every import of a file, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            if node.module == "minirnn":
                yield from ((node.lineno, f"minirnn.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module


def files_of(room: str):
    return [ROOT / f"{room}.py"] if (ROOT / f"{room}.py").exists() else sorted((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("room", [*ARROWS, *ABOVE])
def test_arrows_run_one_way(room):
    files = files_of(room)
    assert files
    for path in files:
        for line, name in imports(path):
            parts = name.split(".")
            if parts[0] == "minirnn" and len(parts) > 1:
                allowed = ARROWS.get(room, ABOVE.get(room, set())) | {room}
                assert parts[1] in allowed, f"{path.relative_to(ROOT)}:{line}: {room} must not import {name}"
            elif room in ARROWS:
                assert parts[0] in ARROWS[room] | {"__future__"}, f"{path.relative_to(ROOT)}:{line}: imports {name}"


def test_every_room_is_on_the_plan():
    rooms = {
        p.stem if p.is_file() else p.name for p in ROOT.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()
    }
    assert rooms - {"__init__", "__main__", "_version", "__pycache__"} == set(ARROWS) | set(ABOVE)


@pytest.mark.parametrize(
    "statement",
    [
        "import minirnn",
        "import minirnn.readable",
        "import minirnn; minirnn.readable.lstm",
        "import minirnn.convert",
        # what a saved model needs to forecast
        "import minirnn.data, minirnn.data.table, minirnn.data.scaling, minirnn.data.imputing, minirnn.data.outliers",
        "import minirnn.data.calendar, minirnn.data.season",
        "from minirnn.data.sequences import labelled, long_form, events, lines, pairs, date_pairs",
        "import minirnn.cli.read; from minirnn.learn.reading import page, subjects, text; subjects.read('lstm')",
        "import minirnn.cli.text, minirnn.models.language_model",
        "import minirnn.cli.translate, minirnn.models.seq2seq",
        "import minirnn.cli.stream, minirnn.cli.lines, minirnn.models.forecaster, minirnn.models.forecasting.streaming",
    ],
)
def test_light_imports(statement):
    code = f"{statement}\nimport sys\nprint([m for m in ('jax', 'pandas', 'matplotlib', 'optax') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


CELL_MODULES = ("rnn", "lstm", "gru", "lstm_single_state", "gru_reset_before", "gru_two_state", "mingru", "minlstm")
# The compiled loop itself, for those who export or inspect it, has no counterpart in NumPy.
FAST_ONLY = {"compiled"}
BACKWARD_ONLY = {"update_backward", "coefficients_backward", "step_backward", "backward", "gate_gradients"}
READABLE_ONLY = BACKWARD_ONLY | {"backward_layers"}  # what JAX derives


def public_functions(module) -> list[str]:
    """Public names that the module itself assigns or defines, in the order of the file."""
    names = []
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.FunctionDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            targets = [part for t in node.targets for part in (t.elts if isinstance(t, ast.Tuple) else [t])]
            names += [target.id for target in targets if isinstance(target, ast.Name)]
    return [name for name in names if not name.startswith("_")]


@pytest.mark.parametrize(
    "name",
    [
        *CELL_MODULES,
        "losses",
        "network",
        "truncated",
        "attention",
        "seq2seq",
        "horizons",
        "spelling",
        "training",
        "labelling",
        "language",
        "translating",
    ],
)
def test_mirror_modules_have_the_same_names_in_the_same_order(name):
    half = {h: importlib.import_module(f"minirnn.{h}.{name}") for h in ("readable", "fast")}
    assert [n for n in public_functions(half["readable"]) if n not in READABLE_ONLY] == [
        n for n in public_functions(half["fast"]) if n not in FAST_ONLY
    ]
    for function in (
        set(public_functions(half["readable"])) - READABLE_ONLY - {"CELL", "CELLS", "update", "coefficients"}
    ):
        if not callable(getattr(half["readable"], function)):
            assert getattr(half["readable"], function) == getattr(half["fast"], function)
            continue
        signatures = [list(inspect.signature(getattr(m, function)).parameters) for m in half.values()]
        # JAX's own gradient, for Hessians, and what its scan keeps and rounds have no counterpart in NumPy.
        only_fast = {"plain", "save", "products"}
        assert signatures[0] == [name for name in signatures[1] if name not in only_fast], function


@pytest.mark.parametrize("half", ["readable", "fast"])
@pytest.mark.parametrize("name", CELL_MODULES)
def test_a_cell_has_the_contract_and_stays_short(half, name):
    module = importlib.import_module(f"minirnn.{half}.{name}")
    contract = {"init", "initial_state", "step", "forward", "gates"}
    elementwise = {"update_backward", "coefficients_backward"}  # one of them, by the engine that walks the cell
    assert contract | (BACKWARD_ONLY - elementwise if half == "readable" else set()) <= set(public_functions(module))
    assert list(inspect.signature(module.init).parameters)[:4] == ["rng", "input_size", "hidden_size", "dtype"]
    assert list(inspect.signature(module.forward).parameters)[:4] == ["params", "xs", "state", "lengths"]
    assert len(inspect.getsource(module).splitlines()) <= 150


def test_every_public_name_has_a_docstring():
    bare = []
    for info in pkgutil.walk_packages([str(ROOT)], "minirnn."):
        if info.name == "minirnn.__main__":
            continue
        module = importlib.import_module(info.name)
        if not module.__doc__:
            bare.append(info.name)
        for name, value in vars(module).items():
            own = getattr(value, "__module__", None) == info.name
            if own and not name.startswith("_") and callable(value) and not inspect.getdoc(value):
                bare.append(f"{info.name}.{name}")
    assert not bare


def test_public_names_are_listed_and_unknown_ones_refused():
    assert {"Forecaster", "load", "readable", "fast"} <= set(dir(minirnn))
    with pytest.raises(AttributeError, match="no attribute 'lstm'"):
        _ = minirnn.lstm
