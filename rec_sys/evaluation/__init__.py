"""Protocols, metrics and baselines: what a figure means and what it stands beside."""
