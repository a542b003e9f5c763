"""What `make bench PART=floods` measures, in words. Imports nothing heavy: documents are rendered by it too."""

from __future__ import annotations

GROUP, COMMAND = "floods", "make bench PART=floods"
ORDERS, OFFERS = 100_000, 10_000
FLOODS = {
    "usual": "no flood: the uniform market",
    "sizes": "half of the orders are gangs of 250 different sizes up to 65,000 GPUs, the others of one GPU, on machines of 65,535",
    "excluding": "every order excludes a provider",
    "wide": "one market; one order in five excludes a provider, gangs of 120 sizes",
    "chain": "10,000 orders, each for one of two providers, the next one for the second of them and a third, and so on",
    "penniless": "all offers are of one provider who cannot pay a bond, and each order would need a smaller one than the order before it",
    "preferring": "all orders prefer a region that is too dear for them, and share one balance",
    "groups": "16,000 orders in groups of 16 that nearly fit with each of 500 providers",
}


def key(flood: str) -> str:
    return f"{GROUP}.{flood}_seconds"


def words() -> dict[str, str]:
    """What each key of ``docs/figures.json`` says."""
    return {key(flood): f"seconds of a round: {words}" for flood, words in FLOODS.items()}
