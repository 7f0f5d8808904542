"""The HTTP service: recommendations with their reasons, health, metrics, and a demo of the whole road."""
