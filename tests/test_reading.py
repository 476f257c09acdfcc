"""The reading page: true to the sources, nothing lost from the mathematics, whole in a browser, current on GitHub."""

import html
import json
import re
import shutil
import subprocess
import webbrowser
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import optax
import pytest
from commands import run
from test_equations import file_of, numbers_in

import minirnn
from minirnn.equations import EQUATIONS
from minirnn.learn.reading import text
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
    pairs = zip(("1",) * (longest - len(a)) + a, ("1",) * (longest - len(b)) + b)
    assert all(x == y or "1" in (x, y) for x, y in (pairs := list(pairs))), f"{a} with {b}"
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
    assert piece.code.startswith("updates = tree_map(") or "tree_map(" in piece.code.splitlines()[0]
    assert piece.code.rstrip().endswith(")")  # whole: only one equation stands in it


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
    with pytest.raises(MissingEquationError, match="equation L7 is missing in minirnn/fast/lstm.py"):
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


# ---------------------------------------------------------------- the page


class Page(HTMLParser):
    """Reads a page as strictly as it was written."""

    VOID = frozenset({"meta", "link", "br", "wbr"})

    def __init__(self, whole: str):
        super().__init__()
        self.open, self.ids, self.links, self.count = [], [], [], Counter()
        self.feed(whole)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.count[tag] += 1
        self.count[attributes.get("class")] += 1
        assert not any(name.startswith("on") for name in attributes)
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes["href"]] if tag == "a" else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert tag == "mspace"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("names", [["lstm"], ["gru_reset_before"], ["attention"], ["losses"], [*SUBJECTS]])
def test_the_page_is_closed_and_its_links_lead_somewhere(readings, names):
    whole = page([readings[name] for name in names])
    found = Page(whole)
    assert found.count["script"] == found.count["img"] == 0
    assert not re.search(r"https?:|url\(|@import", whole)
    assert len(set(found.ids)) == len(found.ids)
    assert found.count["row"] == sum(len(readings[name].rows) for name in names)
    for link in found.links:
        file, _, fragment = link.partition("#")
        if not file:
            assert fragment in found.ids, link
        else:
            lines = (CLONE / "tutorials" / file).read_text().splitlines()
            assert 1 <= int(fragment.removeprefix("L")) <= len(lines), link


def test_every_symbol_of_an_equation_has_its_shape_below(readings):
    whole = page([readings["lstm"]])
    for row in readings["lstm"].rows:
        (cell,) = re.findall(
            rf'<a class="number" href="#{row.number}".*?</a>\s*<div><div class="equation">(.*?)</div>', whole, re.S
        )
        told = {symbol.latex: known for symbol, known in row.symbols}
        expected = [told[s.latex].short for part in parts(parsed(row.equation.latex)) for s in part.symbols]
        assert re.findall(r'<mtext class="shape">(.*?)</mtext>', cell) == expected
    assert '<mtext class="shape">4H, H</mtext>' in whole  # of the transposed W_h


def test_numbers_are_anchors_and_mark_their_lines(readings):
    whole = page([readings["lstm"]])
    assert 'id="L10"' in whole
    assert re.search(r'<code class="line at-L2 at-L3 at-L4 at-L5"[^>]*><span class="gate-i">i</span>, ', whole)
    assert "#L10:target" in whole
    both = page([readings["lstm"], readings["gru"], readings["engine"]])
    assert {"lstm-P1", "gru-P2", "P1", "L1", "G1"} <= set(Page(both).ids)


# ---------------------------------------------------------------- the command


def test_the_command_lists_prints_and_finds_one_equation():
    listed = run("read")
    assert listed.status == 0
    assert all(name in listed.out for name in SUBJECTS)
    shown = run("read", "lstm")
    assert shown.status == 0
    assert all(re.search(rf"^{row} ", shown.out, re.M) for row in ("L1", "L18", "P5"))
    one = run("read", "l10").out.splitlines()
    assert one[0] == f"L10  {EQUATIONS['L10'].plain}"
    assert any(line.strip().startswith("NumPy minirnn/readable/lstm.py:") for line in one)
    assert "derived by jax.vjp of update (minirnn/fast/scan.py:" in one[-1]


