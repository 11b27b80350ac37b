"""A caching reverse proxy for the hub: may we send what we already have?

The way of a request through the files is told in `docs/life-of-a-request.md`.
"""
