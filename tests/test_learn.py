"""minirnn learn, as a student types it: files, hints, levels, what is kept, and bad inputs."""

import json
import os
import re
import subprocess
import sys

import pytest
from commands import run

from minirnn.learn.exercises import exercises
from minirnn.learn.mistakes import CATALOGUE, by_id
from minirnn.learn.workspace import NAME

STEP = exercises()["lstm_step_backward"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def wrong(name: str = "lstm.dc.carry-dropped") -> str:
    return STEP.file(STEP.program.source(by_id()[name].wrong))


def test_the_way_of_a_student(folder):
    begun = run("learn", "start", "lstm_step_backward")
    assert begun.status == 0
    path = folder / "lstm_step_backward.py"
    assert path.read_text() == STEP.stub
    assert sorted(p.name for p in folder.iterdir()) == [NAME, path.name]

    first = run("learn", "check", path.name)
    assert first.status == 1
    assert "still to be filled in: dh, do, dc" in first.out
    assert "0 of 10 points" in first.out

    path.write_text(wrong())
    checked = run("learn", "check")  # the one that was begun
    assert checked.status == 1
    assert "First wrong: dc (L10); what is computed before it is right: dh, do." in checked.out
    assert "dc_next" not in checked.out  # where, not which term

    term = run("learn", "why")
    assert term.status == 0
    assert term.out.startswith("In dc: dc_next is missing")
    assert "right" not in term.out
    formula = run("learn", "why")
    assert "yours  dc = dh * o * (1 - np.tanh(c)**2)" in formula.out
    assert "right  dc = dc_next + dh * o * (1 - np.tanh(c)**2)" in formula.out
    assert "minirnn/readable/lstm.py:" in formula.out

    path.write_text(STEP.solution)
    done = run("learn", "check", path.name)
    assert done.status == 0
    assert "done, 10 of 10 points" in done.out
    assert "nothing wrong" in run("learn", "why").out
    assert "lstm_step_backward" in run("learn", "report").out
    state = json.loads(run("learn", "report", "--json").out)["exercises"][0]
    assert state["passed"] is True
    assert state["checks"] == 3


def test_another_mistake_begins_at_the_first_level_again(folder):
    path = folder / "lstm_step_backward.py"
    path.write_text(wrong())
    run("learn", "check", path.name)
    run("learn", "why")
    assert "dc_next is missing" in run("learn", "check").out  # what was revealed stays
    path.write_text(wrong("lstm.df.uses-c"))
    again = run("learn", "check")
    assert "First wrong: df (L12)" in again.out
    assert "c_t stands where" not in again.out


def test_hints_come_one_at_a_time():
    run("learn", "start", "rnn_step")
    hints = exercises()["rnn_step"].hints
    for shown in (1, 2, 3, 3):
        out = run("learn", "hint").out
        assert [hint in out for hint in hints] == [k < shown for k in range(3)]
    assert "that is all of them" in out
    checked = json.loads(run("learn", "check", "--json").out)
    assert checked["hints_used"] == 3


def test_the_result_for_machines_has_its_promised_names(folder):
    (folder / "mine.py").write_text(wrong())
    result = json.loads(run("learn", "check", "mine.py", "--json", "--seed", "5").out)
    assert {
        "exercise",
        "version",
        "seed",
        "passed",
        "points",
        "rungs",
        "first_wrong",
        "diagnosis",
        "hints_used",
        "seconds",
    } <= set(result)
    assert result["exercise"] == "lstm_step_backward"
    assert result["seed"] == 5
    assert result["passed"] is False
    assert result["first_wrong"] == {"name": "dc", "t": None}
    (finding,) = result["diagnosis"]
    assert finding["id"] == "lstm.dc.carry-dropped"
    assert finding["confidence"] == "exact"
    assert {"name", "ok", "max_rel"} <= set(result["rungs"][0])


def test_start_without_a_name_goes_on_and_reset_keeps_what_was_written(folder):
    assert "rnn_step.py" in run("learn", "start").out
    again = run("learn", "start", "rnn_step")
    assert again.status == 2
    assert "rnn_step.py is there already" in again.err
    (folder / "rnn_step.py").write_text("mine")
    for number in (1, 2):
        (folder / "rnn_step.py").write_text(f"mine {number}")
        assert run("learn", "reset", "rnn_step").status == 0
        assert (folder / f"rnn_step.old{number}.py").read_text() == f"mine {number}"
    assert (folder / "rnn_step.py").read_text() == exercises()["rnn_step"].stub
    (folder / "rnn_step.py").write_text(exercises()["rnn_step"].solution)
    assert "next: minirnn learn start rnn_step_backward" in run("learn", "check", "rnn_step.py").out
    assert "rnn_step_backward.py" in run("learn", "start").out


def test_a_solution_is_shown_when_it_is_done_or_given_up(folder):
    refused = run("learn", "solution", "rnn_step")
    assert refused.status == 2
    assert "not done yet" in refused.err
    assert run("learn", "solution", "rnn_step", "--give-up").out == exercises()["rnn_step"].solution
    assert "solution seen" in run("learn", "report").out
    graded = run("learn", "solution", "peephole", "--give-up")
    assert graded.status == 2
    assert "for grades" in graded.err


def test_the_list_says_what_is_done(folder):
    (folder / "rnn_step.py").write_text(exercises()["rnn_step"].solution)
    run("learn", "check", "rnn_step.py")
    rows = json.loads(run("learn", "list", "--json").out)
    assert [row["name"] for row in rows] == list(exercises())
    assert [row["name"] for row in rows if row["passed"]] == ["rnn_step"]
    assert all(1 <= row["difficulty"] <= 5 and row["minutes"] > 0 for row in rows)
    assert f"1 of {len(rows)} done" in run("learn", "list").out


def test_the_catalogue_can_be_read():
    assert len(json.loads(run("learn", "mistakes", "--json").out)) == len(CATALOGUE)
    shown = run("learn", "mistakes", "lstm.dc.carry-dropped").out
    assert "wrong  dc = dh * o" in shown
    assert "right  dc = dc_next + dh * o" in shown


def test_endless_loops_and_lost_processes_end(folder):
    (folder / "loop.py").write_text('EXERCISE = "rnn_step"\nwhile True:\n    pass\n')
    ended = run("learn", "check", "loop.py", "--time-limit", "3")
    assert ended.status == 1
    assert "took longer than 3 s" in ended.out
    (folder / "gone.py").write_text('import sys\nEXERCISE = "rnn_step"\nsys.exit(3)\n')
    gone = run("learn", "check", "gone.py")
    assert gone.status == 1
    assert "runs: " in gone.out


BAD = {
    ("learn",): "VERB",
    ("learn", "start", "lstm_step_backwards"): "did you mean lstm_step_backward?",
    ("learn", "start", "rnn_step", "--seed", "3"): "is the same for every seed",
    ("learn", "check", "nothing.py"): "nothing.py: there is no such file",
    ("learn", "check", "lstm_step.py"): "begin with: minirnn learn start lstm_step",
    ("learn", "check", "."): "is a folder",
    ("learn", "check", "binary.py"): "is no text in UTF-8",
    ("learn", "check", "other.py"): 'expected a line EXERCISE = "lstm_step"',
    ("learn", "check", "unknown.py"): "there is no exercise 'nonsense'",
    ("learn", "check", "fine.py", "--exercise", "lstm_stepp"): "did you mean lstm_step?",
    ("learn", "check", "fine.py", "--points", "speed=3"): "the rungs here are own work, runs",
    ("learn", "check", "fine.py", "--points", "values"): "expected the name of a rung and its points",
    ("learn", "check", "fine.py", "--seed", "-1"): "expected a whole number of at least 0",
    ("learn", "check", "fine.py", "--time-limit", "0"): "expected seconds",
    ("learn", "check"): "no exercise has been begun in this folder",
    ("learn", "hint"): "no exercise has been begun",
    ("learn", "why", "rnn_step"): "has not been checked yet",
    ("learn", "mistakes", "lstn"): "did you mean lstm?",
    ("learn", "grade", "nowhere"): "there is no such file or folder",
    ("learn", "grade", "empty"): "holds no Python file",
}


@pytest.mark.parametrize("arguments", BAD, ids=" ".join)
def test_a_bad_input_gets_one_line(arguments, folder):
    (folder / "binary.py").write_bytes(b"\xff\xfe\x00")
    (folder / "other.py").write_text("x = 1\n")
    (folder / "unknown.py").write_text('EXERCISE = "nonsense"\n')
    (folder / "fine.py").write_text(exercises()["rnn_step"].solution)
    (folder / "empty").mkdir()
    before = sorted(folder.iterdir())
    ended = run(*arguments)
    assert ended.status == 2
    assert BAD[arguments] in ended.err
    assert len(ended.err.splitlines()) == 1
    assert ended.out == ""
    assert sorted(folder.iterdir()) == before


STRANGE = '{"version": 1, "current": "", "exercises": {"rnn_step": {"hints": "x", "points": "y", "last": [1]}}}'


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"version": 9, "current": "", "exercises": {}}', '{"version": 1}', STRANGE,
     '{"version": 1, "current": null, "exercises": {}}'],
)  # fmt: skip
def test_a_broken_memory_is_named(text, folder):
    (folder / NAME).write_text(text)
    ended = run("learn", "list")
    assert ended.status == 2
    assert NAME in ended.err
    assert len(ended.err.splitlines()) == 1


