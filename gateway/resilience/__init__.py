"""Pure arithmetic of retries and waits."""
