"""What must be cut together: a model's graph, read once, as named axes."""

from nlpcompress.axes.axis import Axes, Axis, Slice, Tap
from nlpcompress.axes.find import find_axes

__all__ = ["Axes", "Axis", "Slice", "Tap", "find_axes"]
