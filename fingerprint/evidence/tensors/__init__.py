"""Weights × weights on whole tensors: the same places, the same neurons in another order, another basis."""
