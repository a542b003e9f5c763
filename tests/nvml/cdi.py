"""CDI files of machines whose GPUs are not there: the device files are /dev/zero and /dev/full, under the names of GPUs'."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def cdi_file(gpus: Iterable[tuple[str, int]], libraries: Iterable[Path] = ()) -> dict[str, Any]:
    """Of GPUs by UUID and minor number, and the driver's libraries."""
    return {
        "cdiVersion": "0.5.0",
        "kind": "bourse.test/gpu",
        "devices": [
            {
                "name": uuid,
                "containerEdits": {
                    "deviceNodes": [
                        {"path": f"/dev/nvidia{minor}", "hostPath": "/dev/zero", "type": "c", "major": 1, "minor": 5},
                        {"path": "/dev/dri/card1", "hostPath": "/dev/zero"},
                    ],
                    "env": [f"FAKE_GPU_{minor}={uuid}"],
                },
            }
            for uuid, minor in gpus
        ],
        "containerEdits": {
            "deviceNodes": [{"path": "/dev/nvidiactl", "hostPath": "/dev/full"}],
            "mounts": [
                {"hostPath": str(path), "containerPath": f"/usr/lib/{path.name}", "options": ["ro", "nosuid", "nodev", "bind"]}
                for path in libraries
            ]
            + [{"hostPath": "/run/nvidia-persistenced/socket", "containerPath": "/run/nvidia-persistenced/socket"}],
            "hooks": [{"hookName": "createContainer", "path": "/usr/bin/nvidia-cdi-hook", "args": ["nvidia-cdi-hook"]}],
        },
    }  # fmt: skip


def cdi_at(folder: Path, gpus: Iterable[tuple[str, int]], libraries: Iterable[Path] = ()) -> Path:
    """A folder for ``BOURSE_CDI``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "gpus.json"
    path.write_text(json.dumps(cdi_file(gpus, libraries)))
    path.chmod(0o600)
    return folder
