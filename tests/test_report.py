"""The report: whole and closed HTML, nothing from outside, every name escaped, bounded in size, true to its numbers."""

import dataclasses
import itertools
import re
import types
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser import BROWSER, frames
from hypothesis import given, settings
from hypothesis import strategies as st

import minirnn
from minirnn.inspect.report import charts, markup, report_html
from minirnn.inspect.report.charts import Band, Line, chart
from minirnn.inspect.report.subject import Subject, binomial_range
from minirnn.models import metrics
from minirnn.models.backtest import Backtest

QUANTILES = {0.025: -2.0, 0.1: -1.3, 0.25: -0.7, 0.5: 0.0, 0.75: 0.7, 0.9: 1.3, 0.975: 2.0}


def parts_of(targets=("load",), names=("",), rows=90, horizon=5, origins=40, frequency="D", adds=0.1, **changes):
    """What a report is made of, with numbers that are drawn: a network, and two other forecasts."""
    rng = np.random.default_rng(0)
    K, C = len(names), len(targets)
    if frequency is None:
        index = pd.RangeIndex(rows)
    else:
        index = pd.date_range("2020-01-01", periods=rows, freq=frequency, name="day")
    frames = []
    for name in names:
        frame = pd.DataFrame({t: 50 + rng.standard_normal(rows).cumsum() for t in targets}, index=index)
        frame.iloc[3, 0] = np.nan
        frames.append(frame.assign(where=name) if K > 1 else frame)
    if frequency is None:
        table = minirnn.data.prepare(frames[0].to_numpy())
        targets = table.roles.target
    else:
        table = minirnn.data.prepare(pd.concat(frames), list(targets), series="where" if K > 1 else None)
    n = K * origins
    actual = 50 + rng.standard_normal((n, horizon, C))
    wrong = rng.standard_normal(actual.shape)
    times = index.to_numpy()[rows - horizon - origins : rows - horizon]
    backtest = Backtest(
        network="gru",
        targets=tuple(targets),
        units={targets[0]: "MW"},
        names=tuple(names),
        horizon=horizon,
        frequency=table.frequency,
        season=7,
        series=np.repeat(np.arange(K), origins),
        origins=np.tile(times, K),
        actual=actual,
        counts=rng.random(actual.shape) > 0.05,
        forecasts={"gru": actual + 0.5 * wrong, "linear": actual + 0.6 * wrong, "mean": actual + 9.0},
        quantiles={level: actual + 0.5 * wrong + 0.5 * z for level, z in QUANTILES.items()},
        mase_scale=np.ones((K, C)),
        rmsse_scale=np.ones((K, C)),
        splits={
            part: {"start": "2020-01-01", "end": "2020-01-31", "rows": 31, "observed": 30}
            for part in ("train", "validation", "test")
        },
        model={"cell": "gru", "hidden_size": 32, "seed": 3, "backend": "fast", "network_share": 0.5, "version": "9.9"},
        notes=("A note.",),
        members=np.stack([actual + 0.4 * wrong, actual + 0.6 * wrong]),
        without=actual + 0.5 * wrong * (1 + adds),
    )
    ahead = index.to_numpy()[-1] + (index[1] - index[0]) * np.arange(1, horizon + 1)
    mean = np.tile(50 + np.arange(horizon) / 10, K * C)
    forecast = pd.DataFrame({"mean": mean}, index=np.tile(ahead, K * C))
    if C > 1:
        forecast.insert(0, "target", np.tile(np.repeat(np.array(targets, object), horizon), K))
    if K > 1:
        forecast.insert(0, "series", np.repeat(np.array(names, object), horizon * C))
    for level, half in ((80, 1.3), (95, 2.0)):
        forecast[f"lower_{level}"], forecast[f"upper_{level}"] = mean - half, mean + half
    history = types.SimpleNamespace(
        loss=[[1.0, 1.1], [0.8, 0.9]], validation=[[1, 1], [0.9, 1.0], [0.95, 0.8]], best=[1, 2]
    )
    given = {"table": table, "backtest": backtest, "forecast": forecast, "history": history, "source": "load.csv"}
    return {**given, "command": "minirnn forecast load.csv --seed 3", **changes}


