"""One set of weights for several layers, and narrow embeddings."""
