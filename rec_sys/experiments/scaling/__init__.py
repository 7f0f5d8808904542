"""What a review costs as the data grows."""
