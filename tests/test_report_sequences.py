"""Pages, pieces and figures of models of sequences: closed HTML, every text escaped, small, true to what was given."""

import html
import re
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser import BROWSER
from hypothesis import given, settings
from hypothesis import strategies as st
from test_report import ODD, Page, measured, paths, points

from minirnn.inspect import figures_sequences as figures
from minirnn.inspect.figures import save_figure
from minirnn.inspect.report.closing import loss_curve
from minirnn.inspect.report.matrices import CLASSES, attention_map, confusion
from minirnn.inspect.report.scores import models_table, score_table
from minirnn.inspect.report.sequences import report_html
from minirnn.inspect.report.symbols import upright, visible
from minirnn.inspect.report.texts import coloured_text, tagged_text

HISTORY = types.SimpleNamespace(loss=[[3.0], [2.0]], validation=[[4.0], [2.5], [2.6]], best=[1])
SCORES = pd.DataFrame(
    {"precision": [0.5, 0.25, 0.375], "recall": [1.0, 0.12345, 0.5], "f1": [0.6, 0.2, 0.4], "support": [1234, 5, 1239]},
    index=["sun", "rain", "macro average"],
)


def whole(label="sun", words="a text", note="A note."):
    """A page that holds every piece, with texts of the caller's."""
    models = pd.DataFrame({"log loss": [0.8, 0.9], "F1": [0.5, 0.6]}, index=[label, "majority"])
    chapters = [
        ("scores", label, score_table(SCORES, first="class", label=label) + models_table(models, own=label)),
        ("confusion", "Confused", confusion(np.array([[3, 1], [0, 2]]), [label, "rain"])),
        ("attention", "Attention", attention_map(np.eye(2), [label, " "], ["a", label], caption=note)),
        ("unit", "Units", coloured_text(words, np.linspace(-1, 1, len(words)), label)),
        ("tags", "Tags", tagged_text([words, "b"], [(0, 1, label)], [(0, 2, "other")], caption=note)),
        ("gaps", "Between", tagged_text(["a", words, "b", words], [(0, 1, label), (2, 3, label)])),
        ("empty", "Never seen", ""),
    ]
    return report_html(
        label,
        note,
        [("Accuracy", "71 %", note)],
        chapters,
        about=words,
        model={"cell": "lstm", "seed": 3, "version": "9.9", "name": label},
        history=HISTORY,
        unit=note,
        data=[("Source", label)],
        notes=[note],
        command=f"minirnn classify {words}",
    )


def test_the_page_is_closed_and_refers_to_nothing_outside():
    page = whole()
    assert page == whole()  # no date, no chance
    read = Page(page)
    assert not {tag for tag, _ in read.tags} & {"script", "iframe", "object", "embed", "img", "base", "form"}
    identities = [a["id"] for _, a in read.tags if "id" in a]
    assert identities == ["scores", "confusion", "attention", "unit", "tags", "gaps", "model", "data", "repeat"]
    assert [a["href"][1:] for tag, a in read.tags if tag == "a"] == identities
    for _, attributes in read.tags:
        assert not any(key.startswith("on") or key in ("src", "srcset", "action") for key in attributes)
        if attributes.get("role") in ("img", "region"):
            assert attributes["aria-label"]
    assert not re.search(r"https?:|//|@import|url\(", page.replace("</", ""))
    assert "Never seen" not in page
    told = read.text.replace("\u00a0", " ")
    for words in (
        "71 %",
        "A note.",
        "minirnn classify a text",
        "Seed3",
        "cell",
        "lstm",
        "Loss by epoch",
        "minirnn 9.9",
    ):
        assert words in told


HOSTILE = (*ODD[:-1], "\u05d0\u05d1 \u202d", "\r\n\t\x0b", "'; --", "]]>", "<!--")


