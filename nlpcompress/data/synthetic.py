"""Tiny made sets for smoke runs: no download, equal on every machine, soon learnt."""

import datasets
import numpy as np

from nlpcompress.data.config import DataConfig
from nlpcompress.data.source import Source

CLASS_WORDS = {
    "cold": ("ice", "snow", "frost", "winter", "north", "freeze"),
    "warm": ("sun", "heat", "summer", "south", "fire", "desert"),
}
FILLER_WORDS = (
    "the",
    "a",
    "is",
    "was",
    "we",
    "saw",
    "it",
    "and",
    "then",
    "there",
    "one",
    "day",
    "very",
    "far",
)
VOCABULARY = tuple(word for words in CLASS_WORDS.values() for word in words) + FILLER_WORDS

TRAIN_ROWS, TEST_ROWS = 256, 64
IMAGE_SIZE = 32
IMAGE_CLASSES = ("left", "right", "top", "bottom")


def read_text(config: DataConfig) -> Source:
    """Two balanced classes; a text has 4 to 12 words, two of them from its class's own list."""
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=list(CLASS_WORDS))}
    )
    train, test = (
        datasets.Dataset.from_dict(_texts(rows, seed), features=features)
        for rows, seed in ((TRAIN_ROWS, 1), (TEST_ROWS, 2))
    )
    return Source(train, test, ("text",), "label")


def read_images(config: DataConfig) -> Source:
    """Four balanced classes of 32×32 colour noise, each with another half brighter."""
    features = datasets.Features(
        {
            "image": datasets.Array3D(shape=(IMAGE_SIZE, IMAGE_SIZE, 3), dtype="uint8"),
            "label": datasets.ClassLabel(names=list(IMAGE_CLASSES)),
        }
    )
    train, test = (
        datasets.Dataset.from_dict(_pictures(rows, seed), features=features)
        for rows, seed in ((TRAIN_ROWS, 1), (TEST_ROWS, 2))
    )
    return Source(train, test, None, "label")


def _texts(rows: int, seed: int) -> dict[str, object]:
    random = np.random.RandomState(seed)
    labels = [row % len(CLASS_WORDS) for row in range(rows)]
    telling = list(CLASS_WORDS.values())
    texts = []
    for label in labels:
        words = [
            *random.choice(telling[label], 2),
            *random.choice(FILLER_WORDS, random.randint(2, 11)),
        ]
        texts.append(" ".join(random.permutation(words)))
    return {"text": texts, "label": labels}


def _pictures(rows: int, seed: int) -> dict[str, object]:
    pictures = (
        np.random.RandomState(seed)
        .randint(0, 128, (rows, IMAGE_SIZE, IMAGE_SIZE, 3))
        .astype(np.uint8)
    )
    half = IMAGE_SIZE // 2
    bright = (np.s_[:, :half], np.s_[:, half:], np.s_[:half], np.s_[half:])
    labels = [row % len(IMAGE_CLASSES) for row in range(rows)]
    for picture, label in zip(pictures, labels, strict=True):
        picture[bright[label]] += 100
    return {"image": pictures, "label": labels}
