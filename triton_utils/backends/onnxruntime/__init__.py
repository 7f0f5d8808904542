"""A stand-in for Triton's onnxruntime backend where the server has Python's backend alone."""
