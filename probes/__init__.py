"""Data of the package: one TOML file per curated probe set."""
