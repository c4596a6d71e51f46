"""Benchmarks: how fast, how small, how soon; `make bench` prints them as a table."""
