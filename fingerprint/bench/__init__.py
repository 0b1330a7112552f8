"""Benchmarks: what the program is worth, measured on models of known lineage."""
