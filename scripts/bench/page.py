"""`python -m scripts.bench.page`: what the page costs who opens it, in a real Chromium, on a market that is brought up for it. Four minutes."""

from __future__ import annotations

import gzip
import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from marketplace import devnet
from marketplace.config import DEVNET_FOLDER
from marketplace.domain.errors import ToolMissing
from scripts.bench.page_words import COMMAND, FIRST_LOAD, missed
from scripts.deep import tables
from scripts.deep.figures import Measured, Number, write_figures
from scripts.page.scene import network, play

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "web/dist"
TURNS, WATCHED_MS = 5, 10_000
VIEWS = ("#/market", "#/jobs", "#/account", "#/providers", "#/offer/1", "#/rounds", "#/network")


def main() -> int:
    """Measure; write docs/figures.json unless ``--quick`` asks for a look only. 1 where a bar was missed."""
    values: dict[str, Number] = {FIRST_LOAD: first_load_kb(BUILT)}
    with TemporaryDirectory() as place, network(Path(place, DEVNET_FOLDER)):
        play(Path(place))
        gateway = devnet.read_state(Path(place, DEVNET_FOLDER))["settings"]["gateway_url"]
        values |= {f"page.{name}": value for name, value in _measured(gateway).items()}
    for name, value in values.items():
        print(f"{name} {value}")
    if "--quick" not in sys.argv:
        write_figures(Measured(values, {"python": platform.python_version()}), COMMAND)
        tables.main([])
    above = missed(values)
    print(*(f"{key} misses its bar" for key in above), sep="\n", end="\n" if above else "")
    return 1 if above else 0


def first_load_kb(built: Path) -> int:
    """What a browser fetches before the first view, in kilobytes rounded up: what ``index.html`` names, and itself."""
    page = (built / "index.html").read_text()
    named = [file for file in sorted((built / "assets").iterdir()) if file.name in page]
    sizes = [len(gzip.compress(page.encode(), 9)), *(_sent_bytes(file) for file in named)]
    return -(-sum(sizes) // 1_000)


def _sent_bytes(file: Path) -> int:
    content = file.read_bytes()
    return len(content) if file.suffix == ".woff2" else len(gzip.compress(content, 9))


def _measured(gateway: str) -> dict[str, Number]:
    """By Chromium. Raises ToolMissing, CalledProcessError."""
    node = shutil.which("node")
    if node is None:
        raise ToolMissing("node", "install Node 20 or newer")
    told = {"gateway": gateway, "turns": TURNS, "watchedMs": WATCHED_MS, "views": VIEWS}
    done = subprocess.run(
        [node, "web/browser/measure.mjs"],
        input=json.dumps(told),
        text=True,
        check=True,
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    values: dict[str, Number] = json.loads(done.stdout)
    return values


if __name__ == "__main__":
    sys.exit(main())
