"""Makes a container image out of this machine's own programs, as a folder in OCI's layout: no engine, no registry, no root.

python examples/host_image.py FOLDER [--python] PROGRAM…

Each program is packed where it is here, with its loader and its libraries; --python adds the interpreter and the standard
library of the job runtime, below /usr/local. ``bourse image push FOLDER`` makes it one that jobs can name.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def main(words: list[str]) -> None:
    """Make the image; say its digest."""
    folder, *programs = words
    with_python = "--python" in programs
    programs = [program for program in programs if program != "--python"]
    print(write_image(Path(folder), [layer_of(programs), *([python_layer()] if with_python else [])]))


def layer_of(programs: Iterable[str]) -> bytes:
    """A layer with programs of this machine, found on PATH, and what they need to run; and with accounts for root and nobody."""
    files = {"etc/passwd": b"root:x:0:0:root:/root:/bin/sh\njob:x:1000:1000::/home/job:/bin/sh\n", "root/.keep": b""}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for path in sorted({path for program in programs for path in _with_libraries(_found(program))}):
            tar.add(os.path.realpath(path), path.lstrip("/"), recursive=False)
    return stream.getvalue()


def python_layer() -> bytes:
    """A layer with the job runtime's interpreter and standard library."""
    python = ROOT / ".runtime" / "current" / "python"
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.add(python.resolve(), "usr/local")
        binaries = [path.resolve() for path in [*(python / "bin").iterdir(), *python.glob("lib/*/lib-dynload/*.so")]]
        needed = {path for binary in set(binaries) for path in _with_libraries(str(binary))[1:]}
        for path in sorted(path for path in needed if not path.startswith(str(python.resolve()))):
            tar.add(os.path.realpath(path), path.lstrip("/"), recursive=False)
    return stream.getvalue()


def write_image(folder: Path, layers: list[bytes], config: dict[str, object] | None = None) -> str:
    """Write the folder; the manifest's digest."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    packed = [_keep(blobs, gzip.compress(layer, 1, mtime=0), LAYER) for layer in layers]
    diff_ids = [_digest(layer) for layer in layers]
    told = {
        "architecture": "amd64",
        "os": "linux",
        "config": config or {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    configured = _keep(blobs, json.dumps(told).encode(), CONFIG)
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": configured, "layers": packed}
    manifest = _keep(blobs, json.dumps(document).encode(), MANIFEST)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    return str(manifest["digest"])


def _keep(blobs: Path, content: bytes, kind: str) -> dict[str, object]:
    name = _digest(content)
    (blobs / name.removeprefix("sha256:")).write_bytes(content)
    return {"mediaType": kind, "digest": name, "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _found(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        sys.exit(f"{program} is not on PATH")
    return found


def _with_libraries(path: str) -> list[str]:
    told = subprocess.run(["ldd", os.path.realpath(path)], capture_output=True, text=True, check=False).stdout
    return [path, *re.findall(r"(/\S+) \(0x", told)]


if __name__ == "__main__":
    main(sys.argv[1:])
