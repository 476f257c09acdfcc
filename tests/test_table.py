"""The printed table: what is out of bounds, or missing, is told by name."""

import numpy as np
import pytest
import table

LOSSES = next(section for section in table.SECTIONS if section.title.startswith("Losses"))


def printed(section, row):
    """Problems and missing libraries of one row."""
    sections = (section._replace(rows=(row,)),)
    return table.print_table([table.entries(*place, sections) for place in table.every_row(sections)], sections)


def test_a_row_within_its_bounds(capsys):
    assert printed(LOSSES, "mse") == ([], set())
    *_, dtypes, bounds, row = capsys.readouterr().out.splitlines()
    assert dtypes.split() == ["float64", "float64", "float32", "float64"]
    assert bounds.split()[1::2] == ["1e-12", "1e-12", "1e-5", "1e-12"]
    name, *errors, nothing = row.split()
    assert (name, nothing) == ("mse", "-")
    assert 0 < float(errors[0]) < 1e-15 < 1e-9 < float(errors[2]) < 1e-5


@pytest.mark.parametrize("judge", [LOSSES.columns[2].error, None])
def test_what_is_out_of_bounds_is_named(judge, capsys):
    """By the comparison itself, or by the table alone; NaN is never within bounds."""
    column = table.Column("JAX", np.float32, 1e-30, judge or (lambda row, dtype, bound: float("nan")))
    (problem,), _ = printed(LOSSES._replace(columns=(column,)), "mse")
    assert problem.startswith("Losses, mse, JAX float32: ")
    assert problem.endswith("nan > 1e-30") if judge is None else "> 1e-30" in problem
    assert ("nan" if judge is None else "OUT OF BOUNDS") in capsys.readouterr().out


def test_a_missing_library_is_told(capsys, monkeypatch):
    monkeypatch.setattr(table, "installed", dict)
    columns = LOSSES.columns[-1:]
    assert printed(LOSSES._replace(columns=columns), "gaussian_nll") == ([], {"torch"})
    assert "gaussian_nll   not installed" in capsys.readouterr().out
    assert printed(LOSSES._replace(columns=columns), "mse") == ([], set())  # torch has no business there


def test_every_section_has_rows_for_every_column():
    for section in table.SECTIONS:
        for column in section.columns:
            assert set(section.rows if column.rows is None else column.rows) <= set(section.rows)
            assert column.rows != ()


@pytest.mark.parametrize(
    ("arguments", "entry", "ending"),
    [
        ([], ("1.0e-16", None), None),
        ([], (table.MISSING, None), None),
        (["--no-skips"], (table.MISSING, None), "not installed, although every extra should be: flax, keras, torch"),
        ([], ("1.0e-16", "Cells, rnn: wrong"), "Cells, rnn: wrong"),
    ],
)
def test_the_command_fails_where_it_should(arguments, entry, ending, capsys, monkeypatch):
    class Pool:
        def __init__(self, *_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def map(self, function, indices, rows):
            compared = [table.SECTIONS[index].columns for index in indices]
            return [[entry if c.library or entry[1] else ("0", None) for c in columns] for columns in compared]

    monkeypatch.setattr(table, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr("sys.argv", ["parity.py", *arguments])
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # restored afterwards
    if ending:
        with pytest.raises(SystemExit) as failed:
            table.main()
        assert str(failed.value.code).endswith(ending)
    else:
        table.main()
        assert capsys.readouterr().out.endswith("Every number is within its bound.\n")
