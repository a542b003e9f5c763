"""How near to the optimum the engine clears, and how fast: markets, bounds, other ways to clear, and the table of all."""
