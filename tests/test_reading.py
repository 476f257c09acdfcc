"""What the reading page is made of: mathematics of which nothing is lost, shapes that fit, lines that carry numbers."""

import re
import shutil
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import optax
import pytest
from test_equations import file_of, numbers_in

import minirnn
from minirnn.equations import EQUATIONS
from minirnn.learn.reading.latex import GREEK, Function, Group, LatexError, Operator, Product, Root, Space, Sum, Symbol
from minirnn.learn.reading.latex import parse as parsed
from minirnn.learn.reading.mathml import parts
from minirnn.learn.reading.page import page
from minirnn.learn.reading.source import MissingEquationError, Sources
from minirnn.learn.reading.subjects import CELLS, OPTAX, SUBJECTS, letter, read
from minirnn.learn.reading.symbols import UnknownSymbolError, meaning

PACKAGE = Path(minirnn.__file__).parent
CLONE = PACKAGE.parent


@pytest.fixture(scope="module")
def readings():
    sources = Sources()
    return {name: read(name, sources) for name in SUBJECTS}


# ---------------------------------------------------------------- the mathematics

SHOWN = {
    "odot": "⊙",
    "leftarrow": "←",
    "ge": "≥",
    "top": "⊤",
    "sum": "∑",
    "sqrt": "",
    "mathrm": "",
    "quad": "",
    "|": "‖",
}


def characters(latex: str) -> Counter:
    """Every letter, digit, operator and bracket that a reader of the LaTeX sees."""
    seen = Counter()
    for command, escaped, other in re.findall(r"\\([A-Za-z]+)|\\(.)|([^\\{}_^ ])", latex):
        if command:
            seen.update(SHOWN.get(command, GREEK.get(command, command)))
        elif escaped:
            seen.update("‖" if escaped == "|" else "")
        else:
            seen.update({"-": "−", "'": "′"}.get(other, other))
    return seen


@pytest.mark.parametrize("number", EQUATIONS)
def test_mathml_is_well_formed_and_nothing_is_lost(number):
    latex = EQUATIONS[number].latex
    seen = Counter()
    for part in parts(parsed(latex)):
        math = ElementTree.fromstring(part.math)
        assert math.tag == "math"
        for element in math.iter():
            count = {"msub": 2, "msup": 2, "munder": 2, "msubsup": 3}.get(element.tag)
            assert count is None or len(element) == count, part.math
        seen.update("".join(math.itertext()).replace("\u2061", ""))
    assert seen == characters(latex)


def test_gradients_blocks_powers_and_transposes_are_told_apart():
    dz, square, transposed, size = (parsed(latex)[0] for latex in ("dz^{i}_t", "g_t^2", r"W_h^\top", "d_k"))
    assert (dz.name, dz.gradient, dz.label, dz.power) == ("z", True, "i", ())
    assert (square.label, len(square.power), square.transposed) == ("", 1, False)
    assert (transposed.name, transposed.transposed) == ("W", True)
    assert (size.name, size.gradient) == ("d", False)
    assert [s.name for s in parsed(r"d\nu") if s.gradient] == [r"\nu"]


@pytest.mark.parametrize("latex", [r"\frac{1}{2}", "a_", "(a", "a)", "a & b", "x^{}", r"\mathbb{R}", "|a"])
def test_what_is_not_part_of_the_notation_is_an_error(latex):
    with pytest.raises(LatexError, match=re.escape(repr(latex))):
        parsed(latex)


# ---------------------------------------------------------------- shapes


def product(a, b):
    assert a[-1:] == b[:1], f"{a} @ {b}"
    return a[:-1] + b[1:]


def broadcast(a, b):
    longest = max(len(a), len(b))
    pairs = list(zip(("1",) * (longest - len(a)) + a, ("1",) * (longest - len(b)) + b))
    assert all(x == y or "1" in (x, y) for x, y in pairs), f"{a} with {b}"
    return tuple(y if x == "1" else x for x, y in pairs)


def split(row, *operators):
    """The row between operators, without those at its beginning."""
    pieces = [[]]
    for node in row:
        if isinstance(node, Operator) and node.text in operators:
            pieces.append([])
        else:
            pieces[-1].append(node)
    return [piece for piece in pieces if piece]


