import json

import pytest
from scipy import stats

from nlpcompress.bench import Report, Row, Timing, read_report, write_report
from nlpcompress.bench.interval import interval
from nlpcompress.errors import FormatError


def report():
    teacher = Row(
        name="teacher",
        metrics={"accuracy": 0.8675},
        parameters=22_700_000,
        size_bytes=90_000_000,
        onnx_size_bytes=91_500_000,
        macs=10,
        latency_ms={"8x64": Timing(median=100.0, p5=98.0, p95=110.0, samples=20)},
    )
    small = Row(
        name="<compressed>",
        metrics={"accuracy": 0.8625},
        onnx_size_bytes=18_300_000,
        latency_ms={"8x64": Timing(median=25.0, p5=24.0, p95=27.0, samples=20)},
    )
    return Report(
        rows=(teacher, small),
        environment={"threads": 1, "cpu_features": ["avx2"]},
        recipe_hash="00ff",
        samples=2009,
        stages=({"method": "fine_tune", "seconds": 12.4, "edits": 0, "parameters": 22_700_000},),
    )


def test_the_work_of_a_pass_is_told_with_the_shape_that_it_is_of(tmp_path):
    def titles(**second) -> str:
        rows = (Row(name="teacher", macs=10, pass_shape="8x64"), Row(name="small", **second))
        write_report(Report(rows=rows), tmp_path)
        return (tmp_path / "report.md").read_text()

    assert "MACs at 8x64, millions" in titles()
    assert "MACs at 8x64, millions" in titles(macs=5, pass_shape="8x64")
    assert "| MACs, millions" in titles(macs=5, pass_shape="1x64")


def test_a_report_is_read_back_equal(tmp_path):
    write_report(report(), tmp_path)
    assert read_report(tmp_path) == report()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "report.html",
        "report.json",
        "report.md",
    ]


def test_the_markdown_holds_the_numbers_their_ratios_and_what_was_not_measured(tmp_path):
    write_report(report(), tmp_path)
    text = (tmp_path / "report.md").read_text()
    lines = text.splitlines()
    assert (
        "- <compressed>: ONNX file 5.00 times smaller, 4.00 times faster at 8x64, "
        "accuracy 0.8625 (0.8675 before)"
    ) in lines
    cells = next(line for line in lines if line.startswith("| <compressed>")).split(" | ")
    assert cells[1:] == [
        "0.8625 (0.8467 to 0.8769)",
        "not measured",
        "not measured",
        "18.30",
        "not measured",
        "25.00 (24.00 to 27.00) |",
    ]
    assert "Quality on 2,009 test rows." in text
    assert "- cpu_features: avx2" in lines


def test_the_html_stands_alone_and_escapes_names(tmp_path):
    write_report(report(), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "&lt;compressed&gt;" in page
    assert "<compressed>" not in page
    assert page.count("<svg") == 3
    assert "src=" not in page
    assert "4.00 times faster" in page


def test_an_absent_torn_or_newer_report_is_named(tmp_path):
    with pytest.raises(FormatError, match="there is no"):
        read_report(tmp_path)
    values = report().to_json()
    (tmp_path / "report.json").write_text(json.dumps(values)[:100])
    with pytest.raises(FormatError, match="is torn or no report"):
        read_report(tmp_path)
    (tmp_path / "report.json").write_text(json.dumps({**values, "format_version": 2}))
    with pytest.raises(FormatError, match="format_version 2, this nlpcompress reads 1"):
        read_report(tmp_path)


@pytest.mark.parametrize(("macs", "said"), [(10, True), (5, False), (None, False)])
def test_what_saves_parameters_and_no_work_is_called_smaller_and_not_faster(macs, said, tmp_path):
    teacher, _ = report().rows
    shared = Row(name="shared", parameters=9_000_000, macs=macs)
    write_report(Report(rows=(teacher, shared)), tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert ("shared has fewer parameters than teacher" in text) is said
    assert ("smaller, and not faster" in text) is said


def layered():
    """The report above, with what its layers weigh."""
    whole = ({"attention": 400_000, "ffn": 800_000, "rest": 0},) * 3
    cut = ({"attention": 100_000, "ffn": 800_000, "rest": 0},) * 2
    first, second = report().rows
    rows = (
        first.model_copy(update={"layers": whole, "ledger": {"attention": 1_200_000, "head": 80}}),
        first.model_copy(update={"name": "teacher-int8", "layers": whole}),
        second.model_copy(update={"layers": cut, "ledger": {"attention": 200_000, "head": 80}}),
    )
    return report().model_copy(update={"rows": rows})


def test_the_page_has_the_layers_of_each_model_once_and_the_recipe(tmp_path):
    recipe = {"name": "small", "out": "/home/me/out", "stages": [{"hub_token": "hf_secret"}]}
    write_report(layered(), tmp_path, recipe=recipe)
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") == 4 and "<h2>Layers</h2>" in page
    assert page.count("MB a layer") == 2
    assert "name: small" in page and "/home/me" not in page and "hf_secret" not in page
    text = (tmp_path / "report.md").read_text()
    assert "| teacher | 1,200.0 | 0.1 | 1,200.1 |" in text
    assert "<details>" not in _page(report(), tmp_path)
    assert read_report(tmp_path) == report()


def _page(made, folder):
    write_report(made, folder)
    return (folder / "report.html").read_text()


def test_pictures_take_the_ink_of_the_page(tmp_path):
    page = _page(layered(), tmp_path)
    assert "prefers-color-scheme: dark" in page
    pictures = page[page.index("<svg") :]
    assert "currentColor" in pictures and "#20262c" not in pictures and "#000000" not in pictures
    assert "#ffffff" not in pictures


def test_the_interval_of_an_accuracy_stands_beside_it(tmp_path):
    text = (write_report(report(), tmp_path).parent / "report.md").read_text()
    assert "| 0.8675 (0.8520 to 0.8816) |" in text and "the 95 % interval" in text
    assert json.loads((tmp_path / "report.json").read_text())["verdict"].startswith("<compressed>")
    unsure = report().model_copy(update={"samples": None})
    write_report(unsure, tmp_path)
    assert "95 % interval" not in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize(("right", "rows"), [(0, 10), (10, 10), (45, 50), (1743, 2009)])
def test_intervals_are_wilsons(right, rows):
    found = proportion_interval(right, rows)
    assert interval(right / rows, rows) == pytest.approx((found.low, found.high), abs=1e-6)


def proportion_interval(right, rows):
    return stats.binomtest(right, rows).proportion_ci(0.95, method="wilson")
