"""Opens pages in a real browser, headless, where there is one: frames of several widths that report themselves."""

import html
import re
import shutil
import subprocess
from pathlib import Path

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--v=0",
    "--virtual-time-budget=8000",
    "--window-size=1500,1000",
    "--dump-dom",
]


def frames(folder: Path, pages: list[str], widths: tuple[int, ...], measure: str) -> list[str]:
    """What each page reports of itself at each width, as JSON, in the order in which they report.

    Args:
      folder: for the files.
      pages: whole pages.
      widths: of the frames, in pixels.
      measure: a script element that sends one message to its parent.
    """
    inside = ""
    for number, page in enumerate(pages):
        (folder / f"page{number}.html").write_text(page.replace("</body>", f"{measure}</body>"), encoding="utf-8")
        style = "height:900px;border:0;width"
        inside += "".join(f'<iframe style="{style}:{width}px" src="page{number}.html"></iframe>' for width in widths)
    listen = "addEventListener('message', e => { log.textContent += JSON.stringify(e.data) + '\\n' })"
    head = "<!DOCTYPE html><meta charset=utf-8><link rel=icon href='data:,'><pre id=log></pre>"
    (folder / "all.html").write_text(f"{head}<script>{listen}</script>{inside}", encoding="utf-8")
    done = subprocess.run(
        [str(BROWSER), *OPTIONS, f"--user-data-dir={folder / 'profile'}", (folder / "all.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    log = re.search(r'<pre id="log">(.*?)</pre>', done.stdout, re.S)
    assert log, done.stderr[-500:]
    assert "CONSOLE" not in done.stderr
    return html.unescape(log.group(1)).split("\n")[:-1]
