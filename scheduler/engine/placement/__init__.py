"""One clearing: the auction, with groups and overdue orders before it, regions and those who are served last after it."""
