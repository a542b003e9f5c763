"""Where providers and clients meet who sit at a job: joins two WebSockets, and sees ciphertext."""
