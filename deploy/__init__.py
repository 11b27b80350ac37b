"""How the gateway and the hub are started together."""
