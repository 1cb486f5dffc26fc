"""More rows out of the rows there are: other words, other tokens, other numbers."""
