"""Fine-tunes a text encoder on reviews; it reads prepared data and graphs, and the encoders know nothing of it."""
