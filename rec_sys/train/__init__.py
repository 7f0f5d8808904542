"""The main job: learn from reviews and write a bundle."""
