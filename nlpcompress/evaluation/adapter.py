"""Metrics of Hugging Face's `evaluate` library, as metrics of ours."""

from pathlib import Path
from typing import Any

import evaluate
import numpy as np

from nlpcompress.errors import DataError
from nlpcompress.evaluation.inputs import predicted_classes, real_predictions
from nlpcompress.evaluation.tally import Metric


def library_metric(reference: str) -> Metric:
    """The metric of a module: the path of its file, or an id of the hub (needs a connection).


    A module that returns several numbers needs the wanted one after a hash mark:
    `/metrics/scores.py#recall`. It is given class numbers where the predictions have several
    columns, else real numbers. Raises `DataError`.
    """
    place, _, key = reference.partition("#")
    module = _load(place)

    def metric(predictions: np.ndarray, labels: np.ndarray) -> float:
        several = predictions.ndim == 2 and predictions.shape[1] > 1
        values = (predicted_classes if several else real_predictions)(predictions, labels)
        return _pick(module.compute(predictions=values, references=labels), key, place)

    return metric


def _load(place: str) -> evaluate.EvaluationModule:
    if place.endswith(".py") and not Path(place).is_file():
        raise DataError(f"metric evaluate:{place}: there is no such file (seen from {Path.cwd()})")
    try:
        return evaluate.load(place, keep_in_memory=True)
    except (OSError, ImportError, ValueError) as error:
        raise DataError(
            f"metric evaluate:{place} could not be loaded: {error}. The evaluate library carries "
            "no metrics itself: it fetches an id from the hub; offline, give the path of a "
            "metric's .py file, or a metric of the table without 'evaluate:'"
        ) from error


def _pick(results: dict[str, Any] | None, key: str, place: str) -> float:
    results = results or {}
    if not key and len(results) == 1:
        return float(next(iter(results.values())))
    if key not in results:
        raise DataError(
            f"metric evaluate:{place} returns {', '.join(results) or 'nothing'}; name one as "
            f"evaluate:{place}#NAME"
        )
    return float(results[key])
