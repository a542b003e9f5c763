"""The tables of the journals, and which changes of state they allow.

Every transition writes one row into ``events`` in the transaction that makes it. ``events`` refers to ``moves``, so
that the database itself refuses what ``domain.states`` does not allow: the guard stands where the facts are.
Wire forms (all decimal strings) are kept as JSON, money never as an SQL number.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
)

from marketplace.domain.states import SERVING_TRANSITIONS

METADATA = MetaData()

ORDER_CHANGES = "order_changes"
"""The sequence that numbers acceptances and withdrawals of orders."""

SEQUENCE = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only where the column is exactly INTEGER PRIMARY KEY."""

COUNTERS = Table(
    "counters",
    METADATA,
    Column("name", String(32), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""Sequences in commit order: the row's lock is held until the transaction ends, so that a reader that has seen number n
has seen all below n. A database's own sequences do not promise that."""

MOVES = Table(
    "moves",
    METADATA,
    Column("kind", String(16), primary_key=True),
    Column("from_state", String(16), primary_key=True),
    Column("to_state", String(16), primary_key=True),
)

EVENTS = Table(
    "events",
    METADATA,
    Column("sequence", SEQUENCE, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("subject", String(96), nullable=False),
    Column("from_state", String(16), nullable=False),
    Column("to_state", String(16), nullable=False),
    Column("at", BigInteger),
    Column("note", Text, nullable=False),
    Column("recorded_at", DateTime, nullable=False, server_default=func.current_timestamp()),
    ForeignKeyConstraint(("kind", "from_state", "to_state"), ("moves.kind", "moves.from_state", "moves.to_state")),
    Index("events_by_subject", "kind", "subject", "sequence"),
)
"""``at`` is block time, which decides; ``recorded_at`` is the wall clock, for people only."""

ORDERS = Table(
    "orders",
    METADATA,
    Column("id", String(66), primary_key=True),
    Column("sequence", BigInteger, nullable=False, unique=True),
    Column("changed", BigInteger, nullable=False, unique=True),
    Column("client", String(42), nullable=False),
    Column("order", JSON, nullable=False),
    Column("signature", Text, nullable=False),
    Column("spec", LargeBinary, nullable=False),
    Column("accepted_at", BigInteger, nullable=False),
    Column("withdrawn_at", BigInteger),
    Index("orders_by_client", "client", "sequence"),
)

ANSWERS = Table(
    "answers",
    METADATA,
    Column("account", String(42), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
)

RECEIPTS = Table(
    "receipts",
    METADATA,
    Column("sequence", SEQUENCE, primary_key=True, autoincrement=True),
    Column("lease", String(66), nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("role", String(8), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("receipt", JSON, nullable=False),
    Column("signature", Text, nullable=False),
    Column("ended", String(24)),
    Column("at", BigInteger, nullable=False),
    CheckConstraint("role IN ('provider', 'client')", name="role_is_a_side"),
    UniqueConstraint("fingerprint", "role", name="one_signature_per_side"),
    Index("receipts_by_lease", "lease", "sequence"),
)

ROUNDS = Table(
    "rounds",
    METADATA,
    Column("hash", String(66), primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("block_number", BigInteger, nullable=False),
    Index("rounds_by_block", "block_number", "hash"),
)

ROUND_SUMS = Table(
    "round_sums",
    METADATA,
    Column("hash", String(66), primary_key=True),
    Column("fills", Integer, nullable=False),
    Column("gpus", BigInteger, nullable=False),
    Column("client_gain", String(78), nullable=False),
    Column("provider_gain", String(78), nullable=False),
)
"""What a round came to; beside the rounds, because older journals have rounds without."""

UPLOADS = Table(
    "uploads",
    METADATA,
    Column("blob", String(64), primary_key=True),
    Column("account", String(42), primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    Column("is_public", Boolean, nullable=False),
    Column("is_strange", Boolean, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("keep_until", BigInteger),
    Index("uploads_by_account", "account", "at"),
    Index("uploads_by_end", "keep_until"),
    Index("uploads_of_strangers", "is_strange"),
)
"""Who brought which blob: the same content may come from several. ``keep_until`` (block time) is null for what is kept for good."""

USES = Table(
    "uses",
    METADATA,
    Column("sequence", SEQUENCE, primary_key=True, autoincrement=True),
    Column("blob", String(64), nullable=False),
    Column("subject", String(66), nullable=False),
    Column("closed_at", BigInteger),
    Index("uses_by_blob", "blob"),
    Index("uses_by_subject", "subject"),
)
"""Which order or lease refers to which blob, and when it was first seen to be over. A use may stand here twice, where its order came once more
after a crash: that says nothing else.

Rows have numbers so that the uses of one blob lie where they came: a new order then touches one page of the disk for all that it refers to, and
not one for each. Older journals have blob and subject for their key: there the orders of a batch with such a use are taken one by one.
"""

SESSIONS = Table(
    "sessions",
    METADATA,
    Column("token", String(64), primary_key=True),
    Column("account", String(42), nullable=False, index=True),
    Column("nonce", String(64), nullable=False, unique=True),
    Column("expires_at", BigInteger, nullable=False),
)
"""By the sha256 of the token: who reads the journal cannot read as somebody else."""

SECRETS = Table(
    "secrets",
    METADATA,
    Column("name", String(32), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

TRANSACTIONS = Table(
    "transactions",
    METADATA,
    Column("sequence", SEQUENCE, primary_key=True, autoincrement=True),
    Column("tx_hash", String(66), nullable=False, unique=True),
    Column("account", String(42), nullable=False),
    Column("nonce", BigInteger, nullable=False),
    Column("name", String(160), nullable=False),
    Column("verb", String(32), nullable=False),
    Column("raw", Text, nullable=False),
    Column("since_block", BigInteger, nullable=False),
    Column("stake", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("block_number", BigInteger),
    Column("block_hash", String(66)),
    Column("why", Text, nullable=False),
    Column("is_told", Boolean, nullable=False),
    CheckConstraint("(state = 'mined') = (block_number IS NOT NULL)", name="mined_in_a_block"),
    Index("transactions_by_nonce", "account", "nonce"),
)
"""The outbox: every transaction that was signed here (``domain.transactions.Outgoing``)."""

SERVINGS = Table(
    "servings",
    METADATA,
    Column("lease", String(66), primary_key=True),
    Column("opened_at", BigInteger, primary_key=True),
    Column("offer", BigInteger, nullable=False),
    Column("price", String(32), nullable=False),
    Column("order", JSON, nullable=False),
    Column("opened_in_block", BigInteger, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("folder", Text, nullable=False),
    Column("pid", Integer),
    Column("exit_code", Integer),
    Column("ended", String(24), nullable=False),
    Column("used_seconds", BigInteger),
    Column("lost_seconds", BigInteger, nullable=False),
    Column("result", String(66)),
    Column("provider_signature", Text, nullable=False),
    Column("client_signature", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

PARTINGS = Table(
    "partings",
    METADATA,
    Column("lease", String(66), primary_key=True),
    Column("opened_at", BigInteger, primary_key=True),
    Column("ended", String(24), nullable=False),
    Column("exit_code", Integer),
    Column("note", Text, nullable=False),
    Column("used_seconds", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
)
"""Closed servings of which something is still to be handed over."""

WORKSPACES = Table(
    "workspaces",
    METADATA,
    Column("lease", String(66), primary_key=True),
    Column("opened_at", BigInteger, primary_key=True),
)
"""Servings of sessions whose files are for whoever goes on with them."""

LISTINGS = Table(
    "listings",
    METADATA,
    Column("offer", BigInteger, primary_key=True, autoincrement=False),
    Column("machine", String(64), nullable=False),
)

CURSORS = Table(
    "cursors",
    METADATA,
    Column("name", String(32), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("hash", String(66), nullable=False),
    Column("timestamp", BigInteger, nullable=False),
)

BLOCKS = Table(
    "blocks",
    METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", String(66), nullable=False),
    Column("timestamp", BigInteger, nullable=False),
)

WISHES = Table(
    "wishes",
    METADATA,
    Column("name", String(32), primary_key=True),
    Column("content", JSON, nullable=False),
)
"""What an agent's operator wants of it, and what the agent last told of itself: one row each."""

SHARED_TABLES = (COUNTERS, MOVES, EVENTS, TRANSACTIONS, RECEIPTS)
OPERATOR_TABLES = (*SHARED_TABLES, ORDERS, ANSWERS, ROUNDS, ROUND_SUMS, UPLOADS, USES, SESSIONS, SECRETS)
AGENT_TABLES = (*SHARED_TABLES, SERVINGS, PARTINGS, WORKSPACES, LISTINGS, CURSORS, BLOCKS, WISHES)

ORDER_MOVES: Mapping[str, frozenset[str]] = {
    "": frozenset({"accepted"}),
    "accepted": frozenset({"withdrawn"}),
}
SENDING_MOVES: Mapping[str, frozenset[str]] = {
    "": frozenset({"unmined"}),
    "unmined": frozenset({"mined", "dropped"}),
    "dropped": frozenset({"mined", "unmined"}),  # given up too early; or signed and sent once more
    # In another block after a reorganisation, in none, or a rival of its nonce is.
    "mined": frozenset({"mined", "unmined", "dropped"}),
}
SERVING_MOVES: Mapping[str, frozenset[str]] = {"": frozenset({"seen"})} | {
    str(state): frozenset(map(str, onward)) for state, onward in SERVING_TRANSITIONS.items()
}
MOVES_BY_KIND = {"order": ORDER_MOVES, "transaction": SENDING_MOVES, "serving": SERVING_MOVES}