def test_only_numpy_is_loaded():
    code = (
        "import sys\nfrom minirnn.cli import main\nmain(['learn', 'start', 'rnn_step'])\n"
        "main(['learn', 'check', 'rnn_step.py'])\n"
        "import minirnn.learn.grading.ladder\n"
        "print([m for m in ('jax', 'pandas', 'matplotlib', 'optax') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_what_a_file_prints_does_not_mix_with_the_result(folder):
    path = folder / "rnn_step.py"
    path.write_text(exercises()["rnn_step"].solution.replace("    z = ", '    print("looking", x.shape)\n    z = '))
    done = subprocess.run(
        [sys.executable, "-m", "minirnn", "learn", "check", "rnn_step.py", "--json"],
        capture_output=True, text=True, env={**os.environ},
    )  # fmt: skip
    assert json.loads(done.stdout)["passed"]
    assert re.search(r"looking \(\d, \d\)", done.stderr)


def test_a_mark_in_front_of_a_file_is_no_mistake(folder):
    (folder / "rnn_step.py").write_text("\ufeff" + exercises()["rnn_step"].solution, encoding="utf-8")
    assert run("learn", "check", "rnn_step.py").status == 0


def test_a_flood_of_prints_is_cut(folder):
    text = exercises()["rnn_step"].solution.replace("    z = ", '    print("x" * 1_000_000)\n    z = ')
    (folder / "rnn_step.py").write_text(text)
    ended = run("learn", "check", "rnn_step.py")
    assert ended.status == 0
    assert len(ended.err) < 100_000
    assert "more was printed" in ended.err


def test_what_ends_the_program_is_told(folder):
    (folder / "stop.py").write_text('EXERCISE = "rnn_step"\nraise KeyboardInterrupt\n')
    ended = run("learn", "check", "stop.py")
    assert ended.status == 1
    assert "line 2: KeyboardInterrupt ended the program" in ended.out


def test_a_result_is_told_even_if_it_cannot_be_kept(folder, monkeypatch):
    from minirnn.learn import workspace

    (folder / "rnn_step.py").write_text(exercises()["rnn_step"].solution)

    def full(path, text):
        raise workspace.WorkspaceError(f"{path}: cannot be written (No space left on device); choose another folder")

    monkeypatch.setattr(workspace, "write_text", full)
    ended = run("learn", "check", "rnn_step.py")
    assert ended.status == 0
    assert "done, 9 of 9 points" in ended.out
    assert "this check is not kept" in ended.err


def test_the_answer_is_not_written_over(folder):
    (folder / "rnn_step.py").write_text(exercises()["rnn_step"].solution)
    ended = run("learn", "check", "rnn_step.py", "--gradescope", "./rnn_step.py")
    assert ended.status == 2
    assert "that is what is checked" in ended.err
    assert (folder / "rnn_step.py").read_text() == exercises()["rnn_step"].solution


def test_a_reset_forgets_no_hint_and_no_answer_that_was_seen(folder):
    run("learn", "start", "rnn_step")
    run("learn", "hint")
    run("learn", "solution", "rnn_step", "--give-up")
    run("learn", "reset", "rnn_step")
    state = json.loads(run("learn", "report", "--json").out)["exercises"][0]
    assert state["hints"] == 1
    assert state["solution_seen"] is True


def test_a_riddle_differs_by_seed_and_is_put_back_as_it_was(folder):
    run("learn", "start", "broken_lstm", "--seed", "3")
    text = (folder / "broken_lstm.py").read_text()
    assert "SEED = 3" in text
    assert text != exercises()["broken_lstm"].stub
    (folder / "broken_lstm.py").write_text("mine")
    run("learn", "reset", "broken_lstm")
    assert (folder / "broken_lstm.py").read_text() == text


@pytest.mark.parametrize("text", ["x = " + "1 + " * 50_000 + "1\n", "x = " + "-" * 100_000 + "1\n"])
def test_a_file_that_cannot_even_be_parsed_is_told(text, folder):
    (folder / "deep.py").write_text(f'EXERCISE = "rnn_step"\n{text}')
    ended = run("learn", "check", "deep.py")
    assert ended.status == 1
    assert "runs: " in ended.out
    assert "Traceback" not in ended.err


def test_a_file_may_be_named_without_its_ending(folder):
    run("learn", "start", "rnn_step")
    assert "still to be filled in" in run("learn", "check", "rnn_step").out


def test_the_answer_of_a_riddle_is_that_of_its_seed(folder):
    run("learn", "start", "broken_lstm", "--seed", "5")
    shown = run("learn", "solution", "broken_lstm", "--give-up").out
    assert "SEED = 5" in shown
    (folder / "broken_lstm.py").write_text(shown)
    assert run("learn", "check", "broken_lstm.py").status == 0