class Page(HTMLParser):
    """Reads a page as strictly as it was written: every tag closed, in order."""

    VOID = frozenset({"meta", "link", "br", "path"})  # path: closed by its own slash

    def __init__(self, page: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        assert len({key for key, _ in attributes}) == len(attributes)
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert tag == "path"
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    @property
    def structure(self) -> list[str]:
        return [tag for tag, _ in self.tags]


EXPLANATION = types.SimpleNamespace(
    target="load",
    unit="MW",
    series="",
    horizon=5,
    share=0.5,
    history=np.arange(9.0),
    forecast=np.arange(5.0),
    permutation=pd.DataFrame({"increase": [0.5, -0.1], "spread": [0.1, 0.1]}, index=["load", "<i>wind</i>"]),
    gate_table=pd.DataFrame(
        {"layer": ["layer 1"] * 2, "gate": ["reset", "update"], "mean": [0.41, 0.6], "below_0.1": 0.0, "above_0.9": 0.2}
    ),
    attributions=pd.DataFrame(np.ones((9, 2)), index=pd.date_range("2020-01-01", periods=9), columns=["load", "wind"]),
    neighbours=pd.DataFrame(
        {"series": "", "from": pd.Timestamp("2019-01-01"), "to": pd.Timestamp("2019-02-01"), "distance": [0.5, 0.7]}
        | {step: [1.0, np.nan] for step in range(-8, 6)}
    ),
    sentences={
        "attributions": "It rests on the load.",
        "importance": "The load matters <most>.",
        "gates": "They are half open.",
        "neighbours": "It was like this.",
    },
    completeness="The gap is 0.1 %.",
)
KINDS = {
    "one": {},
    "explained": {"explanation": EXPLANATION},
    "targets": {"targets": ("load", "wind")},
    "series": {"names": tuple(f"s{k}" for k in range(7))},
    "both": {"targets": ("load", "wind"), "names": tuple(f"s{k}" for k in range(7))},
    "one step": {"horizon": 1},
    "counted rows": {"frequency": None},
    "hours": {"frequency": "h", "horizon": 24},
    "months": {"frequency": "MS"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_is_closed_and_refers_to_nothing_outside(kind):
    given = parts_of(**KINDS[kind])
    page = report_html(**given)
    assert page == report_html(**given)  # no date, no chance
    read = Page(page)
    tags = {tag for tag, _ in read.tags}
    assert not tags & {"script", "iframe", "object", "embed", "img", "base", "form"}
    identities = [a["id"] for _, a in read.tags if "id" in a]
    assert len(set(identities)) == len(identities)
    for tag, attributes in read.tags:
        assert not any(key.startswith("on") or key in ("src", "srcset", "action") for key in attributes), attributes
        if "href" in attributes:
            assert attributes["href"] == "data:," or attributes["href"][1:] in identities
        if attributes.get("role") == "img":
            assert attributes["aria-label"]
        if tag == "html":
            assert attributes["lang"] == "en"
    assert not re.search(r"https?:|//|@import|url\(", page.replace("</", ""))
    ranks = [int(tag[1]) for tag, _ in read.tags if re.fullmatch("h[1-6]", tag)]
    assert ranks[0] == 1
    assert ranks.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(ranks))
    assert "nan" not in page.lower().split("<main>")[1]


ODD = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='a()'>",
    "a & b",
    "\u202eevil\u2066",
    "x" * 5000,
    "</style><b>",
    "\x00\ud800",
    "&amp;",
    "",
)
SMALL = {"targets": ("a", "b"), "names": ("s", "t"), "origins": 8, "rows": 30, "horizon": 2}


def renamed(target, series, more):
    """The report of two targets and series that are called so."""
    other = f"{target}2"
    given = parts_of(**SMALL)
    table, backtest = given["table"], given["backtest"]
    roles = dataclasses.replace(table.roles, target=(target, other))
    names = (series, f"{series}2")
    given["table"] = dataclasses.replace(
        table,
        columns=(target, other),
        roles=roles,
        names=names,
        title=more or "x",
        date_column=more or "d",
        notes=(more or "n",),
    )
    given["backtest"] = dataclasses.replace(
        backtest, targets=(target, other), names=names, units={target: more, other: more}, notes=()
    )
    frame = given["forecast"].copy()
    frame["series"] = np.where(frame["series"] == "s", names[0], names[1])
    frame["target"] = np.where(frame["target"] == "a", target, other)
    return report_html(**{**given, "forecast": frame, "source": more or "x", "command": more or "x"})


@settings(max_examples=25, deadline=None)
@given(*[st.one_of(st.sampled_from(ODD), st.text(max_size=40))] * 3)
def test_no_name_changes_the_page(target, series, more):
    page = renamed(target or "x", series or "x", more)
    page.encode("utf-8")
    read = Page(page)
    assert read.structure == Page(renamed("a", "s", "x")).structure
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", page)
    for odd in ODD[:2]:
        if odd in (target, series, more):
            assert odd not in page
    shown = markup.shortened(target, 40)
    assert shown in read.text or " " in shown


def test_thousands_of_series_and_rows_make_a_small_page():
    many = parts_of(
        names=tuple(f"series {k} {'x' * 200}" for k in range(400)), targets=("a", "b", "c"), origins=5, rows=40
    )
    assert len(report_html(**many)) < 200_000
    long = parts_of(rows=6000, horizon=400, origins=5000)
    page = report_html(**long)
    assert len(page) < 400_000
    assert Page(page).structure.count("figure") < 12


def test_the_figures_are_those_of_the_backtest():
    given = parts_of()
    backtest = given["backtest"]
    text = Page(report_html(**given)).text.replace("\u00a0", " ")
    assert backtest.sentence in text
    lower, upper = backtest.quantiles[0.1], backtest.quantiles[0.9]
    covered = 100 * metrics.coverage(backtest.actual, lower, upper, backtest.counts)
    assert f"The 80 % interval held {covered:.1f} % of the test values" in text
    assert f"{metrics.width(lower, upper, backtest.counts):.3f}" in text
    row = re.search(r"<tr class=\"own\">(.*?)</tr>", report_html(**given)).group(1)
    own, other = (backtest.test[name] for name in ("gru", "linear"))
    assert row.count("<strong>") == sum(own[metric] <= other[metric] for metric in other)
    assert f"{own['MAE']:.4f}" in row
    for value in given["forecast"]["mean"]:
        assert f"{value:.2f}" in text
    assert "minirnn forecast load.csv --seed 3" in text


@pytest.mark.parametrize(
    ("adds", "says"),
    [
        (0.25, "lowers the error by 20.0 %"),
        (-0.2, "raises the error by 25.0 %"),
        (0.0, "adds nothing here"),
        (1e-12, "adds nothing here"),
        (1e-4, "hardly changes the error"),
    ],
)
def test_what_the_network_adds(adds, says):
    given = parts_of(adds=adds)
    text = Page(report_html(**given)).text.replace("\u00a0", " ")
    assert says in text
    if abs(adds) > 1e-9:
        backtest = given["backtest"]
        bare = metrics.mae(backtest.actual, backtest.without, backtest.counts)
        assert f"with it, {bare:.4f} without" in text
    assert ("It is the mean of 2 members" in text) == (abs(adds) > 1e-9)


def test_the_explanation_has_its_sentences():
    text = Page(report_html(**parts_of(explanation=EXPLANATION))).text.replace("\u00a0", " ")
    assert all(sentence in text for sentence in EXPLANATION.sentences.values())
    assert "The gap is 0.1 %." in text
    assert "layer 1: reset41.0 %" in text
    without = types.SimpleNamespace(**{**vars(EXPLANATION), "share": 0.0, "neighbours": None})
    text = Page(report_html(**parts_of(explanation=without))).text
    assert "They are half open." in text
    assert "layer 1" not in text


def test_best_and_worst_series_are_chosen():
    given = parts_of(names=tuple("abcdefgh"))
    backtest = given["backtest"]
    for k, factor in enumerate((1, 3, 0.1, 5, 1, 0.2, 1, 1)):
        chosen = backtest.series == k
        difference = backtest.forecasts["gru"][chosen] - backtest.actual[chosen]
        backtest.forecasts["gru"][chosen] = backtest.actual[chosen] + factor * difference
    subject = Subject(given["table"], backtest, given["forecast"])
    assert [backtest.names[pair.series] for _, pair in subject.chosen] == ["c", "f", "d", "b"]
    assert subject.chosen[0][0] == "best forecast"
    assert subject.chosen[3][0] == "worst but one"
    expected = backtest.by_series.loc["gru", "d"]
    assert subject.chosen[2][1].error == pytest.approx(expected)


def test_points_are_counted_once_in_the_expected_range():
    given = parts_of(origins=10, horizon=3)
    given["backtest"].counts[:] = True
    assert Subject(given["table"], given["backtest"], given["forecast"]).truths == 12  # 10 origins, 3 ahead
    given = parts_of(origins=10, horizon=3, names=("a", "b"), targets=("u", "v"))
    given["backtest"].counts[:] = True
    assert Subject(given["table"], given["backtest"], given["forecast"]).truths == 4 * 12


@pytest.mark.parametrize(("count", "share"), [(1, 0.8), (37, 0.95), (365, 0.8), (5000, 0.95), (50_000, 0.5)])
def test_binomial_range(count, share):
    from scipy.stats import binom

    expected = binom.ppf((0.025, 0.975), count, share) / count
    assert binomial_range(count, share) == pytest.approx(tuple(expected), abs=1e-12 if count < 6000 else 1 / count)


# ---------------------------------------------------------------- charts


def paths(drawn: str, look: str) -> list[str]:
    return re.findall(rf'<path class="{look}" d="([^"]*)"', drawn)


def points(path: str) -> list[list[tuple[float, float]]]:
    """The pieces of a path, each a list of points."""
    return [[tuple(map(float, p.split())) for p in piece.replace("h0", "").split("L")] for piece in path.split("M")[1:]]


def test_lines_stand_where_their_numbers_are():
    x, y = np.arange(5), np.array([0.0, 10.0, np.nan, 5.0, 2.5])
    (path,) = paths(chart([Line("a", x, y, "network")], alt="."), "line network")
    first, second = points(path)
    assert [len(first), len(second)] == [2, 2]  # the gap stays a gap
    assert [p[0] for p in first + second] == [0, 250, 750, 1000]
    heights = np.array([p[1] for p in first + second])
    assert np.ptp((heights - 1000) + 1000 / 11 * np.array([0, 10, 5, 2.5])) < 0.2  # 5 % above and below


def test_bands_run_there_and_back():
    x = np.array(["2020-01-01", "2020-01-03"], "datetime64[D]")
    (path,) = paths(chart([], [Band("b", x, np.array([1, 2]), np.array([3, 4]), "level0")], alt="."), "band level0")
    (piece,) = points(path.rstrip("Z"))
    assert [p[0] for p in piece] == [0, 1000, 1000, 0]
    assert piece[0][1] < piece[3][1]
    assert piece[1][1] < piece[2][1]


@pytest.mark.parametrize("y", [[], [np.nan] * 3, [7.0] * 3, [0.0] * 3, [1e300, -1e300, 1e308], [1e-12, 2e-12, 0]])
def test_odd_numbers_draw_a_chart(y):
    drawn = chart([Line("a", np.arange(len(y)), np.array(y), "network")], alt=".", zero=True)
    assert "nan" not in drawn
    assert "inf" not in drawn
    Page(drawn)


def test_long_lines_are_thinned_and_keep_their_extremes():
    rng = np.random.default_rng(0)
    y = rng.standard_normal(100_000)
    y[777], y[55_555] = 50, -50
    (path,) = paths(chart([Line("a", np.arange(len(y)), y, "network")], alt="."), "line network")
    drawn = np.array(points(path)[0])
    assert len(drawn) <= 2 * charts.MOST
    low, high = drawn[drawn[:, 1].argmax()], drawn[drawn[:, 1].argmin()]
    assert (high[0], low[0]) == pytest.approx((7.8, 555.6), abs=0.1)


def test_names_at_the_ends_do_not_cover_each_other():
    lines = [Line(f"n{k}", np.arange(3), np.full(3, 1 + k / 1000), "thin other1") for k in range(9)]
    drawn = chart([*lines, Line("far", np.arange(3), np.full(3, 99.0), "best")], alt=".", direct=True, limit=2.0)
    tops = [int(top) for top in re.findall(r'class="end" style="top:(-?\d+)px"', drawn)]
    assert len(tops) == 10
    assert min(np.diff(sorted(tops))) >= charts.LINE - 1
    assert min(tops) >= 0
    assert max(tops) <= charts.HEIGHT
    assert "far ↑" in drawn
    assert "far (off the scale)" in drawn


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.7, 12.4), (1e-9, 3e-9), (1e9, 1.0001e9), (0, 0.3)])
def test_ticks_are_round_and_inside(low, high):
    ticks = charts.nice(low, high, 5)
    assert 2 <= len(ticks) <= 6
    assert all(low - 1e-9 * abs(low) <= tick <= high * (1 + 1e-9) for tick in ticks)
    assert np.ptp(np.diff(ticks)) <= 1e-6 * (high - low)


