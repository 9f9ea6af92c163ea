"""The version, as a constant: reading the package's metadata costs more than all of `--version`."""

__version__ = "0.1.0"
