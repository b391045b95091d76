"""The DANDI Archive as DataLad datasets, kept up to date."""

__version__ = "0.1.0"
