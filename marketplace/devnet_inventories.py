"""The machines of a development network's providers, and the terms of its vault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

INVENTORIES: Mapping[str, str] = {
    "provider-1": """\
region = "eu"
cpus = 2
memory_mib = 4096
disk_mib = 8192

[[offer]]
gpu = "RTX4090"
count = 2
price = "0.34"
bond_bps = 2000
arbiter = "{arbiter}"
days = 30

[[reserve]]
classes = ["RTX4090"]
longest = "30d"
lead = "30d"
price = "0.34"
guaranteed_bps = 2500
""",
    "provider-2": """\
region = "us"
cpus = 2
memory_mib = 4096
disk_mib = 8192

[[offer]]
gpu = "RTX4090"
count = 2
price = "0.31"
bond_bps = 2000
arbiter = "{arbiter}"
days = 30

[egress]
most_mib = 1024
""",
    "provider-3": """\
region = "eu"
cpus = 2
memory_mib = 4096
disk_mib = 8192

[[offer]]
gpu = "RTX4090"
count = 1
price = "0.29"
bond_bps = 3000
arbiter = "{arbiter}"
days = 30

[[offer]]
gpu = "H100-SXM-80GB"
count = 1
price = "2.10"
bond_bps = 3000
arbiter = "{arbiter}"
days = 30
""",
}
"""What the three providers declare. Nothing of it is measured; ``bourse offers`` says so. One of them gives jobs a way out, one may be reserved."""

VAULT_TERMS: Mapping[str, Any] = {"window": "10s", "loan_cap_bps": 9_000, "obligor_cap_bps": 9_000}
"""Where it differs from the usual: nobody waits a day, and one loan may be most of what is lent."""
