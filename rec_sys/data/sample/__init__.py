"""The built-in sample, so that a newcomer sees the whole road without a download, and a test knows the best score."""

from rec_sys.data.sample.generation import Sample, generate_sample

__all__ = ["Sample", "generate_sample"]
