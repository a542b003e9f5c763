"""Where a job's client sits at its machine: an SSH server for each job, reached through relays, off the money's path."""
