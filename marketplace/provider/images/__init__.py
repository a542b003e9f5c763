"""Container images on a provider's machine: pulled, checked, unpacked without an engine, and kept for the next job."""
