"""The only package that changes a model's shape: cut for real, verified against the mask."""

from nlpcompress.surgery.apply import apply_plan

__all__ = ["apply_plan"]
