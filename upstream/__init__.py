"""The hub: a SaaS with pages and a JSON API on PostgreSQL, whose answers deserve a cache.

It knows the gateway in front of it only over HTTP: by the ``Cache-Control`` and
``Cache-Groups`` it sends, and by the key set it publishes for its organization token.
"""

__version__ = "0.1.0"
