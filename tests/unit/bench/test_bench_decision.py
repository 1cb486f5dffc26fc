"""A budget is met or not, model by model, by what a report holds."""

import pytest

from nlpcompress.bench import Bound, Report, Row, Timing, write_report
from nlpcompress.bench.decision import decide
from nlpcompress.cli.main import main
from nlpcompress.core.budget import Budget
from nlpcompress.errors import ConfigError


def row(name, accuracy, milliseconds, **values):
    times = {
        shape: Timing(median=factor * milliseconds, p5=0.1, p95=1000.0, samples=5)
        for shape, factor in (("1x64", 1.0), ("8x64", 8.0))
    }
    return Row(name=name, metrics={"accuracy": accuracy}, latency_ms=times, **values)


REPORT = Report(
    rows=(
        row("teacher", 0.9, 10.0, size_bytes=900, onnx_size_bytes=1000, macs=100),
        row("small", 0.89, 5.0, size_bytes=400, onnx_size_bytes=500, macs=50),
        row("small-int8", 0.85, 2.0, size_bytes=400, onnx_size_bytes=120),
    ),
    bound=Bound(metric="accuracy"),
)


def holding(shape=None, **bounds):
    return [d.name for d in decide(REPORT, Budget(**bounds), shape=shape) if d.holds]


@pytest.mark.parametrize(
    ("bounds", "names"),
    [
        ({"size_bytes": 500}, ["small", "small-int8"]),
        ({"size_bytes": 499}, ["small-int8"]),
        ({"metric_drop": 0.01}, ["teacher", "small"]),
        ({"metric_drop": 0.01, "latency_ms": 39.0}, []),
        ({"metric_drop": 0.01, "latency_ms": 40.0}, ["small"]),
        ({"latency_ms": 5.0, "shape": "1x64"}, ["small", "small-int8"]),
        ({"latency_ratio": 0.5}, ["small", "small-int8"]),
        ({"latency_ratio": 0.49}, ["small-int8"]),
    ],
)
def test_a_model_holds_when_no_bound_is_broken(bounds, names):
    assert holding(**bounds) == names


def test_margins_are_told_and_models_without_the_measure_are_not_judged():
    decisions = decide(REPORT, Budget(macs=60, metric_drop=0.02))
    assert [d.name for d in decisions] == ["teacher", "small"]
    assert decisions[1].margins == {"macs": 10, "metric_drop": pytest.approx(0.01)}
    assert (decisions[0].holds, decisions[1].holds) == (False, True)


@pytest.mark.parametrize(
    ("budget", "shape", "text"),
    [
        (Budget(), None, "the budget bounds nothing; set one of parameters, size_bytes"),
        (Budget(latency_ms=1.0), "8x46", "timed at 8x46, only at 1x64, 8x64; did you mean '8x64'"),
        (Budget(bytes_moved=1), None, "no model .* bounds: teacher lacks bytes_moved; small lacks"),
    ],
)
def test_what_cannot_be_judged_is_an_error(budget, shape, text):
    with pytest.raises(ConfigError, match=text):
        decide(REPORT, budget, shape=shape)


def test_the_command_answers_and_exits_by_the_answer(tmp_path, capsys):
    write_report(REPORT, tmp_path)
    command = ["check", str(tmp_path), "--budget"]
    assert main([*command, "latency_ms=16", "size_bytes=200"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        "teacher: no (the model before)",
        "small: no",
        "small-int8: yes",
    ]
    assert lines[-2:] == [
        "  size_bytes 120 of 200, 80 to spare",
        "  latency_ms 16 of 16, 0 to spare",
    ]
    assert main([*command, "latency_ms=15"]) == 1
    assert "  latency_ms 16 of 15, 1 over" in capsys.readouterr().out
    assert main([*command, "metric_drop=0.001"]) == 1, "the teacher alone loses nothing"
    assert capsys.readouterr().out.startswith("teacher: yes (the model before)")
    assert main([*command, "latncy_ms=15"]) == 2
    assert "did you mean 'latency_ms'" in capsys.readouterr().err


def test_whole_numbers_are_told_whole(tmp_path, capsys):
    large = Row(name="large", onnx_size_bytes=91_012_347, latency_ms=REPORT.rows[0].latency_ms)
    write_report(Report(rows=(large,)), tmp_path)
    assert main(["check", str(tmp_path), "--budget", "size_bytes=15000000", "latency_ms=7.5"]) == 1
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  size_bytes 91,012,347 of 15,000,000, 76,012,347 over",
        "  latency_ms 80 of 7.5, 72.5 over",
    ]


def test_a_result_without_a_model_before_answers_for_itself(tmp_path):
    whole = Report(rows=(row("compressed", 0.9, 10.0), row("compressed-int8", 0.9, 5.0)))
    write_report(whole, tmp_path)
    assert main(["check", str(tmp_path), "--budget", "latency_ms=80"]) == 0
    with pytest.raises(ConfigError, match="compressed lacks latency_ratio"):
        decide(whole, Budget(latency_ratio=0.5))
