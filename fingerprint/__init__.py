"""The forensic laboratory for the lineage of language models."""

from fingerprint._version import __version__

__all__ = ["__version__"]
