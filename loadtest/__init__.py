"""Load tests against a gateway and the hub behind it, known to them only over HTTP.

`profiles.json` holds every number once; `definition.py` reads it for Python and
`k6/options.js` for k6.  `dashboard.py` and `api_stress.py` are k9 scripts, `k6/` the same
for k6.  `run.py` starts one of them and turns what it measured into a report; `compare.py`
sets two reports side by side, `slo.py` answers the brief's table, and `crowd/` holds a hundred
thousand connections with a client made for that alone.
"""