@settings(max_examples=25, deadline=None)
@given(*[st.one_of(st.sampled_from(HOSTILE), st.text(min_size=1, max_size=30))] * 3)
def test_no_text_changes_the_page(label, words, note):
    page = whole(label, words, note)
    page.encode("utf-8")
    read = Page(page)
    # How many runs of colour a text has depends on its length and lines; all else is the same.
    kept = [[t for t in each.structure if t not in ("i", "mark", "u")] for each in (read, Page(whole()))]
    assert kept[0] == kept[1]
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", page)
    for odd in ODD[:2]:
        if odd in (label, words, note):
            assert odd not in page


def cells(drawn: str) -> list[str]:
    return re.findall(r"<td[^>]*>(.*?)</td>", drawn)


def test_a_confusion_matrix_holds_its_counts_and_shades_by_row():
    drawn = confusion(np.array([[1234, 0], [1, 3]]), ["a", "b"])
    assert cells(drawn) == ["<b>1,234</b>", "0", "1,234", "1", "<b>3</b>", "4"]
    assert re.findall(r'<td class="(\w+)(?: s(\d+))?', drawn) == [
        ("hit", "10"), ("none", ""), ("all", ""), ("miss", "5"), ("hit", "9"), ("all", "")
    ]  # fmt: skip
    with pytest.raises(ValueError, match="3 labels need a square matrix"):
        confusion(np.eye(2), list("abc"))


def test_of_many_classes_the_most_confused_pairs_are_listed():
    C = CLASSES + 1
    matrix = 10 * np.eye(C, dtype=int)
    names = [f"c{k}" for k in range(C)]
    assert "No class was taken for another one." in confusion(matrix, names)
    matrix[4, 7], matrix[7, 4] = 30, 5
    drawn = confusion(matrix, names)
    assert re.findall(r'<th scope="row">(.*?)</th>', drawn) == [
        "<bdi>c4</bdi> → <bdi>c7</bdi>",
        "<bdi>c7</bdi> → <bdi>c4</bdi>",
    ]
    assert cells(drawn) == ["30", "75.0\u00a0%", "5", "33.3\u00a0%"]
    assert "41 classes" in drawn


def test_an_attention_map_shows_blanks_and_where_each_symbol_looked():
    weights = np.array([[0.1, 0.8, np.nan], [0.0, 0.2, 0.4]])
    drawn = attention_map(weights, ["a", " ", "\n"], ["x", ""])
    assert re.findall(r"<td(?: class=\"s(\d+)\")?></td>", drawn) == ["1", "10", "", "", "2", "5"]
    assert re.findall(r"<bdi>(.*?)</bdi>", drawn) == ["a", "␣", "⏎", "x", "∅"]
    assert "x from ␣; ∅ from ⏎." in drawn
    assert "0.80" in drawn  # where the scale ends
    with pytest.raises(ValueError, match=r"need weights \(1, 3\), got \(2, 3\)"):
        attention_map(weights, list("abc"), ["x"])
    Page(attention_map(np.zeros((0, 0)), [], []))
    assert "the first 80 of 300 symbols" in attention_map(np.ones((2, 300)), "a" * 300, "bc")


def inside(drawn: str) -> str:
    """What a browser shows in the <pre>: its first newline is dropped."""
    held = re.search(r"<pre[^>]*>(.*)</pre>", drawn, re.S).group(1)
    return html.unescape(re.sub(r"<small>.*?</small>|<[^>]*>", "", held)).removeprefix("\n")


@settings(max_examples=50, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf"], include_characters="\n\t<>&\"'"), max_size=60),
    st.data(),
)
def test_coloured_texts_keep_every_character(words, data):
    activity = np.array(data.draw(st.lists(st.floats(-1, 1), min_size=len(words), max_size=len(words))))
    drawn = coloured_text(words, activity, "unit 1")
    Page(drawn)
    assert inside(drawn) == words
    assert inside(tagged_text(words, [(0, len(words), "X")] if words else [])) == words


def test_colours_follow_the_activity_and_equal_ones_are_merged():
    drawn = coloured_text("ab\ncd ef", np.array([0.61, 0.59, -1, 0.58, -0.05, np.nan, -7, -0.99]), "u")
    assert '<pre class="activity" dir="ltr" tabindex="0">\n<i class="p3">ab\nc</i>d <i class="n5">ef</i></pre>' in drawn
    with pytest.raises(ValueError, match="2 characters need as many activities"):
        coloured_text("ab", np.zeros(3), "u")
    wave = np.sin(np.arange(5000) / 5)
    assert len(coloured_text("x" * 5000, wave, "u")) < 60_000


