"""`python -m scripts.page.pictures`: the page's pictures in the documents, anew, from a market that is brought up for them.

They are documentation: nothing compares them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from marketplace import devnet
from marketplace.chain.devnet import ANVIL_PRIVATE_KEYS
from marketplace.chain.signing import Key
from marketplace.config import DEVNET_FOLDER
from marketplace.domain.errors import ToolMissing
from scripts.page.scene import H100, Scene, network, play

ROOT = Path(__file__).resolve().parents[2]
INTO = ROOT / "docs" / "pictures"
PHONE = [390, 844]


def shots(scene: Scene) -> list[dict[str, object]]:
    """What is taken: three views in light and dark, the market on a phone, why an order waits, and what a wallet can do."""
    views = {"market": f"#/market/{H100}", "job": f"#/job/{scene.retried}", "account": f"#/account/{scene.client}"}
    both = [
        {"name": f"{name}-{theme}", "view": view, "theme": theme, "isConnected": name != "market"}
        for name, view in views.items()
        for theme in ("light", "dark")
    ]
    waits = {
        "name": "waits-light",
        "view": f"#/job/{scene.waiting}",
        "isConnected": True,
        "clicks": [".reasons summary >> nth=0"],
    }
    acts = {"name": "acts-light", "view": f"#/job/{scene.running}", "isConnected": True, "clicks": [".dispute summary"]}
    order = {"name": "order-light", "view": views["market"], "isConnected": True, "clicks": [".quote .btn"]}
    return [*both, {"name": "market-phone", "view": views["market"], "size": PHONE}, waits, acts, order]


def take(gateway: str, rpc: str, scene: Scene) -> None:
    """Have Chromium take them. Raises ToolMissing, CalledProcessError."""
    node = shutil.which("node")
    if node is None:
        raise ToolMissing("node", "install Node 20 or newer")
    INTO.mkdir(exist_ok=True)
    key = next(one for one in ANVIL_PRIVATE_KEYS if Key(one).address == scene.client)  # everybody knows it
    told = {"gateway": gateway, "rpc": rpc, "key": "0x" + key.hex(), "into": str(INTO), "shots": shots(scene)}
    subprocess.run([node, "web/browser/pictures.mjs"], input=json.dumps(told), text=True, check=True, cwd=ROOT)


def main() -> None:
    with tempfile.TemporaryDirectory() as place, network(Path(place, DEVNET_FOLDER)):
        scene = play(Path(place))
        settings = devnet.read_state(Path(place, DEVNET_FOLDER))["settings"]
        take(settings["gateway_url"], settings["rpc_urls"], scene)


if __name__ == "__main__":
    main()
