"""The product index: a bundle's products in Qdrant, in process or on a server, ranked as the model ranks them."""