def test_right_wrong_and_missed_spans_are_told_apart_without_colour():
    text = "aa bb cc dd ee"
    predicted = [(0, 2, "A"), (3, 5, "B"), (6, 8, "A"), (12, 14, "A")]
    drawn = tagged_text(text, predicted, [(0, 2, "A"), (3, 5, "A"), (6, 7, "A"), (9, 11, "B")])
    body = re.search(r"<pre.*</pre>", drawn, re.S).group()
    assert inside(drawn) == text
    assert '<mark class="t1">aa</mark> <span class="wrong"><mark class="t2"><u>bb</u></mark><small>' in body
    assert '<span class="wrong"><mark class="t1"><u>c</u></mark><mark class="t1">c</mark><small>' in body
    assert '<span class="wrong"><u>dd</u><small>' in body
    assert '<span class="wrong"><mark class="t1">ee</mark><small>' in body
    assert re.findall(r"<small>(.*?)</small>", re.sub("</?bdi>", "", body)) == [
        "✗ B, is A", "✗ ends of A", "missed B", "✗ A"
    ]  # fmt: skip
    assert "3 wrong, 3 missed" in drawn
    unknown = tagged_text(text, predicted)
    assert "wrong" not in unknown
    assert unknown.count("<mark") == len(predicted) + 2  # and two of the legend


def test_spans_of_tokens_are_joined_and_named():
    drawn = tagged_text(["New", "York", "is", "big"], [(0, 2, "LOC")], names=True)
    assert '<mark class="t1">New York<small><bdi>LOC</bdi></small></mark> is big' in drawn
    assert inside(drawn) == "New York is big"


@pytest.mark.parametrize("spans", [[(0, 0, "A")], [(0, 9, "A")], [(-1, 2, "A")], [(0, 2, "A"), (1, 3, "B")]])
def test_impossible_spans_are_named(spans):
    with pytest.raises(ValueError, match=r"the span .* lies outside of the 4 places"):
        tagged_text("abcd", spans)


def test_marks_stand_for_what_is_not_seen():
    assert [visible(c) for c in (" ", "\t", "\u200f", "\u0301", "ab")] == ["␣", "⇥", "U+200F", "◌\u0301", "ab"]
    assert upright("a\u202eb\u2066c") == "a\ufffdb\ufffdc"


def test_scores_have_three_digits_and_whole_supports():
    drawn = score_table(SCORES, first="class", label="Scores")
    assert cells(drawn)[:8] == ["0.500", "1.000", "0.600", "1,234", "0.250", "0.123", "0.200", "5"]
    assert re.search(r'<tr class="own"><th scope="row"><bdi>macro average</bdi>', drawn)


def test_the_best_of_each_column_is_bold():
    frame = pd.DataFrame({"loss": [0.8, 0.9, np.nan], "F1": [0.5, 0.6, 0.6]}, index=["own", "a", "b"])
    drawn = models_table(frame, own="own", less=["loss"])
    assert cells(drawn) == [
        "<strong>0.800</strong>", "0.500", "0.900", "<strong>0.600</strong>", "–", "<strong>0.600</strong>"
    ]  # fmt: skip
    assert "loss</bdi> ↓" in drawn
    assert "F1</bdi> ↑" in drawn


def test_the_curve_has_the_unit_and_one_number_an_epoch_will_do():
    many = loss_curve(HISTORY, "bits per character")
    flat = types.SimpleNamespace(loss=[3.0, 2.0], validation=[4.0, 2.5, 2.6], best=1)
    assert loss_curve(flat, "bits per character") == many
    assert '<p class="label">bits per character</p>' in many
    (path,) = paths(many, "line network")
    assert [x for x, _ in points(path)[0]] == pytest.approx([10, 500, 990], abs=5)
    assert loss_curve(None, "x") == ""


