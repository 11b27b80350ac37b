"""Benchmarks: one file per hot path, run by `make bench`."""
