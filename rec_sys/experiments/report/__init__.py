"""The benchmark as a page: one HTML file with everything in it."""
