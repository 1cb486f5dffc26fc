"""Methods decide: they look at a model or teach it, and return a plan. They change no shape."""

from nlpcompress.methods.table import METHODS, make_method

__all__ = ["METHODS", "make_method"]
