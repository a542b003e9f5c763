"""Who gets which GPUs, and the least prices at which nobody has a reason to complain: compiled, in integers."""
