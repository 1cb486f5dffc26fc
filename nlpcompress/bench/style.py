"""How the pictures of a report look, on a light page and on a dark one."""

from typing import Any

COLOURS = ("#5b6b7b", "#2f7fb8", "#e08a2e", "#4a9a62", "#a35a9b", "#b8534f")
"""The first, grey, is the model before compression."""
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


def colour_of(place: int) -> str:
    """Of the row at this place: grey is the first one's alone."""
    return COLOURS[0] if place == 0 else COLOURS[1 + (place - 1) % (len(COLOURS) - 1)]
