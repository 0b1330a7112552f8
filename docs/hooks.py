"""Hooks of mkdocs: the pages that the program writes about itself."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from fingerprint import reference


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the reference of commands and the error rates, made anew at every build."""
    bench = Path(config.config_file_path).parent / "bench"
    files.append(File.generated(config, "commands.md", content=reference.cli_page()))
    files.append(File.generated(config, "errors.md", content=reference.error_page(bench)))
    return files
