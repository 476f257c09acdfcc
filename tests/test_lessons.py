"""The tutorials and pages are what the map says; what the README shows of a student's session is what happens."""

import ast
import re
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from commands import run

from minirnn.equations import EQUATIONS
from minirnn.learn.exercises import exercises
from minirnn.learn.grading.probes import pairs
from minirnn.learn.grading.trial import OUTCOMES
from minirnn.learn.mistakes import CATALOGUE, by_id, of_exercise
from minirnn.learn.mistakes.page import markdown

ROOT = Path(__file__).parent.parent
TUTORIALS = sorted((ROOT / "tutorials").glob("[0-9]*.py"))
README = (ROOT / "README.md").read_text()
MAP = (ROOT / "tutorials" / "README.md").read_text()
ALLOWED = {"numpy", "jax", "optax", "matplotlib", "minirnn", "pandas", "__future__"} | set(sys.stdlib_module_names)

every = pytest.mark.parametrize("path", TUTORIALS, ids=[path.stem for path in TUTORIALS])


def test_there_are_nineteen_in_order():
    assert [int(path.name[:2]) for path in TUTORIALS] == list(range(1, 20))


@every
def test_a_tutorial_keeps_its_form(path):
    text = path.read_text()
    assert text.startswith("# %% [markdown]\n# # ")
    minutes = re.search(r"^# Minutes: (\d+)\. Before: ", text, re.MULTILINE)
    assert minutes
    assert 10 <= int(minutes[1]) <= 20
    assert 1 <= len(re.findall(r"\*\*Predict before you run:?\*\*", text)) <= 2
    at_the_end = text[text.rindex("## Exercises") :]
    assert 2 <= len(re.findall(r"^# \d\. ", at_the_end, re.MULTILINE)) <= 3
    started = re.findall(r"minirnn learn start\s+(?:# )?(\w+)", text)
    assert set(started) <= set(exercises()), started
    assert re.search(r"^\s*assert |assert_allclose|assert_array_equal", text, re.MULTILINE)
    assert len(re.findall(rf'\bkeep\(.*"{path.stem}"', text)) == 1
    for ending in (".png", ".csv"):
        assert (ROOT / "figures" / f"{path.stem}{ending}").exists()
    for node in ast.walk(ast.parse(text)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert {name.split(".")[0] for name in names} <= ALLOWED
    assert "pyplot" not in text  # a figure needs no display


@every
def test_the_map_knows_a_tutorial(path):
    text = path.read_text()
    title = re.search(r"^# # (.*)$", text, re.MULTILINE)[1]
    minutes = re.search(r"^# Minutes: (\d+)\.", text, re.MULTILINE)[1]
    row = next(line for line in MAP.splitlines() if f"({path.name})" in line)
    assert f"**{title}**" in row
    assert f"| {minutes} |" in row


def test_most_tutorials_lead_to_graded_exercises():
    leading = [path for path in TUTORIALS if "minirnn learn start" in path.read_text()]
    assert len(leading) >= 12


def test_numbers_of_equations_in_tutorials_exist():
    for path in TUTORIALS:
        for number in re.findall(r"`([A-Z]\d+)`|\(([LGRBP]\d+)\)", path.read_text()):
            assert (number[0] or number[1]) in EQUATIONS, (path.name, number)


def test_the_page_of_mistakes_is_current():
    shown = (ROOT / "tutorials" / "MISTAKES.md").read_text()
    assert shown == markdown(), "make it anew: python -m minirnn.learn.mistakes.page"
    assert shown.startswith(f"# {len(CATALOGUE)} ways to get")
    assert all(mistake.id in shown for mistake in CATALOGUE)


def test_the_figure_of_the_grader_counts_what_there_is():
    table = pd.read_csv(ROOT / "figures" / "grader.csv", index_col=0)
    assert list(table) == list(OUTCOMES)
    assert (table["false"] == 0).all()
    told = [e for e in exercises().values() if e.solved and "jax" not in e.imports]
    singles = sum(len(of_exercise(e.name)) for e in told)
    twos = sum(len(list(pairs(of_exercise(e.name)))) for e in told)
    one, two = (table[table.index.str.startswith(kind)] for kind in ("one mistake", "two mistakes"))
    words = "make it anew: python figures/make.py --only grader"
    assert one.to_numpy().sum() == one["itself"].sum() == singles, words
    assert two.to_numpy().sum() == twos, words
    assert two["itself"].sum() >= 0.9 * twos
    formulas = table[table.index.str.startswith("random formula")]
    assert formulas.to_numpy().sum() >= 500
    assert (formulas[["itself", "fewer, same numbers", "others, same numbers"]] == 0).all(axis=None)


def test_the_session_in_the_readme_is_what_happens(tmp_path, monkeypatch):
    shown = next(
        block for block in re.findall(r"^```text\n(.*?)^```$", README, re.DOTALL | re.MULTILINE) if "learn" in block
    )
    assert len(shown.splitlines()) <= 12
    monkeypatch.chdir(tmp_path)
    step = exercises()["lstm_step_backward"]
    wrong = by_id()["lstm.dc.carry-dropped"].wrong
    (tmp_path / "lstm_step_backward.py").write_text(step.file(step.program.source(wrong)))
    happened = ""
    for line in shown.splitlines():
        if line.startswith("$ minirnn "):
            happened += f"{line}\n{run(*line.removeprefix('$ minirnn ').split()).out}"
    # The file may move on; which line of it is read stands in the page that a test keeps current.
    assert re.sub(r"py:\d+", "py", happened) == re.sub(r"py:\d+", "py", shown)


def test_the_numbers_of_the_readme_are_true():
    assert f"each of {len(CATALOGUE)} wrong derivations" in README
    assert f"names {len(exercises())} exercises" in README
    assert Counter(mistake.family for mistake in CATALOGUE)["general"] >= 18


def test_numbers_of_figures_are_compared():
    sys.path.insert(0, str(ROOT / "figures"))
    try:
        from compare import difference
    finally:
        sys.path.pop(0)
    shown = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
    assert difference("01_one_step", shown, shown, quick=False) == ""
    assert "row 1" in difference("01_one_step", shown.assign(a=[1.0, 2.5]), shown, quick=False)
    assert "differs in b" in difference("01_one_step", shown.assign(b=["x", "z"]), shown, quick=False)
    assert "columns" in difference("01_one_step", shown.rename(columns={"a": "c"}), shown, quick=False)
    assert "rows" in difference("01_one_step", shown[:1], shown, quick=False)
