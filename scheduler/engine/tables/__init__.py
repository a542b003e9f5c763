"""The snapshot's orders, offers and accounts as columns of integers; rows that stayed are not read again."""
