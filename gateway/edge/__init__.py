"""Where bytes from clients meet decisions."""
