"""The reading page as people meet it: whole and closed, in a browser, from the command line, current on GitHub."""

import itertools
import json
import re
import webbrowser
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import BROWSER, frames
from commands import run

import minirnn
from minirnn.equations import EQUATIONS
from minirnn.learn.reading import text
from minirnn.learn.reading.latex import parse as parsed
from minirnn.learn.reading.mathml import parts
from minirnn.learn.reading.page import page
from minirnn.learn.reading.source import Sources
from minirnn.learn.reading.subjects import SUBJECTS, read

PACKAGE = Path(minirnn.__file__).parent
CLONE = PACKAGE.parent


@pytest.fixture(scope="module")
def readings():
    sources = Sources()
    return {name: read(name, sources) for name in SUBJECTS}


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

MEASURE = """<script>addEventListener("load", () => {
document.querySelector("#L3 .number")?.click();
setTimeout(() => {
  const box = e => {
    const r = e.getBoundingClientRect();
    return [r.left, r.top, r.right, r.bottom].map(x => +x.toFixed(2)) };
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
    found = [json.loads(line) for line in frames(folder, [whole], widths, MEASURE)]
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
            for above, below in itertools.pairwise(cells):
                assert above[3] <= below[1] + 0.6, number
                assert abs(above[0] - below[0]) < 0.6

    @pytest.mark.parametrize("width", [1400, 900, 400])
    def test_mathematics_is_laid_out_and_nothing_overflows(readings, seen, width):
        found = seen[width]
        assert (found["fits"], found["outside"], found["spilling"], found["flat"]) == (True, [], [], 0)
        whole = page([readings["lstm"]])
        assert found["maths"] == whole.count("<math>") > 100
        assert len(found["subs"]) == len(re.findall("<msub[ >]", whole)) > 50
        for base, sub in found["subs"]:
            assert sub[3] > base[3]  # ends lower
            assert sub[0] >= base[2] - 4  # and stands to its right
        assert len(found["under"]) == whole.count('class="shape"') > 50
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
