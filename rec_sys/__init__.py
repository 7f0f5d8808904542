"""A recommender that reads what people write: attention over the reviews of a user-product graph."""
