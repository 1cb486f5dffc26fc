"""How good a model is: metrics that work offline, over any callable that predicts a batch."""
