"""Readers, the built-in sample, download, preparation and splits: from raw files to validated Parquet."""
