"""The provider's side: the agent, what it offers, and the sandboxes it runs jobs in."""
