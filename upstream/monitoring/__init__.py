"""What the hub knows about its own queries: counts, percentiles, slow ones with their plans.

`monitor.py` hears of every query that any connection runs, `statistics.py` keeps what is
known of each kind of query, `export.py` and `datadog.py` tell others, and `indexes.py` asks
PostgreSQL what it knows about its indexes.
"""
