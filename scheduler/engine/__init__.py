"""From a snapshot of the market to a plan of fills. Pure: no clock, no network, no randomness."""
