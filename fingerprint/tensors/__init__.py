"""Weights as they lie on disk: read tensor by tensor, a few rows at a time, without torch."""
