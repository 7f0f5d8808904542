"""Cold-start users and new products: how well they are served."""
