"""What a development network says of its processes, when one of them does not live."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from marketplace import devnet
from marketplace.cli.devnet import app


def test_a_held_process_is_shown_as_held(tmp_path: Path) -> None:
    """Nobody has written the state anew: its pid is not shown, the network is not ready, and a second hold kills nobody."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        rows = {"provider-3": {"pid": child.pid, "restarts": 0, "log": "log", "health": None}}
        state = {"ready": True, "pid": os.getpid(), "pid_started": 0, "processes": rows, "accounts": {}}
        settings = {"gateway_url": "http://127.0.0.1:1", "rpc_urls": "http://127.0.0.1:1"}
        (tmp_path / "state.json").write_text(json.dumps(state | {"settings": settings}))
        before = devnet.look(tmp_path)
        assert devnet.hold(tmp_path, "provider-3") == child.pid
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie: its parent has not looked yet
        after = devnet.look(tmp_path)
        told = CliRunner().invoke(app, ["status", "--folder", str(tmp_path)])

        assert (before["ready"], before["processes"]["provider-3"]["state"]) == (True, "running")
        assert (after["ready"], after["processes"]["provider-3"]["state"]) == (False, "held")
        assert after["processes"]["provider-3"]["pid"] == devnet.hold(tmp_path, "provider-3") == 0
        assert "ready   False" in told.output
        assert "bourse devnet release provider-3" in told.output