def shape_of(row, known):
    """The shape of an expression, by the rules of NumPy."""
    result = ()
    for term in split(row, "+", "−"):
        of_term = ()
        for factor in split(term, "⊙", "/"):
            shapes = [atom(node, known) for node in factor if not isinstance(node, Product | Sum)]
            value = shapes[0]
            for following in shapes[1:]:
                value = product(value, following)
            of_term = broadcast(of_term, value)
        result = broadcast(result, of_term)
    return result


def atom(node, known):
    if isinstance(node, Symbol):
        return known(node)
    if isinstance(node, Function):
        inside = shape_of(node.argument.inside, known)
        if node.name == "sum":
            return ("1", *inside[1:]) if node.sub else ()
        return inside
    if isinstance(node, Group) and node.open == "[":
        left, right = (known(each) for each in node.inside if isinstance(each, Symbol))
        return (left[0], f"{left[1]} + {right[1]}")
    if isinstance(node, Group | Root):
        return shape_of(node.inside, known)
    return ()


@pytest.mark.parametrize("subject", [*CELLS, "engine", "linear", "attention", "seq2seq"])
def test_shapes_fit_together(readings, subject):
    """The shapes that are shown make every equation one that NumPy would compute."""
    reading = readings[subject]
    for row in reading.rows:
        if row.number == "Q15":
            continue

        def known(symbol, number=row.number):
            shape = meaning(symbol, number, reading.blocks).shape.strip("()").rstrip(",")
            return tuple(shape.split(", ")) if shape else ()

        equations = [[]]
        for node in parsed(row.equation.latex):
            if isinstance(node, Space):
                equations.append([])
            elif not (isinstance(node, Operator) and node.text == ","):
                equations[-1].append(node)
        for equation in equations:
            (name,), value = split(equation, "=")
            left, right = known(name), shape_of(value, known)
            summed = len(left) == 1 and name.gradient and right[1:] == left  # over the batch
            assert left == right or summed, f"{row.number}: {left} = {right}"


def test_the_check_of_shapes_finds_a_missing_transpose():
    known = {"a": ("B", "H"), "W": ("D", "H")}
    assert shape_of(parsed(r"a \, W^\top"), lambda s: known[s.name][:: -1 if s.transposed else 1]) == ("B", "D")
    with pytest.raises(AssertionError):
        shape_of(parsed(r"a \, W"), lambda s: known[s.name])


def test_every_symbol_of_every_equation_is_explained(readings):
    assert {row.number for reading in readings.values() for row in reading.rows} == set(EQUATIONS)
    for reading in readings.values():
        for row in reading.rows:
            assert all(told.words and told.shape.startswith("(") for _, told in row.symbols)
    with pytest.raises(UnknownSymbolError, match="add 'Y_t' to SYMBOLS"):
        meaning(parsed("Y_t")[0], "L1")


# ---------------------------------------------------------------- the sources


def test_rows_show_the_lines_that_carry_their_number(readings):
    for name, reading in readings.items():
        for row in reading.rows:
            for half, shown in (("readable", row.numpy), ("fast", row.jax)):
                for piece in shown.pieces:
                    line = (CLONE / piece.file).read_text().splitlines()[piece.at - 1]
                    number = "P1" if shown.note.endswith("(P1)") and half == "fast" else row.number
                    assert number in re.findall(r"[A-Z]\d+", line.split("#")[-1]), (name, row.number)
                    assert line.strip() in piece.code
                own = row.number[0] == letter(name)
                if own and row.equation.where == "both":
                    assert shown.pieces[0].file == file_of(half, row.number).relative_to(CLONE).as_posix()
            assert row.numpy.pieces, row.number
            assert row.jax.pieces or "derived by" in row.jax.note or "optax" in row.jax.note, row.number


