"""minirnn learn grade, as a teacher types it: thirty files, one table, results for other programs."""

import csv
import io
import json
import os
from pathlib import Path

import pytest
from commands import run

from minirnn.learn import classroom
from minirnn.learn.exercises import exercises
from minirnn.learn.mistakes import by_id, of_exercise

STEP = exercises()["lstm_step_backward"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Thirty students: three are right, one hands in the stub, one an endless loop, the others one mistake each."""
    monkeypatch.chdir(tmp_path)
    mistakes = of_exercise(STEP.name)[:25]
    texts = [STEP.solution] * 3 + [STEP.stub] + [f"{STEP.stub}\nwhile True: pass\n".replace("...", "0")]
    texts += [STEP.file(STEP.program.source(mistake.wrong)) for mistake in mistakes]
    for number, text in enumerate(texts):
        if number % 2:
            (tmp_path / "all" / f"student{number:02}").mkdir(parents=True)
            (tmp_path / "all" / f"student{number:02}" / "answer.py").write_text(text)
        else:
            (tmp_path / "all").mkdir(exist_ok=True)
            (tmp_path / "all" / f"student{number:02}_lstm_step_backward.py").write_text(text)
    return tmp_path


def test_thirty_files_are_graded_with_one_command(folder):
    ended = run("learn", "grade", "all", "--seed", "4711", "--out", "grades", "--time-limit", "8")
    assert ended.status == 0, ended.err
    assert "lstm_step_backward: 3 of 30 right" in ended.out
    table = list(csv.DictReader((folder / "grades" / "class.csv").read_text().splitlines()))
    assert sorted(row["student"] for row in table) == [f"student{n:02}" for n in range(30)]
    by_student = {row["student"]: row for row in table}
    assert [by_student[f"student{n:02}"]["passed"] for n in range(5)] == ["1", "1", "1", "0", "0"]
    assert by_student["student03"]["points"] == "0.0"
    assert "took longer than 8 s" in by_student["student04"]["message"]
    for number, mistake in enumerate(of_exercise(STEP.name)[:25], 5):
        row = by_student[f"student{number:02}"]
        assert row["mistakes"] == mistake.id
        assert 0 < float(row["points"]) < float(row["of"]) == 10
        assert row["first wrong"]
    whole = json.loads((folder / "grades" / "class.json").read_text())
    assert len(whole) == 30
    assert {result["seed"] for result in whole} == {4711}
    for number in range(30):
        scope = json.loads((folder / "grades" / f"student{number:02}.gradescope.json").read_text())
        row = by_student[f"student{number:02}"]
        assert scope["score"] == pytest.approx(float(row["points"]), abs=0.011)
        assert sum(test["max_score"] for test in scope["tests"]) == 10
        assert {test["status"] for test in scope["tests"]} <= {"passed", "failed"}
        # Where, not which term: that would be the answer.
        for finding in row["mistakes"].split():
            assert by_id()[finding].term not in json.dumps(scope)


def test_points_can_be_weighed(folder):
    (folder / "one.py").write_text(STEP.file(STEP.program.source(by_id()["lstm.db.mean"].wrong)))
    plain = json.loads(run("learn", "grade", "one.py", "--json").out)[0]
    weighed = json.loads(run("learn", "grade", "one.py", "--json", "--points", "values=20", "--points", "runs=0").out)[
        0
    ]
    assert plain["of"] == 10
    assert weighed["of"] == 24
    share = next(rung["points"] / rung["of"] for rung in plain["rungs"] if rung["name"] == "values")
    assert 0 < share < 1
    assert weighed["points"] == pytest.approx(4 + 20 * share, abs=0.02)


def test_files_that_answer_nothing_are_left_out_and_named(folder):
    (folder / "some").mkdir()
    (folder / "some" / "notes.py").write_text("x = 1\n")
    (folder / "some" / "ada_rnn_step.py").write_text(exercises()["rnn_step"].solution)
    ended = run("learn", "grade", "some")
    assert ended.status == 0
    assert "not checked: some/notes.py" in ended.err
    assert "rnn_step: 1 of 1 right" in ended.out
    (folder / "some" / "ada_rnn_step.py").unlink()
    nothing = run("learn", "grade", "some", "--out", "grades")
    assert nothing.status == 2
    assert not (folder / "grades").exists()


def test_whose_a_file_is():
    names = ["ada/lstm_step.py", "ada_lstm_step.py", "ada/deep/x.py", "ada lovelace_gru_reset_before_step.py"]
    found = [classroom._student(Path(name), Path("all")) for name in names]
    assert found == ["ada", "ada", "ada", "ada lovelace"]
    assert classroom.file_names(["a b", "a_b", "A_B"]) == {"a b": "a_b", "a_b": "a_b-2", "A_B": "A_B-3"}
    assert classroom._student(Path("lstm_step.py"), Path("all/grace")) == "grace"


def test_a_glob_a_path_upwards_and_old_files(folder):
    """What teachers type, and what a reset leaves behind."""
    text = exercises()["rnn_step"].solution
    for student in ("ada", "grace"):
        (folder / "subs" / student).mkdir(parents=True)
        (folder / "subs" / student / "rnn_step.py").write_text(text)
    (folder / "subs" / "ada" / "rnn_step.old1.py").write_text(exercises()["rnn_step"].stub)
    (folder / "subs" / "ada" / ".hidden.py").write_text(text)
    (folder / "here").mkdir()
    glob = json.loads(run("learn", "grade", "subs/ada", "subs/grace", "--json").out)
    upwards = json.loads(run("learn", "grade", "here/../subs", "--json").out)
    for found in (glob, upwards):
        assert [row["student"] for row in found] == ["ada", "grace"]
        assert all(row["passed"] for row in found)


def test_of_two_files_of_one_student_the_newer_counts(folder):
    (folder / "two").mkdir()
    for age, (name, text) in enumerate(
        (("ada_1", exercises()["rnn_step"].solution), ("ada_2", exercises()["rnn_step"].stub))
    ):
        (folder / "two" / "ada").mkdir(exist_ok=True)
        path = folder / "two" / "ada" / f"{name}.py"
        path.write_text(text)
        os.utime(path, (1_000_000 - age, 1_000_000 - age))
    ended = run("learn", "grade", "two", "--json")
    counted, older = json.loads(ended.out)
    assert counted["passed"]
    assert "is newer" in older["message"]
    assert "is newer" in ended.err


def test_an_answer_that_was_imported_gets_nothing(folder):
    (folder / "imported.py").write_text("from minirnn.readable import rnn\n" + exercises()["rnn_step"].solution)
    (row,) = json.loads(run("learn", "grade", "imported.py", "--json").out)
    assert not row["passed"]
    assert row["points"] == 0
    assert all(rung["points"] == 0 for rung in row["rungs"])


def test_a_file_that_cannot_be_read_is_not_lost(folder):
    (folder / "some").mkdir()
    (folder / "some" / "ada_rnn_step.py").write_text(exercises()["rnn_step"].solution)
    (folder / "some" / "bob_rnn_step.py").write_bytes(b"\xff\xfe\x00")
    assert run("learn", "grade", "some", "--out", "grades").status == 0
    rows = list(csv.DictReader((folder / "grades" / "class.csv").read_text().splitlines()))
    assert [(row["student"], row["points"]) for row in rows] == [("ada", "9.0"), ("bob", "0.0")]
    assert "no text in UTF-8" in rows[1]["message"]


def test_a_table_holds_no_formula_of_a_spreadsheet():
    text = classroom.csv_text([{"student": "=1+1", "points": 3}, {"student": "b", "message": "-x"}])
    rows = list(csv.reader(io.StringIO(text)))
    assert rows == [["student", "points", "message"], ["'=1+1", "3", ""], ["b", "", "'-x"]]


def test_gradescope_of_one_file(folder):
    (folder / "rnn_step.py").write_text(exercises()["rnn_step"].solution)
    assert run("learn", "check", "rnn_step.py", "--gradescope", "results.json").status == 0
    scope = json.loads((folder / "results.json").read_text())
    assert scope["score"] == sum(test["max_score"] for test in scope["tests"]) == 9
    assert scope["output"] == "All is right."
