"""The built-in sample, so that a newcomer sees the whole road without a download, and a test knows the best score."""

from rec_sys.data.sample.generation import Sample, generate_sample
from rec_sys.data.sample.oracle import Oracle

__all__ = ["Oracle", "Sample", "generate_sample"]
