"""Attention over reviews, the user and product towers, the losses and their ONNX export."""
