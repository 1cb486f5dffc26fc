"""One rule an operation: how it unifies, splits and freezes the dimensions of its tensors."""
