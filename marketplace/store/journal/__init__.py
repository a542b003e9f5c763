"""What must not be lost and is not on the chain: orders, receipts, answers, rounds, transactions, servings."""
