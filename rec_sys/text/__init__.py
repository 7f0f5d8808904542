"""MiniLM through onnxruntime and the store that embeds every text once."""
