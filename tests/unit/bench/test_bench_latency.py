import json
import os
import platform
import time
from pathlib import Path

import pytest
import torch

from nlpcompress.bench import measure_latency
from nlpcompress.bench.environment import environment
from nlpcompress.bench.latency import shape_name
from nlpcompress.errors import ConfigError


def test_models_take_turns_after_a_warm_up_and_no_one_is_always_first():
    calls = []
    predictors = {name: lambda batch, name=name: calls.append(name) for name in "abc"}
    times = measure_latency(predictors, {}, warmup=2, rounds=3)
    assert calls == list("aabbcc") + list("abc") + list("bca") + list("cab")
    assert {name: timing.samples for name, timing in times.items()} == {"a": 3, "b": 3, "c": 3}


def test_times_are_milliseconds_and_percentiles_are_in_order():
    predictors = {"short": lambda batch: time.sleep(0.002), "long": lambda batch: time.sleep(0.02)}
    times = measure_latency(predictors, {}, warmup=0, rounds=8)
    assert 2 <= times["short"].median < times["long"].median
    assert 20 <= times["long"].p5 <= times["long"].median <= times["long"].p95 < 2000


def test_a_slow_warm_up_is_not_counted():
    naps = iter([0.2, 0.0, 0.0, 0.0])
    times = measure_latency({"a": lambda batch: time.sleep(next(naps))}, {}, warmup=1, rounds=3)
    assert times["a"].p95 < 100


@pytest.mark.parametrize(("names", "rounds"), [("", 3), ("a", 0)])
def test_nothing_to_measure_is_refused(names, rounds):
    predictors = {name: lambda batch: None for name in names}
    with pytest.raises(ConfigError, match="at least one model and one round"):
        measure_latency(predictors, {}, rounds=rounds)


def test_a_shape_is_named_after_the_first_input():
    assert shape_name({"input_ids": torch.ones(8, 64), "other": torch.ones(1)}) == "8x64"
    assert shape_name({"pixel_values": torch.ones(2, 3, 32, 32)}) == "2x3x32x32"


def test_the_environment_states_versions_processor_and_threads():
    facts = environment()
    assert facts["threads"] == torch.get_num_threads()
    assert facts["torch"] == torch.__version__
    assert facts["cores"] == os.cpu_count()
    assert facts["cpu"]
    for package in ("python", "transformers", "onnxruntime"):
        assert facts[package][0].isdigit()


def test_the_environment_tells_nothing_of_who_and_where():
    text = json.dumps(environment())
    for secret in (platform.node(), str(Path.home()), str(Path.cwd())):
        assert secret not in text