# ---------------------------------------------------------------- figures


def texts_of(axes) -> list[str]:
    return [each.get_text() for each in axes.texts]


def test_figures_hold_their_numbers_and_labels(tmp_path):
    drawn = figures.confusion_figure(np.array([[3, 0], [1, 1000]]), ["$a$", "<b>"])
    axes = drawn.axes[0]
    assert texts_of(axes) == ["3", "1", "1,000"]
    assert [axes.get_xlabel(), axes.get_ylabel()] == ["predicted class", "true class"]
    assert axes.images[0].get_array()[1].tolist() == pytest.approx([100 / 1001, 100_000 / 1001])
    save_figure(drawn, tmp_path / "a.png", dpi=50)
    save_figure(figures.confusion_figure(np.array([[3, 0], [1, 1000]]), ["$a$", "<b>"]), tmp_path / "b.png", dpi=50)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()

    maps = [(np.array([[0.2, np.nan]]), ["a", " "], ["x"]), (np.full((2, 3), 0.5), list("abc"), ["\n", "$"])]
    drawn = figures.attention_figures(maps)
    assert [label.get_text() for label in drawn.axes[0].get_xticklabels()] == ["a", "␣"]
    assert [label.get_text() for label in drawn.axes[1].get_yticklabels()] == ["⏎", "$"]
    assert drawn.axes[0].images[0].get_clim() == drawn.axes[1].images[0].get_clim() == (0, 0.5)
    save_figure(drawn, tmp_path / "c.png", dpi=50)

    words, activity = "ab\tc\nlonger $x$", np.linspace(-1, 1, 15)
    drawn = figures.activity_figure(words, {"unit 1": activity, "$2": -activity}, width=6)
    first, second = drawn.axes[:2]
    assert "".join(texts_of(first)) == "ab⇥clonger$x$"
    values = first.images[0].get_array()
    assert values.shape == (3, 6)
    assert values[1, :6].tolist() == activity[5:11].tolist()  # the second line begins after the newline
    assert np.ma.allequal(second.images[0].get_array(), -values)
    assert [first.get_title(loc="left"), second.get_title(loc="left")] == ["unit 1", "$2"]
    save_figure(drawn, tmp_path / "d.png", dpi=50)


def test_figures_name_what_does_not_fit():
    with pytest.raises(ValueError, match="3 labels"):
        figures.confusion_figure(np.eye(2), list("abc"))
    with pytest.raises(ValueError, match=r"need weights \(1, 3\)"):
        figures.attention_figure(np.ones((2, 3)), list("abc"), ["x"])
    with pytest.raises(ValueError, match="unit 1: 2 characters"):
        figures.activity_figure("ab", {"unit 1": np.ones(3)})


# ---------------------------------------------------------------- a browser, where there is one

if BROWSER:  # not a skip: a machine without a browser lacks nothing else

    def test_nothing_overflows_in_a_browser(tmp_path: Path):
        rng = np.random.default_rng(0)
        words = f"{'x' * 300} two words{' ' * 200}end\n\t" * 5
        page = report_html(
            "t" * 200,
            "s" * 300,
            [("n" * 50, "v" * 50, "w" * 50)],
            [
                ("a", "h" * 80, confusion(rng.integers(0, 5000, (30, 30)), [f"{'c' * 60}{k}" for k in range(30)])),
                ("b", "b", attention_map(rng.random((70, 70)), ["s" * 40] * 70, list("t" * 70))),
                ("c", "c", coloured_text(words, rng.uniform(-1, 1, len(words)), "u" * 90)),
                ("d", "d", tagged_text(words, [(0, 200, "T" * 90)], [(0, 100, "T" * 90)], caption="y" * 99)),
                ("e", "e", score_table(SCORES.rename(index={"sun": "z" * 90}), first="class", label="s")),
            ],
            model={"p" * 60: "q" * 90},
            history=HISTORY,
            notes=["n" * 300],
            command="c" * 300,
        )
        assert measured(tmp_path, [page], (320, 400, 1400)) == sorted(f'[{w},true,""]' for w in (320, 400, 1400))
