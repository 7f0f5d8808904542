"""The time-sorted review graph and its temporal sampler."""
