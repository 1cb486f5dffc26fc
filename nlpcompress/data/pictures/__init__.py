"""Changes of training pictures, drawn anew whenever one is seen."""
