"""Which route a request takes, and who asks."""
