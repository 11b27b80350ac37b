"""The public HTTP caching tests, run against the gateway over real sockets."""
