"""Models behind one door: a spec names a model, the registry opens it, a backend answers for it."""
