"""What a reader of data hands over: raw splits and the columns it knows the meaning of."""

from collections.abc import Callable
from dataclasses import dataclass

import datasets

from nlpcompress.data.config import DataConfig


@dataclass(frozen=True)
class Source:
    """Raw rows. Without a `test` split of its own, a fixed fifth of `train` is held out.

    `text_columns` and `label_column` are what the reader knows; None means "look for the usual
    names".
    """

    train: datasets.Dataset
    test: datasets.Dataset | None = None
    text_columns: tuple[str, ...] | None = None
    label_column: str | None = None


Reader = Callable[[DataConfig], Source]
