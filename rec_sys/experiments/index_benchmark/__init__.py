"""How fast and how exact the index is."""