@pytest.mark.parametrize("days", [0.0005, 0.02, 0.4, 1.5, 9, 45, 200, 900, 5000, 40_000])
def test_times_get_a_few_ticks_with_different_names(days):
    start = np.datetime64("2015-11-06T03:07").astype("datetime64[us]").astype(int) / 1e6
    ticks = charts.time_ticks(start, start + 86400 * days)
    inside = [label for at, label in ticks if start <= at <= start + 86400 * days]
    assert 2 <= len(inside) <= 9
    assert len(set(inside)) == len(inside)


def test_days_name_their_year_once():
    start = np.datetime64("2015-12-29").astype("datetime64[us]").astype(int) / 1e6
    labels = [label for _, label in charts.time_ticks(start, start + 86400 * 5)]
    assert labels == ["29 Dec 2015", "30 Dec", "31 Dec", "1 Jan 2016", "2 Jan", "3 Jan"]


# ---------------------------------------------------------------- a browser, where there is one

MEASURE = """<script>addEventListener("load", () => {
const width = document.documentElement.clientWidth, out = [];
for (const e of document.querySelectorAll("body *")) {
  const r = e.getBoundingClientRect();
  const outside = r.width && (r.right > width + 1 || r.left < -1) && !e.closest(".scroll, svg");
  if (outside) out.push(e.tagName + "." + e.className);
}
parent.postMessage([innerWidth, document.documentElement.scrollWidth <= innerWidth, out.join(" ")], "*");
})</script>"""


def measured(folder: Path, pages: list[str], widths: tuple[int, ...]) -> list[str]:
    """What a browser finds on each page at each width: the width, whether the page fits, elements outside of it."""
    return sorted(frames(folder, pages, widths, MEASURE))


if BROWSER:  # not a skip: a machine without a browser lacks nothing else

    def test_nothing_overflows_in_a_browser(tmp_path: Path):
        pages = [
            report_html(**parts_of(targets=("load" * 50,), names=names, explanation=EXPLANATION))
            for names in (("",), ("s" * 300, "two words " * 30))
        ]
        assert measured(tmp_path, pages, (400, 1400)) == sorted(2 * ['[400,true,""]', '[1400,true,""]'])
