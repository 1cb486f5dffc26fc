"""The only package that changes a model's shape: each edit is cut for real, then verified
against the masked model.
"""

from nlpcompress.surgery.apply import apply_plan

__all__ = ["apply_plan"]
