"""What the README shows is what the code does."""

import re
from pathlib import Path

import pytest

import minirnn

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def code_lines(text: str) -> list[str]:
    return [line.split("  #")[0].strip() for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize(("block", "half"), [(0, "readable"), (1, "fast")])
def test_the_lines_of_a_step_stand_in_the_source(block, half):
    shown = code_lines(blocks("python")[block])
    assert shown[-1].startswith("h = ")
    assert len(shown) in (5, 8)  # all of a step
    source = code_lines((Path(minirnn.__file__).parent / half / "lstm.py").read_text())
    start = source.index(shown[0])
    assert source[start : start + len(shown)] == shown


@pytest.mark.parametrize("which", [slice(2, 3), slice(3, 4), slice(4, None)], ids=["forecast", "sequences", "cells"])
def test_the_examples_run(which, tmp_path, monkeypatch):
    """Those of a section one after the other, as a reader would run them."""
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in blocks("python")[which]:
        exec(compile(block, "README.md", "exec"), names)
    assert names
    if "report" in names:
        assert names["report"].first_wrong


def test_two_commands_set_up_run_and_test():
    run, tests = blocks("sh")[:2]
    assert run.strip().endswith("minirnn forecast")
    assert "pytest" in tests
    assert all(command.startswith("python3 -m venv .venv && .venv/bin/pip install") for command in (run, tests))


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)", README) + re.findall(r'href="([^"]+)"', README):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_nothing_is_left_to_be_filled_in():
    assert not re.search(r"^[A-Z]{6,}$", README, re.MULTILINE)
