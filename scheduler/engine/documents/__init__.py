"""Rounds as documents: what they looked at, in pages, and what they decided; written here, and read back from strangers."""
