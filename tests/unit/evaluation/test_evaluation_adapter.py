"""Metrics of the `evaluate` library: from a file, and what is said where an id cannot be
fetched.
"""

import numpy as np
import pytest

from nlpcompress.errors import DataError
from nlpcompress.evaluation.metrics import load_metric

LOGITS, LABELS = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]), np.array([1, 1, 1])

MODULE = """
import datasets
import evaluate


class Shares(evaluate.Metric):
    def _info(self):
        kind = datasets.Value("{kind}")
        pair = datasets.Features({{"predictions": kind, "references": kind}})
        return evaluate.MetricInfo("", citation="", features=pair, inputs_description="")

    def _compute(self, predictions, references):
        pairs = list(zip(predictions, references))
        right = sum(p == r for p, r in pairs) / len(pairs)
        return {returned}
"""


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    # One folder for all tests: the library imports its modules as one package, found once.
    folder = tmp_path_factory.mktemp("evaluate")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evaluate.config.HF_MODULES_CACHE", folder / "modules")
        patch.setattr("evaluate.config.HF_METRICS_CACHE", folder / "metrics")
        yield


@pytest.fixture
def module(tmp_path):
    def write(name, returned, kind="int64"):
        path = tmp_path / f"{name}.py"
        path.write_text(MODULE.format(returned=returned, kind=kind))
        return str(path)

    return write


def test_a_local_module_measures_classes(module):
    path = module("share_right", '{"right": right}')
    assert load_metric(f"evaluate:{path}")(LOGITS, LABELS) == pytest.approx(2 / 3)


def test_a_local_module_measures_real_numbers(module):
    path = module("share_equal", '{"right": right}', "float32")
    assert load_metric(f"evaluate:{path}")(np.array([[0.5], [2.0]]), np.array([0.5, 1.0])) == 0.5


def test_one_of_several_numbers_is_named(module):
    path = module("share_both", '{"right": right, "wrong": 1 - right}')
    assert load_metric(f"evaluate:{path}#wrong")(LOGITS, LABELS) == pytest.approx(1 / 3)
    for name in (f"evaluate:{path}", f"evaluate:{path}#left"):
        with pytest.raises(DataError, match=r"returns right, wrong; name one as evaluate:.*#NAME"):
            load_metric(name)(LOGITS, LABELS)


def test_what_is_not_finite_is_refused_here_too(module):
    path = module("share_nan", '{"right": right}')
    metric = load_metric(f"evaluate:{path}")
    with pytest.raises(DataError, match="NaN or infinite"):
        metric(LOGITS * np.nan, LABELS)


def test_an_id_without_a_connection_says_what_to_do(module):
    with pytest.raises(DataError, match=r"evaluate:accuracy could not be loaded.*give the path"):
        load_metric("evaluate:accuracy")


def test_a_path_that_is_absent_is_named():
    with pytest.raises(DataError, match=r"evaluate:/no/metric\.py: there is no such file"):
        load_metric("evaluate:/no/metric.py")
