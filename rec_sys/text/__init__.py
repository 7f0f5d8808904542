"""Text encoders and the store that embeds every text once."""
