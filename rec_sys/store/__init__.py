"""What is written while the service runs: an append-only log of reviews, which every view catches up with."""
