"""A month of a shop's days, played through."""
