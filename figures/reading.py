"""A picture of the reading page of the LSTM, taken by a browser: ``python figures/reading.py [FOLDER]``.

As wide as a small laptop's window, so that the picture can still be read where it is shown at half its size.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image  # matplotlib needs it too

from minirnn.learn.reading.page import page
from minirnn.learn.reading.subjects import read

WIDTH, HEIGHT, WHOLE, SCALE = 940, 1700, 8000, 1.4
MARKED = "L3"  # the equation that is shown as if somebody had followed its number
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


def picture(html: str, target: Path, width: int, height: int, fragment: str = "", scale: float = 1.0) -> None:
    """Writes what a browser shows of a page.

    Args:
      html: the page.
      target: the picture (.png).
      width: of the window, in pixels of the style sheet.
      height: of the window.
      fragment: the identity of the element to go to.
      scale: pixels of the picture for each of the style sheet.
    """
    assert BROWSER is not None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "page.html"
        file.write_text(html, encoding="utf-8")
        options = (
            "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
            f"--disable-component-update --disable-sync --hide-scrollbars --force-device-scale-factor={scale} "
            f"--virtual-time-budget=5000 --window-size={width},{height} --user-data-dir={folder}/profile"
        )
        address = file.as_uri() + (f"#{fragment}" if fragment else "")
        subprocess.run(
            [BROWSER, *options.split(), f"--screenshot={target.resolve()}", address],
            check=True,
            capture_output=True,
            timeout=120,
        )


if __name__ == "__main__":
    if BROWSER is None:
        sys.exit("figures/reading_lstm.png is left as it is: it needs chromium or google-chrome on the PATH")
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    target.mkdir(parents=True, exist_ok=True)
    html = page([read("lstm")], command="minirnn read lstm")
    # A window that holds the whole page has nothing to scroll; the picture is then cut.
    picture(html, target / "reading_lstm.png", WIDTH, WHOLE, MARKED, SCALE)
    with Image.open(target / "reading_lstm.png") as whole:
        cut = whole.crop((0, 0, whole.width, round(HEIGHT * SCALE)))
    cut.save(target / "reading_lstm.png", optimize=True)
