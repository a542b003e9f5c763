"""The way out of a job's empty network: a proxy that connects to what the job's spec lists, and to nothing else."""
