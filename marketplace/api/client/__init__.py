"""The HTTP client of a gateway: records and signatures over httpx; SDK, agent and audit speak through it."""
