"""Matrices as products of narrow ones."""
