"""Data sets by name, checked at the door, tokenised and collated; the split never depends on a
recipe's seed.
"""
