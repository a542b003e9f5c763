"""Holds a round against its own documents and against the chain. Reads only: no key, no store, nobody's permission."""
