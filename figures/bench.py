"""Draws the picture of the benchmark anew from stored numbers: ``python figures/bench.py [RESULT.json [PICTURE.png]]``.

The numbers come from ``minirnn bench --full --json > figures/bench.json``, on a machine that does nothing else.
"""

import json
import sys
from pathlib import Path

from minirnn.inspect.figures import save_figure
from minirnn.inspect.speed import speed_figure

if __name__ == "__main__":
    here = Path(__file__).parent
    result = Path(sys.argv[1]) if len(sys.argv) > 1 else here / "bench.json"
    picture = Path(sys.argv[2]) if len(sys.argv) > 2 else result.with_suffix(".png")
    if not result.exists():
        sys.exit(f"{result} is missing: minirnn bench --full --json > {result}")
    save_figure(speed_figure(json.loads(result.read_text())), picture, dpi=120)