def test_shared_and_derived_lines_say_so(readings):
    rows = {row.number: row for row in readings["lstm"].rows}
    shown = page([readings["lstm"]])
    assert rows["L2"].numpy.pieces == rows["L5"].numpy.pieces
    assert rows["L2"].jax.pieces != rows["L5"].jax.pieces
    assert 'this line also computes <a href="#L3">L3</a>, <a href="#L4">L4</a>, <a href="#L5">L5</a>' in shown
    for number in ("L8", "L12", "L18"):
        see = rows[number].jax.see
        assert not rows[number].jax.pieces
        assert "jax.vjp(" in (CLONE / see.file).read_text().splitlines()[see.at - 1]
    # What is not left to jax.vjp is not said to be.
    before = {row.number: row for row in readings["gru_reset_before"].rows}
    assert before["B11"].jax.pieces[0].file == "minirnn/fast/scan.py"
    assert "P1" in numbers_in(CLONE / before["B15"].jax.pieces[0].file)
    assert before["B15"].numpy.see.file == "minirnn/readable/engine.py"
    assert all(hasattr(optax, name) for name in OPTAX.values())


def test_a_statement_of_several_lines_is_shown_with_its_beginning(readings):
    rows = {row.number: row for row in readings["lstm"].rows}
    (piece,) = rows["L15"].numpy.pieces
    assert piece.code.splitlines()[0] == "dz = np.concatenate("
    assert piece.code.splitlines()[-1].strip() == "df * f * (1 - f),  # L15"
    (piece,) = next(row for row in readings["optimizers"].rows if row.number == "O5").numpy.pieces
    assert [line.strip()[:18] for line in piece.code.splitlines()] == [
        "updates = tree_map",
        "lambda m, v: -eta ",
        ")  # fmt: skip",
    ]


@pytest.fixture
def copied(tmp_path):
    """A copy of the sources that may be changed."""
    root = tmp_path / "minirnn"
    for half in ("readable", "fast"):
        shutil.copytree(PACKAGE / half, root / half, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PACKAGE / "search.py", root)
    return root


@pytest.mark.parametrize(
    ("subject", "file", "number"),
    [
        ("lstm", "readable/lstm.py", "L6"),
        ("lstm", "fast/lstm.py", "L6"),
        ("lstm", "readable/lstm.py", "L12"),
        ("gru", "readable/engine.py", "P2"),
        ("gru", "fast/scan.py", "P4"),
        ("mingru", "fast/linear.py", "H3"),
        ("losses", "fast/losses.py", "E7"),
        ("seq2seq", "search.py", "Q15"),
    ],
)
def test_a_number_that_is_missing_in_one_half_breaks_the_page(copied, subject, file, number):
    assert read(subject, Sources(copied)).rows
    path = copied / file
    path.write_text(re.sub(rf"\b{number}\b", "", path.read_text()))
    with pytest.raises(
        MissingEquationError, match=rf"equation {number} is missing in minirnn/{file}: .* in '# {number}'"
    ):
        read(subject, Sources(copied))


def test_a_number_in_a_text_or_on_a_line_of_its_own_marks_nothing(copied):
    path = copied / "fast" / "lstm.py"
    path.write_text(path.read_text().replace("h = o * tanh_c  # L7", '# L7\n    h = o * tanh_c + 0 * len("# L7")'))
    with pytest.raises(MissingEquationError, match=r"equation L7 is missing in minirnn/fast/lstm\.py"):
        read("lstm", Sources(copied))


def test_what_the_page_says_of_the_engines_breaks_with_them(copied):
    path = copied / "fast" / "scan.py"
    path.write_text(path.read_text().replace("jax.vjp(update", "jax.linearize(update"))
    with pytest.raises(MissingEquationError, match=r"scan.py calls jax.vjp 0 times"):
        read("lstm", Sources(copied))


def test_the_page_follows_the_source(copied):
    path = copied / "fast" / "lstm.py"
    path.write_text("\n\n" + path.read_text().replace("f * state.c + i * g", "i * g + f * state.c"))
    (old,), (new,) = (
        next(row for row in read("lstm", sources).rows if row.number == "L6").jax.pieces
        for sources in (Sources(), Sources(copied))
    )
    assert new.at == old.at + 2
    assert new.code == 'c = note("c", i * g + f * state.c)  # L6'
