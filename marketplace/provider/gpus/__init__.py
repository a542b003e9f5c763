"""The machine's GPUs: what NVML says of them, which class each is, whose they are, and how a job gets exactly its own."""
