"""The report: one versioned schema, and renderers that decide nothing."""
