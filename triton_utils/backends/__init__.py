"""Backends for Triton that are written in Python; one folder each, named as in a model's config.pbtxt."""
