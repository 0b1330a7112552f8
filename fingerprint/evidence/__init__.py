"""Evidence: recordings in, findings or reasons for none out. One file per family of methods; no thresholds."""
