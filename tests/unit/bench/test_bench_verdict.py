"""The first line of a report names the model that one would take."""

import json

import pytest

from nlpcompress.bench import Bound, Report, Row, Timing, read_report, write_report
from nlpcompress.bench.verdict import verdict


def row(name, accuracy, milliseconds, megabytes, **values):
    times = {
        shape: Timing(median=factor * milliseconds, p5=0.1, p95=1000.0, samples=5)
        for shape, factor in (("1x64", 1.0), ("8x64", 8.0))
    }
    size = int(megabytes * 1e6)
    return Row(
        name=name,
        metrics={"accuracy": accuracy},
        latency_ms=times,
        onnx_size_bytes=size,
        **values,
    )


TEACHER = row("teacher", 0.90, 10.0, 80)
ROWS = (
    TEACHER,
    row("teacher-int8", 0.90, 0.1, 1),
    row("small", 0.89, 5.0, 40),
    row("small-int8", 0.85, 2.0, 10),
)


def said(rows=ROWS, **bound):
    return verdict(Report(rows=rows, bound=Bound(metric="accuracy", **bound)))


def test_the_model_before_has_no_name_of_a_runtime():
    """All its rows are told from the others', whatever runs the first of them."""
    rows = (
        row("teacher-openvino", 0.90, 10.0, 80, runtime="openvino"),
        row("teacher-int8-openvino", 0.90, 0.1, 1, runtime="openvino"),
        row("small-openvino", 0.90, 5.0, 40, runtime="openvino"),
    )
    assert said(rows).startswith("small-openvino is 2.00 times faster at 8x64 and 2.00 times")


def test_what_got_worse_is_said_so():
    text = said((TEACHER, row("deep", 0.91, 25.0, 100)))
    assert text.startswith("deep is 2.50 times slower at 8x64 and 1.25 times larger than teacher;")


@pytest.mark.parametrize(
    ("allowed", "text"),
    [
        (
            0.01,
            "small is 2.00 times faster at 8x64 and 2.00 times smaller than teacher; accuracy "
            "0.8900, 0.9000 before, within the 0.01 allowed.",
        ),
        (
            0.1,
            "small-int8 is 5.00 times faster at 8x64 and 8.00 times smaller than teacher; accuracy "
            "0.8500, 0.9000 before, within the 0.1 allowed.",
        ),
        (
            0.001,
            "small-int8 is 5.00 times faster at 8x64 and 8.00 times smaller than teacher; accuracy "
            "0.8500, 0.9000 before, beyond the 0.001 allowed.",
        ),
        (
            None,
            "small-int8 is 5.00 times faster at 8x64 and 8.00 times smaller than teacher; accuracy "
            "0.8500, 0.9000 before.",
        ),
    ],
)
def test_the_fastest_within_the_bound_is_named(allowed, text):
    assert said(max_drop=allowed) == text


def test_the_file_to_take_is_named_with_it(tmp_path):
    """In report.json the best of each runtime is, too; it is read back without."""
    rows = (
        row("teacher", 0.90, 10.0, 80, runtime="onnxruntime"),
        row("small", 0.90, 5.0, 40, runtime="onnxruntime", onnx_file="model.onnx"),
        row("small-int8", 0.90, 3.0, 10, runtime="onnxruntime", onnx_file="model_int8.onnx"),
        row("small-openvino", 0.90, 4.0, 40, runtime="openvino", onnx_file="model.onnx"),
    )
    report = Report(rows=rows)
    assert verdict(report).startswith("small-int8 (onnx/model_int8.onnx) is 3.33 times faster")
    values = json.loads(write_report(report, tmp_path).read_text())
    assert values["best"] == {"onnxruntime": "small-int8", "openvino": "small-openvino"}
    assert read_report(tmp_path) == report


def test_of_an_error_less_is_better():
    rows = (row("teacher", 0.10, 10.0, 80), row("a", 0.05, 5.0, 40), row("b", 0.2, 2.0, 10))
    assert said(rows, max_drop=0.01, greater_is_better=False).startswith("a is 2.00 times faster")


def test_nothing_is_said_of_what_was_not_measured():
    assert said((TEACHER,)) is None
    assert said((TEACHER, row("teacher-int8", 0.9, 1.0, 1))) is None
    untimed = Row(name="small", metrics={"accuracy": 0.9})
    assert said((TEACHER, untimed)) is None
    plain = Row(name="small", latency_ms=TEACHER.latency_ms)
    assert said((TEACHER, plain)) == "small is 1.00 times faster at 8x64 than teacher."


def test_both_pages_begin_with_it(tmp_path):
    report = Report(rows=ROWS, bound=Bound(metric="accuracy"))
    write_report(report, tmp_path)
    lines = (tmp_path / "report.md").read_text().splitlines()
    assert lines[2] == f"**{verdict(report)}**"
    page = (tmp_path / "report.html").read_text()
    assert page.index("<h1>") < page.index(verdict(report)) < page.index("<ul>")
