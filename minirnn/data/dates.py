"""Cells of text to times: which column holds them, in which order day and month stand, which time zone."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from minirnn.data.columns import MISSING_TEXTS
from minirnn.data.words import DataError, listed, quoted, suggestion

_WHOLE = re.compile(r"\d+")
_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")
_ISO_YEAR = re.compile(r"\d{4}\D?")
_MONTH_NAME = re.compile(r"(?i)\b\d*(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH_YEAR = re.compile(rf"(?i)({'|'.join(_MONTHS)})[a-z]*\.?[- /]+'?(\d{{4}}|\d{{2}})")
_YEARLESS = re.compile(r"^\D*\d{1,2}\D*$")
_OFFSET = re.compile(r":\d\d(\.\d+)?\s*(Z|UTC|GMT|[+-]\d\d(:?\d\d)?)$")
_QUARTER = re.compile(r"(\d{4})[- ]?[Qq]([1-4])")
_YEAR_LAST = re.compile(
    r"(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d{2})(?:[ T]+(\d{1,2})(:\d\d(?::\d\d(?:\.\d+)?)?)? *([AaPp][Mm])?)?"
)
_PLAIN = re.compile(r"0000-00-00([ T]00:00(:00(\.0{1,9})?)?)?")
_TIME_WORDS = {"date", "time", "timestamp", "datetime", "ds", "year", "month", "week", "day", "period"}
_TIME_WORDS |= {"ts", "epoch", "unix"}
_DIGITS = str.maketrans("123456789", "000000000")


def find_date_column(
    names: Sequence[str], columns: Sequence[Sequence[str]], wanted: str | None = None, series: str | None = None
) -> int:
    """The position of the date column: the wanted one, or the first whose cells are mostly dates.

    A column of bare integers counts as dates when its name says so, or, where no other column holds dates,
    when its cells are years that do not repeat within a series.

    Args:
        names: of the columns.
        columns: their cells.
        wanted: the column that the caller named.
        series: the column that tells series apart: it is not the date column, and with it times may repeat.

    Raises:
        DataError: there is no such column.
    """
    if wanted is not None:
        if wanted not in names:
            raise DataError(
                f"there is no date column {wanted!r}; {suggestion(wanted, names)}the columns are {listed(names)}"
            )
        return names.index(wanted)
    years = None
    apart = columns[names.index(series)] if series in names else None
    for position, (name, column) in enumerate(zip(names, columns)):
        if name == series:
            continue
        # A sample is enough to choose a column; all its cells are parsed, and checked, afterwards.
        sample = [cell for cell in column[:400] if cell.lower() not in MISSING_TEXTS][:100]
        if not sample:
            continue
        if all(_WHOLE.fullmatch(cell) for cell in sample):
            looks_like_years = all(1000 <= int(cell) <= 2999 for cell in sample if len(cell) < 10)
            named = is_time_name(name)
            if named and _whole_numbers(sample).notna().all() and (apart or len(set(sample)) > len(sample) // 2):
                return position
            if looks_like_years and years is None:
                distinct = set(zip(apart, column)) if apart else set(column)
                years = position if len(distinct) == len(column) else None
        else:
            shares = [np.mean(_parse_text(sample, order).notna()) for order in (False, True)]
            if sum(shares) - min(shares) >= 0.5:
                return position
    if years is not None:
        return years
    for name, column in zip(names, columns):
        if all(_MONTH_NAME.search(cell) and _YEARLESS.search(cell) for cell in column[:100]):
            raise DataError(f"the dates in {name!r}, such as {quoted(column[0])}, have no year: write 2012-01-31")
    parts = [name for name in names if name.lower() in ("year", "month", "day", "hour")]
    advice = (
        f"join {listed(parts)} into one column with dates such as 2012-01-31"
        if len(parts) > 1
        else "add one with times such as 2012-01-31 or 2012-01-31 13:00"
    )
    raise DataError(f"no column holds dates; the columns are {listed(names)}: {advice}")


def is_time_name(name: str) -> bool:
    """Whether a column is called as times are: "date", "start_time", "ts"."""
    return bool(_TIME_WORDS & set(re.split(r"[^a-z]+", name.lower())))


def parse_dates(
    name: str, cells: Sequence[str], lines: Sequence[int], word: str = "line"
) -> tuple[pd.DatetimeIndex, list[str]]:
    """The cells of the date column as times without a zone, and a note for each decision taken.

    Args:
        name: of the date column.
        cells: its text.
        lines: where each cell stands, for messages.
        word: what a number of `lines` counts.

    Raises:
        DataError: a cell is empty or no date; the cells are written in more than one way.
    """
    notes: list[str] = []
    # Cells of one shape are written in one way: what can be told from the shapes is not asked of every cell.
    shapes = _shapes(cells)
    if any(shape.lower() in MISSING_TEXTS for shape in shapes):
        row = next(row for row, cell in enumerate(cells) if cell.lower() in MISSING_TEXTS)
        raise DataError(f"{word} {lines[row]}: the date column {name!r} is empty: add the time or delete the {word}")
    if all(_WHOLE.fullmatch(shape) for shape in shapes):
        times = _whole_numbers(cells)
    else:
        times = _parse_text(cells, _day_first(name, cells, shapes, lines, notes), shapes)
    bad = np.flatnonzero(times.isna())
    if bad.size:
        raise DataError(
            f"{word} {lines[bad[0]]}: {quoted(cells[bad[0]])} in the date column {name!r} is not a date: "
            "write it like 2012-01-31 or 2012-01-31 13:00"
        )
    zones = {shape: _OFFSET.search(shape) is not None for shape in shapes}
    if any(zones.values()):
        if not all(zones.values()):
            odd = next(row for row, cell in enumerate(cells) if not zones[cell.translate(_DIGITS)])
            raise DataError(
                f"{word} {lines[odd]}: {quoted(cells[odd])} in the date column {name!r} has no time zone "
                "but other lines have one: write all the times with a zone or all without"
            )
        local = [_without_zone(cell) for cell in cells]
        local_times = _parse_text(local, _day_first(name, cells, shapes, lines, []))
        if local_times.hasnans or (local_times != local_times.normalize()).any():
            notes.append(f"The times in {name!r} have a time zone; they were converted to UTC.")
        else:
            notes.append(f"The times in {name!r} are midnights with a time zone; their local dates were kept.")
            times = local_times
    return times, notes


def _shapes(cells: Sequence[str]) -> set[str]:
    """The cells with a 0 for every digit."""
    return {cell.translate(_DIGITS) for cell in cells}


def _without_zone(cell: str) -> str:
    zone = _OFFSET.search(cell)
    return cell if zone is None else cell[: zone.start(2)].strip()


def _whole_numbers(cells: Sequence[str]) -> pd.DatetimeIndex:
    """Years, YYYYMM, YYYYMMDD or seconds (milli-, micro-, nanoseconds) since 1970; NaT for anything else."""
    lengths = {len(cell) for cell in cells}
    if lengths == {4}:
        return _iso([cell if cell >= "1000" else "" for cell in cells])
    if lengths == {6}:
        return _iso([f"{cell[:4]}-{cell[4:]}" for cell in cells])
    if lengths == {8}:
        return _iso(list(cells))
    for unit, least, most in (("s", 9, 10), ("ms", 12, 13), ("us", 15, 16), ("ns", 18, 19)):
        if lengths <= {least, most}:
            stamps = np.fromiter(map(int, cells), np.int64, len(cells)).astype(f"datetime64[{unit}]")
            return pd.DatetimeIndex(stamps if unit == "ns" else stamps.astype("datetime64[us]"))
    return pd.DatetimeIndex([pd.NaT] * len(cells))


def _day_first(name: str, cells: Sequence[str], shapes: set[str], lines: Sequence[int], notes: list[str]) -> bool:
    """Whether dates such as 03/04/2020 start with the day. Proof first, then regular steps, then a guess."""
    day_line = month_line = None  # the first line that can only be read one way
    separators, short_years = set(), False
    if not any(_YEAR_LAST.fullmatch(shape) or _MONTH_YEAR.fullmatch(shape) for shape in shapes):
        return False
    for cell, line in zip(cells, lines):
        match = _YEAR_LAST.fullmatch(cell)
        worded = _MONTH_YEAR.fullmatch(cell)
        short_years |= worded is not None and len(worded[2]) == 2
        if match:
            separators.add(match[2])
            short_years |= len(match[4]) == 2
            if int(match[1]) > 12 and day_line is None:
                day_line = line
            if int(match[3]) > 12 and month_line is None:
                month_line = line
    if short_years:
        notes.append(f"Two-digit years in {name!r} were read as 1969 to 2068.")
    if not separators:
        return False
    if day_line and month_line:
        raise DataError(
            f"line {max(day_line, month_line)}: the dates in {name!r} start with the day in line {day_line} "
            f"but with the month in line {month_line}: write all of them like 2012-01-31"
        )
    if day_line or month_line:
        return day_line is not None
    as_day, as_month = (_is_regular(_parse_text(cells, order)) for order in (True, False))
    if as_day != as_month:
        day_first, why = as_day, "only then are the steps between them regular"
    else:
        day_first = separators == {"."}
        why = "that is usual with dots" if day_first else "nothing in the file settles it"
    order, other = ("day/month", "month/day") if day_first else ("month/day", "day/month")
    notes.append(
        f"The dates in {name!r} were read as {order} because {why}; if they are {other}, write them like 2012-01-31."
    )
    return day_first


def _is_regular(times: pd.DatetimeIndex) -> bool:
    """Whether the times are complete, in order, and a fixed number of days or calendar months apart."""
    if len(times) < 3 or times.hasnans:
        return False
    steps = np.diff(times.to_numpy())
    months = np.diff(times.year.to_numpy() * 12 + times.month.to_numpy())
    one_day = len(set(times.day)) == 1 and months[0] != 0 and (months == months[0]).all()
    return bool((steps == steps[0]).all() or one_day)


def _parse_text(cells: Sequence[str], day_first: bool, shapes: set[str] | None = None) -> pd.DatetimeIndex:
    """Text to times, NaT where a cell is no date. Everything is brought to ISO form before it is parsed."""
    form = _form(_shapes(cells) if shapes is None else shapes, day_first)
    if form is not None:
        times = pd.to_datetime(list(cells), format=form, errors="coerce", utc=True)
        return _with_year(pd.DatetimeIndex(times.tz_localize(None)))
    texts = [_iso_text(cell, day_first) for cell in cells]
    times = _iso(texts)
    unread = times.isna()
    worded = [i for i, cell in enumerate(cells) if unread[i] and _MONTH_NAME.search(cell)]
    if worded:
        # Only cells with a month's name reach the lenient parser: it would read "sun" as next Sunday.
        found = pd.to_datetime(
            [cells[i] for i in worded], format="mixed", errors="coerce", dayfirst=day_first, utc=True
        )
        values = pd.Series(times)
        values.iloc[worded] = found.tz_localize(None).as_unit(times.unit)
        times = _with_year(pd.DatetimeIndex(values))
    return times


def _form(shapes: set[str], day_first: bool) -> str | None:
    """The format of cells that are all written in one plain way, which is quick to parse, or None."""
    if all(_PLAIN.fullmatch(shape) for shape in shapes):
        return "ISO8601"
    found = set()
    for shape in shapes:
        match = _YEAR_LAST.fullmatch(shape)
        if match is None or len(match[4]) != 4 or match[7] or "." in (match[6] or "") or (match[5] and not match[6]):
            return None
        between = "T" if "T" in shape else " "
        if shape.count(between) > 1:
            return None
        clock = {0: "", 3: f"{between}%H:%M", 6: f"{between}%H:%M:%S"}[len(match[6] or "")]
        found.add(("%d{0}%m{0}%Y" if day_first else "%m{0}%d{0}%Y").format(match[2]) + clock)
    return found.pop() if len(found) == 1 else None


def _with_year(times: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """The times, NaT where the year has not four digits: parsers read a date without a year as year 1."""
    return pd.DatetimeIndex(times.where(times.year >= 1000))


def _iso(texts: Sequence[str]) -> pd.DatetimeIndex:
    times = pd.to_datetime(list(texts), format="ISO8601", errors="coerce", utc=True)
    return _with_year(pd.DatetimeIndex(times.tz_localize(None)))


def _iso_text(cell: str, day_first: bool) -> str:
    """One cell in ISO form; an empty text, which parses as no date, for numbers and other text."""
    if match := _YEAR_LAST.fullmatch(cell):
        first, _, second, year, hour, rest, half = match.groups()
        day, month = (first, second) if day_first else (second, first)
        year = _four_digits(year)
        if hour is None:
            return f"{year}-{month:0>2}-{day:0>2}"
        if half:
            if not 1 <= int(hour) <= 12:
                return ""
            hour = str(int(hour) % 12 + (12 if half in ("PM", "pm", "Pm", "pM") else 0))
        elif rest is None:
            return ""
        return f"{year}-{month:0>2}-{day:0>2} {hour:0>2}{rest or ':00'}"
    if match := _MONTH_YEAR.fullmatch(cell):
        return f"{_four_digits(match[2])}-{_MONTHS.index(match[1].lower()) + 1:02d}-01"
    if match := _QUARTER.fullmatch(cell):
        return f"{match[1]}-{3 * int(match[2]) - 2:02d}-01"
    if _NUMBER.fullmatch(cell) or not _ISO_YEAR.match(cell):
        return ""
    return re.sub(r" *(UTC|GMT)$", "Z", cell)


def _four_digits(year: str) -> str:
    """The year in full: two digits by the convention of POSIX."""
    return year if len(year) == 4 else ("20" if int(year) < 69 else "19") + year
