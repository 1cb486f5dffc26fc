"""What a report says of its models before the table, and how its pictures tell them apart."""

import pytest

from nlpcompress.bench import Report, Row, Timing, write_report
from nlpcompress.bench.colours import colours_of
from nlpcompress.bench.headlines import MANY, headlines
from nlpcompress.bench.plots import draw
from nlpcompress.bench.rows import Bound
from nlpcompress.bench.style import COLOURS

TRIED = (
    ("teacher", "onnxruntime", 100.0, 0.87),
    ("teacher-int8", "onnxruntime", 50.0, 0.87),
    ("small", "onnxruntime", 40.0, 0.868),
    ("small-int8", "onnxruntime", 20.0, 0.865),
    ("small-static-int8", "onnxruntime", 15.0, 0.84),
    ("small-openvino", "openvino", 30.0, 0.868),
    ("small-nncf-int8-openvino", "openvino", 10.0, 0.866),
)


def report(tried=TRIED, **more):
    rows = tuple(
        Row(
            name=name,
            runtime=runtime,
            metrics={"accuracy": quality},
            latency_ms={"8x64": Timing(median=ms, p5=ms, p95=ms, samples=9)},
        )
        for name, runtime, ms, quality in tried
    )
    return Report(rows=rows, bound=Bound(metric="accuracy", max_drop=0.01), **more)


def test_few_models_are_all_compared():
    assert len(headlines(report(TRIED[: MANY + 1]))) == MANY


def test_of_many_the_best_of_each_runtime_is():
    """The static one is faster than the bound allows."""
    assert headlines(report()) == [
        "small-int8: 5.00 times faster at 8x64, accuracy 0.8650 (0.8700 before)",
        "small-nncf-int8-openvino: 10.00 times faster at 8x64, accuracy 0.8660 (0.8700 before)",
    ]


def test_the_model_before_is_grey_and_the_best_stands_out():
    assert colours_of(report()) == [*[COLOURS[0]] * 2, *[COLOURS[1]] * 4, COLOURS[2]]


def test_a_report_without_times_has_no_best():
    rows = (Row(name="teacher", parameters=2), Row(name="small", parameters=1))
    assert colours_of(Report(rows=rows)) == [COLOURS[0], COLOURS[1]]


def test_models_may_share_a_name():
    twice = report((*TRIED, TRIED[-1]))
    assert len(colours_of(twice)) == len(TRIED) + 1
    assert len(draw(twice)["Quality"].axes[0].collections) == len(TRIED) + 1


def test_qualities_are_points_with_their_intervals_as_near_as_they_lie():
    (panel, *_) = draw(report(samples=2009))["Quality"].axes
    assert not panel.patches
    assert [float(points.get_offsets()[0][0]) for points in panel.collections] == [
        quality for *_, quality in TRIED
    ]
    assert panel.lines[0].get_xdata() == pytest.approx([0.8546, 0.8840], abs=1e-4)
    assert panel.get_xlim()[0] > 0.8


def test_on_the_page_an_interval_stands_below_its_number(tmp_path):
    write_report(report(samples=2009), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "<td>0.8700<small>0.8546 to 0.8840</small></td>" in page
    assert "<td>100.00<small>100.00 to 100.00</small></td>" in page
    assert "<td>small-int8</td>" in page
