"""Answers that other programs recorded, as recordings: AlpacaEval, lm-evaluation-harness, Inspect, CSV, JSON lines."""
