"""What the specifications decide: pure functions, no socket, no clock."""
