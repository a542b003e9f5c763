"""`bourse devnet up`, but for the pause before a process is started again: it stays short however often one is killed."""

from __future__ import annotations

import sys
from pathlib import Path

from marketplace import devnet, supervisor
from marketplace.daemon import Stop

PAUSE_SECONDS = 0.3


def main(folder: Path) -> None:
    """Run the network until SIGTERM."""
    supervisor.RESTART_FIRST_SECONDS = supervisor.RESTART_LIMIT_SECONDS = PAUSE_SECONDS
    devnet.supervise(folder, Stop().on_signals())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
