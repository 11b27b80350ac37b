"""A client for one purpose: very many connections, or very many requests, from small machines.

k6 and k9 give each user a script of its own and need a megabyte for it; here a user is a socket,
a place in a timer wheel and one of a few prepared requests. `client.py` is one process of them,
`__main__.py` starts several, adds them up and looks at what they cost.
"""