def test_json_holds_what_the_page_shows():
    (subject,) = json.loads(run("read", "gru", "--json").out)
    assert subject["gates"] == ["r", "z", "n"]
    numbers = {equation["number"]: equation for equation in subject["equations"]}
    assert numbers["G4"]["jax"]["lines"][0]["file"] == "minirnn/fast/gru.py"
    assert {"latex": "b_{hn}", "meaning": "bias of the candidate's recurrent part (GRU)", "shape": "(H,)"} in numbers[
        "G4"
    ]["symbols"]
    assert len(json.loads(run("read", "--all", "--json").out)) == len(SUBJECTS)
    assert json.loads(run("read", "--json").out).keys() == SUBJECTS.keys()


def test_the_command_writes_a_page_whose_links_lead_to_the_files(tmp_path):
    ended = run("read", "rnn", "--out", tmp_path / "rnn.html")
    assert (ended.status, ended.out) == (0, "")
    (link,) = set(re.findall(r'href="([^"]*readable/rnn.py)#L22"', (tmp_path / "rnn.html").read_text()))
    assert (tmp_path / link).resolve() == PACKAGE / "readable" / "rnn.py"
    run("read", "rnn", "--out", tmp_path / "rnn.html", "--base", "https://example.org/tree/main")
    assert 'href="https://example.org/tree/main/minirnn/readable/rnn.py#L22"' in (tmp_path / "rnn.html").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["rnn.html"]


