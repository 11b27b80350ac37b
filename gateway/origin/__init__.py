"""The way to the origin: endpoints, connections, exchanges."""
