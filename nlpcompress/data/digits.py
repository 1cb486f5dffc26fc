"""Handwritten digits of 8×8 pixels, 1,797 of them, that scikit-learn carries.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI repository,
1998.
"""

import datasets
import numpy as np
from sklearn.datasets import load_digits

from nlpcompress.data.config import DataConfig
from nlpcompress.data.source import Source

DARKEST = 16.0


def read_digits(config: DataConfig) -> Source:
    """Grey pictures uint8 `(8, 8)` with values 0 to 255; classes 0 to 9."""
    raw = load_digits()
    pictures = np.round(raw.images * (255.0 / DARKEST)).astype(np.uint8)
    features = datasets.Features(
        {
            "image": datasets.Array2D(shape=(8, 8), dtype="uint8"),
            "label": datasets.ClassLabel(names=[str(digit) for digit in range(10)]),
        }
    )
    values = {"image": pictures, "label": raw.target}
    return Source(datasets.Dataset.from_dict(values, features=features), None, None, "label")