def test_the_command_opens_a_page_at_the_equation(monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run("read", "L10", "--open").status == 0
    assert run("read", "gru", "--open", "--out", tmp_path / "gru.html").status == 0
    assert opened[0].endswith("/lstm.html#L10")
    assert opened[1] == (tmp_path / "gru.html").as_uri()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ltsm"], "did you mean lstm?"),
        (["L99"], "expected an equation's number, or rnn, lstm"),
        (["lstm", "--all"], "leave out 'lstm', or --all"),
        (["lstm", "--json", "--open"], "leave out one of them"),
        (["--out", "x.html"], "name what the page shall show"),
        (["lstm", "--out", "x.txt"], "ends in .html or .md"),
        (["lstm", "--out", "missing/x.html"], "there is no folder missing"),
        (["lstm", "--out", "x.md", "--open"], "--open shows a page"),
        (["lstm", "--base", "x"], "give --out or --open too"),
    ],
)
def test_bad_options_are_one_line(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = run("read", *arguments)
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert said in ended.err
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- GitHub


def test_the_file_on_github_is_current(readings):
    made = text.markdown(list(readings.values()), "../")
    kept = (CLONE / "tutorials" / "EQUATIONS.md").read_text(encoding="utf-8")
    assert made == kept, f"tutorials/EQUATIONS.md is not current; make it anew: {text.REGENERATE}"


def test_the_file_on_github_is_made_of_whole_tables(readings):
    made = text.markdown(list(readings.values()), "../")
    for block in re.findall(r"(?:^\|.*\n)+", made, re.M):
        bars = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(bars) == 1, block[:200]
    headings = {text._slug(line.lstrip("# ")) for line in re.findall(r"^##? .*", made, re.M)}
    assert set(re.findall(r"\(#([^)]*)\)", made)) <= headings
    for file, line in set(re.findall(r"\]\(\.\./([^)#]*)#L(\d+)\)", made)):
        assert int(line) <= len((CLONE / file).read_text().splitlines())


# ---------------------------------------------------------------- a browser, where there is one

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
MEASURE = """<script>addEventListener("load", () => {
document.querySelector("#L3 .number")?.click();
setTimeout(() => {
  const box = e => { const r = e.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom].map(x => +x.toFixed(2)) };
  const all = (s, from = document) => [...from.querySelectorAll(s)];
  const width = document.documentElement.clientWidth;
  const look = e => getComputedStyle(e).backgroundColor;
  parent.postMessage({
    width: innerWidth,
    fits: document.documentElement.scrollWidth <= innerWidth,
    outside: all("body *").filter(e => { const r = e.getBoundingClientRect();
      return r.width && (r.right > width + 1 || r.left < -1) }).map(e => e.outerHTML.slice(0, 90)),
    spilling: all(".cell").filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.parentElement.id),
    rows: all(".row").map(r => [r.id, ...all(":scope > .cell", r).map(box)]),
    flat: all("math").filter(e => e.getBoundingClientRect().height < 5).length,
    maths: all("math").length,
    subs: all("msub").map(e => [box(e.children[0]), box(e.children[1])]),
    under: all("munder").map(e => [box(e.children[0]), box(e.children[1])]),
    marked: all(".at-L3").map(look),
    unmarked: all(".at-L6, .at-L12").map(look),
  }, "*");
}, 300)})</script>"""


def measured(folder: Path, whole: str, widths: tuple[int, ...]) -> dict[int, dict]:
    """What a browser finds on a page, by the width of its window."""
    held = html.escape(whole.replace("</body>", f"{MEASURE}</body>"))
    frames = "".join(f'<iframe style="width:{w}px;height:900px;border:0" srcdoc="{held}"></iframe>' for w in widths)
    listen = "addEventListener('message', e => { log.textContent += JSON.stringify(e.data) + '\\n' })"
    (folder / "all.html").write_text(
        f"<!DOCTYPE html><meta charset=utf-8><link rel=icon href='data:,'><pre id=log></pre><script>{listen}</script>{frames}",
        encoding="utf-8",
    )
    options = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --enable-logging=stderr --v=0 --virtual-time-budget=8000 "
        "--window-size=1500,1000 --dump-dom"
    )
    done = subprocess.run(
        [BROWSER, *options.split(), f"--user-data-dir={folder / 'profile'}", (folder / "all.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    log = re.search(r'<pre id="log">(.*?)</pre>', done.stdout, re.S)
    assert log, done.stderr[-500:]
    assert "CONSOLE" not in done.stderr
    found = [json.loads(line) for line in html.unescape(log.group(1)).split("\n")[:-1]]
    return {each["width"]: each for each in found}


if BROWSER:  # not a skip: a machine without a browser lacks nothing else

    @pytest.fixture(scope="module")
    def seen(readings, tmp_path_factory):
        return measured(tmp_path_factory.mktemp("lstm"), page([readings["lstm"]]), (1400, 900, 400))

    @pytest.mark.parametrize("width", [1400, 900])
    def test_three_columns_share_their_top(seen, width):
        rows = seen[width]["rows"]
        assert len(rows) == 23
        for _, *cells in rows:
            assert len(cells) == 3
            tops = [top for _, top, _, _ in cells]
            assert max(tops) - min(tops) < 0.6
            assert cells[0][2] <= cells[1][0]
            assert cells[1][2] <= cells[2][0]

    def test_columns_stack_on_a_phone(seen):
        for number, *cells in seen[400]["rows"]:
            for above, below in zip(cells, cells[1:]):
                assert above[3] <= below[1] + 0.6, number
                assert abs(above[0] - below[0]) < 0.6

    @pytest.mark.parametrize("width", [1400, 900, 400])
    def test_mathematics_is_laid_out_and_nothing_overflows(seen, width):
        found = seen[width]
        assert (found["fits"], found["outside"], found["spilling"], found["flat"]) == (True, [], [], 0)
        assert found["maths"] > 100
        assert len(found["subs"]) > 100
        for base, sub in found["subs"]:
            assert sub[3] > base[3]  # ends lower
            assert sub[0] >= base[2] - 4  # and stands to its right
        assert len(found["under"]) > 100
        for base, under in found["under"]:
            assert under[1] >= base[3] - 2

    def test_a_followed_number_marks_its_lines_in_both_halves(seen):
        marked, unmarked = seen[1400]["marked"], seen[1400]["unmarked"]
        assert len(marked) >= 4  # its row in both halves, and both listings
        assert set(marked) == {"rgb(255, 240, 184)"}
        assert not set(marked) & set(unmarked)

    def test_no_other_page_overflows(readings, tmp_path):
        found = measured(tmp_path, page(list(readings.values())), (1400, 400))
        for width in (1400, 400):
            assert (found[width]["fits"], found[width]["outside"], found[width]["spilling"]) == (True, [], []), width
