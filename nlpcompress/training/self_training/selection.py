"""Which pseudo-labelled examples to learn from: the confident ones, as many of each class."""

from dataclasses import dataclass

import numpy as np

from nlpcompress.errors import DataError


@dataclass(frozen=True)
class Selection:
    """Rows `(M,)` of the unlabelled set, some several times, and the class of each `(M,)`.

    `confident` rows passed the threshold, `per_class[c]` of those taken are of class c.
    """

    rows: np.ndarray
    labels: np.ndarray
    confident: int
    per_class: tuple[int, ...]


def select(
    probabilities: np.ndarray,
    *,
    threshold: float = 0.0,
    balance: bool = True,
    per_class: int | None = None,
) -> Selection:
    """Choose among examples with class probabilities `(N, C)`.

    With `balance` each class gets `per_class` rows: its most confident ones, and where it has
    fewer, those again. Not given, `per_class` is the mean number of confident rows a class has,
    rounded up. A class that the teacher never chose stays empty.

        select(np.array([[.9, .1], [.8, .2], [.4, .6], [.7, .3]]), threshold=0.65, per_class=2)
        # rows 0 and 1, both of class 0; of class 1 nothing is confident

    Raises `DataError` when no row is confident.

    Source: Xie et al. 2020, section 3.1 ("data filtering and balancing"): threshold 0.3, and
    130,000 images a class.
    Differs: rows are repeated by turns, the most confident first, where the paper draws them.
    """
    labels, confidence = probabilities.argmax(-1), probabilities.max(-1)
    rows = confident_rows(confidence, threshold)
    if balance:
        amount = per_class or -(-len(rows) // len(np.unique(labels[rows])))
        rows = balanced_rows(rows, labels, confidence, amount)
    chosen = labels[rows]
    counts = np.bincount(chosen, minlength=probabilities.shape[1])
    passed = int((confidence >= threshold).sum())
    return Selection(rows, chosen, passed, tuple(int(count) for count in counts))


def confident_rows(confidence: np.ndarray, threshold: float) -> np.ndarray:
    """Rows whose highest probability is at least `threshold`. Raises `DataError` for none."""
    rows = np.flatnonzero(confidence >= threshold)
    if not len(rows):
        raise DataError(
            f"the teacher gives no unlabelled example a probability of {threshold} (the highest "
            f"of all is {confidence.max():.3f}); lower threshold, or start with a better teacher"
        )
    return rows


def balanced_rows(
    rows: np.ndarray, labels: np.ndarray, confidence: np.ndarray, amount: int
) -> np.ndarray:
    """Of each class `amount` of the `rows`, the most confident, by turns where there are fewer."""
    ordered = rows[np.argsort(-confidence[rows], kind="stable")]
    classes = [ordered[labels[ordered] == label] for label in np.unique(labels[rows])]
    return np.concatenate([np.resize(of_class, amount) for of_class in classes])
