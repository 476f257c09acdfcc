"""Matrices for the reports of sequence models: what was taken for what, and where a decoder looked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minirnn.inspect.report.markup import name, number, paragraph, percent, shortened, table, text
from minirnn.inspect.report.symbols import visible

CLASSES = 40  # in a matrix; of more, the most confused pairs are listed
PAIRS = 25
SYMBOLS = 80  # along an axis of an attention map
LEVELS = 10  # of shading


def confusion(matrix: np.ndarray, labels: Sequence[str]) -> str:
    """What was taken for what: counts, shaded by their share of the row; of many classes a list of confused pairs.

    Args:
      matrix: (C, C) counts, rows true, columns predicted.
      labels: of the classes, plain.
    """
    counts = np.asarray(matrix)
    if counts.shape != (len(labels), len(labels)):
        raise ValueError(f"confusion: {len(labels)} labels need a square matrix of as many, got {counts.shape}")
    if len(labels) > CLASSES:
        return confused_pairs(counts, labels)
    total = counts.sum(axis=1)  # (C,)
    share = counts / np.maximum(total, 1)[:, None]  # (C, C)
    turned = len(labels) > 5 or max((len(shortened(label)) for label in labels), default=0) > 12
    heads = "".join(f'<th scope="col"><span>{name(label, 24)}</span></th>' for label in labels)
    body = []
    for i, label in enumerate(labels):
        cells = "".join(_count(counts[i, j], share[i, j], i == j) for j in range(len(labels)))
        body.append(f'<tr><th scope="row">{name(label, 24)}</th>{cells}<td class="all">{total[i]:,}</td></tr>')
    look = f"confusion{' turned' if turned else ''}{' small' if len(labels) > 12 else ''}"
    legend = (
        f'<ul class="legend" aria-hidden="true"><li>{_scale("hit")} right</li><li>{_scale("miss")} wrong</li>'
        "<li>the stronger, the larger the share of the row</li></ul>\n"
    )
    return (
        '<figure class="matrix">\n<figcaption>Rows: what it was. Columns: what it was taken for.</figcaption>\n'
        f"{legend}"
        '<div class="scroll" role="region" tabindex="0" aria-label="Confusion matrix">'
        f'<table class="{look}">\n<thead><tr><th scope="col">true ↓<br>predicted →</th>{heads}<th scope="col">'
        f"<span>all</span></th></tr></thead>\n<tbody>\n{chr(10).join(body)}\n</tbody></table></div>\n</figure>"
    )


def _count(count, share: float, right: bool) -> str:
    if not count:
        return '<td class="none">0</td>'
    level = max(int(np.ceil(LEVELS * share**0.5 - 1e-9)), 1)  # the root: rare mistakes are to be told apart
    shown = f"<b>{count:,}</b>" if right else f"{count:,}"
    return f'<td class="{"hit" if right else "miss"} s{level}">{shown}</td>'


def _scale(look: str) -> str:
    return "".join(f'<i class="area {look} s{level}"></i>' for level in (1, 4, 7, 10))


def confused_pairs(matrix: np.ndarray, labels: Sequence[str]) -> str:
    """The pairs of classes that were taken for one another most often, as a table.

    Args:
      matrix: (C, C) counts, rows true, columns predicted.
      labels: of the classes, plain.
    """
    counts = np.array(matrix)
    total = counts.sum(axis=1)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:PAIRS]
    pairs = [divmod(int(k), len(labels)) for k in order if counts.flat[k]]
    if not pairs:
        return paragraph("No class was taken for another one.")
    rows = [
        [f"{name(labels[i], 40)} → {name(labels[j], 40)}", f"{counts[i, j]:,}", percent(counts[i, j] / total[i])]
        for i, j in pairs
    ]
    kinds, shown = int((counts > 0).sum()), len(pairs)
    which = f"the {shown} most frequent ones" if kinds > shown else "all of them"
    words = (
        f"{len(labels):,} classes were confused in {kinds:,} different ways, {counts.sum():,} times; {which}, "
        "with their share of the true class:"
    )
    head = ["True class → taken for", "times", "share"]
    return paragraph(words) + "\n" + table(head, rows, label="The most confused pairs of classes")


def attention_map(weights: np.ndarray, source: Sequence[str], target: Sequence[str], *, caption: str = "") -> str:
    """Where a decoder looked: one row for each symbol that was written, one column for each that was read.

    Args:
      weights: (T, S) of each target symbol over the source; NaN is drawn as nothing.
      source: S symbols.
      target: T symbols.
      caption: above it, plain.
    """
    weights = np.asarray(weights, float)
    if weights.shape != (len(target), len(source)):
        raise ValueError(
            f"attention_map: {len(target)} target and {len(source)} source symbols need weights "
            f"({len(target)}, {len(source)}), got {weights.shape}"
        )
    weights = np.where(np.isfinite(weights), weights, 0.0)
    cut = [f"the first {SYMBOLS} of {len(each)} symbols" for each in (source, target) if len(each) > SYMBOLS]
    weights, source, target = weights[:SYMBOLS, :SYMBOLS], source[:SYMBOLS], target[:SYMBOLS]
    largest = float(weights.max()) if weights.size and weights.max() > 0 else 1.0
    level = np.ceil(LEVELS * np.clip(weights / largest, 0, 1) - 0.5).astype(int)  # (T, S)
    read, wrote = [visible(each) for each in source], [visible(each) for each in target]
    turned = " turned" if max(map(len, read), default=0) > 2 else ""
    heads = "".join(f"<th><span>{name(each, 24)}</span></th>" for each in read)
    rows = [
        f"<tr><th>{name(each, 24)}</th>"
        + "".join(f'<td class="s{value}"></td>' if value else "<td></td>" for value in row)
        + "</tr>"
        for each, row in zip(wrote, level)
    ]
    told = "; ".join(
        f"{symbol} from {read[int(row.argmax())]}" for symbol, row in zip(wrote, weights) if row.size and row.max() > 0
    )
    alt = f"Attention, for each written symbol the one it looked at most: {told}."
    scale = "".join(f'<i class="area heat s{value}"></i>' for value in range(0, LEVELS + 1, 2))
    return (
        '<figure class="matrix">\n'
        + (f"<figcaption>{text(caption)}</figcaption>\n" if caption else "")
        + f'<p class="key" aria-hidden="true">weight 0 {scale} {number(largest, 2)}'
        + (f" · {text(', '.join(dict.fromkeys(cut)))}" if cut else "")
        + f'</p>\n<div class="scroll" role="img" tabindex="0" aria-label="{text(alt)}">'
        + f'<table class="attention{turned}" aria-hidden="true">\n'
        + f"<thead><tr><th>wrote ↓<br>read →</th>{heads}</tr></thead>\n"
        + "<tbody>\n"
        + "\n".join(rows)
        + "\n</tbody></table></div>\n</figure>"
    )
