"""Protocols, metrics and peers: what a figure means and what it stands beside."""
