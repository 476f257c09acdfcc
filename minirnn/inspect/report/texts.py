"""Texts for the reports of sequence models: coloured by what a unit does, and with their spans marked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise

import numpy as np

from minirnn.inspect.report.markup import name, text
from minirnn.inspect.report.symbols import upright

STEPS = 5  # of colour on each side of nought
LOOKS = 8  # of types, in turn

Span = tuple[int, int, str]


def coloured_text(letters: str, activity: np.ndarray, unit: str) -> str:
    """A text whose characters are coloured by the activity of a unit: blue below nought, orange above it.

    Args:
      letters: n characters; newlines and tabs are kept.
      activity: (n,) in [-1, 1]; NaN is not coloured.
      unit: what is shown, such as "unit 17: inside quotes"; plain.
    """
    activity = np.asarray(activity, float)
    if activity.shape != (len(letters),):
        raise ValueError(f"coloured_text: {len(letters)} characters need as many activities, got {activity.shape}")
    levels = np.rint(STEPS * np.clip(np.nan_to_num(activity, nan=0.0), -1, 1)).astype(int)
    before = 0
    for place, c in enumerate(letters):  # the end of a line shows no colour: it breaks no run
        if c == "\n":
            levels[place] = before
        before = levels[place]
    shown, runs, start = upright(letters), [], 0
    for level, group in groupby(levels.tolist()):
        stop = start + sum(1 for _ in group)
        run = text(shown[start:stop])
        runs.append(f'<i class="{"n" if level < 0 else "p"}{abs(level)}">{run}</i>' if level else run)
        start = stop
    scale = "".join(f'<i class="{"n" if k < 0 else "p"}{abs(k)}">&#160;</i>' for k in range(-STEPS, STEPS + 1))
    return (
        f'<figure class="letters">\n<figcaption>{name(unit, 200)}</figcaption>\n'
        f'<p class="key" aria-hidden="true">−1 <span class="activity">{scale}</span> +1</p>\n'
        # A parser drops the first newline of <pre>, so that it gets one to drop.
        f'<pre class="activity" dir="ltr" tabindex="0">\n{"".join(runs)}</pre>\n</figure>'
    )


def tagged_text(
    letters: str | Sequence[str],
    predicted: Iterable[Span],
    true: Iterable[Span] | None = None,
    *,
    caption: str = "",
    names: bool = False,
) -> str:
    """A text with its predicted spans marked by type; wrong and missed ones are framed, and say what they are.

    Args:
      letters: a text, whose spans count characters; or tokens, whose spans count tokens.
      predicted: (start, stop, type) of each span; they do not overlap.
      true: the spans as they are, or None where that is not known.
      caption: above it, plain.
      names: whether right spans say their type too, for texts with few of them.
    """
    letters, predicted, true = _placed(letters, predicted, true)
    known = None if true is None else set(true)
    right = [span for span in predicted if known is None or span in known]
    wrong = [span for span in predicted if known is not None and span not in known]
    missed = sorted((known or set()) - set(predicted))
    kinds = sorted({kind for _, _, kind in [*predicted, *missed]})
    looks = {kind: f"t{place % LOOKS + 1}" for place, kind in enumerate(kinds)}
    letters = upright(letters)
    pieces = [
        (a, b, _mark(looks[kind], text(letters[a:b]) + (f"<small>{name(kind, 40)}</small>" if names else "")))
        for a, b, kind in right
    ]
    for group in _touching(wrong, missed):
        start, stop = min(a for _, (a, _, _) in group), max(b for _, (_, b, _) in group)
        pieces.append((start, stop, _wrong(letters, group, looks)))
    body, at = [], 0
    for start, stop, piece in sorted(pieces):
        body += [text(letters[at:start]), piece]
        at = stop
    body.append(text(letters[at:]))
    counted = Counter(kind for _, _, kind in predicted)
    legend = [f"<li>{_mark(looks[kind], name(kind, 40))} {counted[kind]:,}</li>" for kind in kinds]
    if wrong or missed:
        about = f"{len(wrong):,} wrong, {len(missed):,} missed; <u>underlined</u>: what it is"
        legend.append(f'<li><span class="wrong">framed</span><span>{about}</span></li>')
    return (
        '<figure class="letters">\n'
        + (f"<figcaption>{text(caption)}</figcaption>\n" if caption else "")
        + (f'<ul class="legend">{"".join(legend)}</ul>\n' if legend else "")
        + f'<pre class="tags" dir="ltr" tabindex="0">\n{"".join(body)}</pre>\n</figure>'
    )


def _placed(
    letters: str | Sequence[str], predicted: Iterable[Span], true: Iterable[Span] | None
) -> tuple[str, list[Span], list[Span] | None]:
    """The text, and the spans in the order of its characters."""
    whole = letters if isinstance(letters, str) else " ".join(letters)
    lengths = np.array([1] * len(whole) if isinstance(letters, str) else [len(each) + 1 for each in letters], int)
    starts = np.concatenate([[0], np.cumsum(lengths)])  # (places + 1,)
    gap = 0 if isinstance(letters, str) else 1

    def moved(spans: Iterable[Span]) -> list[Span]:
        found, last = [], 0
        for a, b, kind in sorted((int(a), int(b), str(kind)) for a, b, kind in spans):
            if not last <= a < b <= len(letters):
                raise ValueError(
                    f"tagged_text: the span ({a}, {b}, {kind!r}) is empty, covers another one, "
                    f"or lies outside of the {len(letters)} places"
                )
            found.append((int(starts[a]), int(starts[b]) - gap, kind))
            last = b
        return found

    return whole, moved(predicted), None if true is None else moved(true)


def _mark(look: str, ready: str) -> str:
    return f'<mark class="{look}">{ready}</mark>'


def _touching(wrong: Sequence[Span], missed: Sequence[Span]) -> list[list[tuple[bool, Span]]]:
    """Spans that overlap, together: whether each was predicted, and the span."""
    groups: list[list[tuple[bool, Span]]] = []
    last = 0
    for said, span in sorted([(True, each) for each in wrong] + [(False, each) for each in missed], key=lambda e: e[1]):
        if groups and span[0] < last:
            groups[-1].append((said, span))
        else:
            groups.append([(said, span)])
        last = max(last, span[1])
    return groups


def _wrong(letters: str, group: Sequence[tuple[bool, Span]], looks: dict[str, str]) -> str:
    """A frame around spans that overlap: the predicted ones coloured, the true ones underlined, both named."""
    said = [span for predicted, span in group if predicted]
    true = [span for predicted, span in group if not predicted]
    edges = sorted({edge for _, (a, b, _) in group for edge in (a, b)})
    inner = []
    for a, b in pairwise(edges):
        part = text(letters[a:b])
        if any(start <= a < stop for start, stop, _ in true):
            part = f"<u>{part}</u>"
        here = next((kind for start, stop, kind in said if start <= a < stop), None)
        inner.append(part if here is None else _mark(looks[here], part))
    given, right = (", ".join(dict.fromkeys(kind for *_, kind in spans)) for spans in (said, true))
    if not said:
        words = f"missed {name(right, 40)}"
    elif not true:
        words = f"✗ {name(given, 40)}"
    elif given == right:
        words = f"✗ ends of {name(right, 40)}"
    else:
        words = f"✗ {name(given, 40)}, is {name(right, 40)}"
    return f'<span class="wrong">{"".join(inner)}<small>{words}</small></span>'
