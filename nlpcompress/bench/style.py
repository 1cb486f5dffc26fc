"""How the pictures of a report look, on a light page and on a dark one."""

from typing import Any

COLOURS = ("#5b6b7b", "#2f7fb8", "#e08a2e", "#4a9a62")
"""The first, grey, is the model before compression; the third, of models, is the best."""
FAINT, INK = "#8a94a0", "#20262c"
WIDTH = 9.0
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.edgecolor": FAINT,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
    "savefig.facecolor": "none",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "svg.hashsalt": "nlpcompress",
}
