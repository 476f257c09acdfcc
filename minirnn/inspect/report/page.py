"""What every report has: head, style, top, contents, footer. One file, without network and script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.resources import files

from minirnn.inspect.report.markup import text


def page(
    title: str, top: str, chapters: Sequence[tuple[str, str, str]], footer: str, *, styles: Sequence[str] = ()
) -> str:
    """A whole page as the text of an HTML file.

    Args:
      title: plain, of the window.
      top: ready HTML, see :func:`header`.
      chapters: identity, plain heading and ready HTML of each, see :func:`minirnn.inspect.report.markup.section`;
        those without HTML are left out.
      footer: ready HTML.
      styles: files of this folder whose rules are added to those that every page needs.
    """
    held = [each for each in chapters if each[2]]
    links = "".join(f'<li><a href="#{name}">{text(heading)}</a></li>' for name, heading, _ in held)
    folder = files("minirnn.inspect.report")
    style = "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in ("style.css", *styles))
    parts = [top, f'<nav aria-label="Contents"><ul>{links}</ul></nav>', *(html for _, _, html in held)]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{text(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + f"\n</main>\n<footer>{footer}</footer>\n</body>\n</html>\n"
    )


def header(heading: str, about: str, sentence: str, tiles: Iterable[tuple[str, str, str]]) -> str:
    """The top of a page, all of it ready HTML: the heading, a line below it, the verdict, the figures to remember.

    Args:
      heading: of the page.
      about: the line below it, or an empty text.
      sentence: the verdict.
      tiles: name, value and note of each figure.
    """
    shown = [f"<li><span>{what}</span><b>{value}</b><small>{how}</small></li>" for what, value, how in tiles]
    return (
        f"<header>\n<h1>{heading}</h1>\n"
        + (f"<p class='about'>{about}</p>\n" if about else "")
        + f'<p class="sentence">{sentence}</p>\n'
        + ('<ul class="tiles">\n' + "\n".join(shown) + "\n</ul>\n" if shown else "")
        + "</header>"
    )
