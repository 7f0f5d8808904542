"""Other recommenders that the model is measured against, on the same split and by the same metrics."""
