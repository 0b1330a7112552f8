"""Statistics: arrays in, results out. Nothing here knows what a model is."""
