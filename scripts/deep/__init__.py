"""The deep checks of the contracts: they take minutes to hours, and write what they measured to docs/figures.json."""
