import pytest

from nlpcompress.bench import Report, Row, Timing, write_report
from nlpcompress.bench.front_plot import front_figure
from nlpcompress.bench.rows import Bound

TRIED = (
    ("teacher", 100.0, 0.87),
    ("int8", 40.0, 0.86),
    ("slower", 60.0, 0.85),
    ("small", 10.0, 0.84),
    ("worse", 12.0, 0.83),
)


def row(name, milliseconds, quality, shape="8x64"):
    timing = Timing(median=milliseconds, p5=milliseconds, p95=milliseconds, samples=20)
    return Row(name=name, metrics={"accuracy": quality}, latency_ms={shape: timing})


def report(tried=TRIED, **changes):
    bound = Bound(metric="accuracy", max_drop=0.01)
    return Report(**{"rows": tuple(row(*one) for one in tried), "bound": bound} | changes)


def named(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_what_none_beats_is_joined_and_named_in_the_order_of_time():
    figure = front_figure(report())
    assert named(figure) == ["small", "int8", "teacher"]
    least, line = figure.axes[0].lines
    assert least.get_ydata()[0] == pytest.approx(0.86)
    assert list(line.get_xdata()) == [10.0, 40.0, 100.0]
    assert len(figure.axes[0].collections) == len(TRIED)


def test_of_errors_the_least_is_best_and_stands_highest():
    errors = [(name, ms, 1 - quality) for name, ms, quality in TRIED]
    bound = Bound(metric="accuracy", max_drop=0.01, greater_is_better=False)
    figure = front_figure(report(errors, bound=bound))
    assert named(figure) == ["small", "int8", "teacher"]
    assert figure.axes[0].lines[0].get_ydata()[0] == pytest.approx(0.14)
    bottom, top = figure.axes[0].get_ylim()
    assert bottom > top


@pytest.mark.parametrize(
    "changes",
    [
        {"bound": None},
        {"tried": TRIED[:2]},
        {"bound": Bound(metric="f1")},
        {"rows": (row(*TRIED[0]), row(*TRIED[1]), row(*TRIED[2], shape="1x64"))},
        {"rows": (Row(name="teacher"), *(row(*one) for one in TRIED[1:]))},
    ],
)
def test_without_a_metric_three_models_or_a_shape_of_all_there_is_no_picture(changes):
    assert front_figure(report(**changes)) is None


def test_the_page_shows_it_in_its_own_ink(tmp_path):
    page = (write_report(report(), tmp_path).parent / "report.html").read_text()
    assert "<h2>Quality against time</h2>" in page
    assert "#000000" not in page[page.index("<svg") :]
