"""What the market keeps: journals (SQL), the board (Redis), blobs (files). Only journals must not be lost."""
