"""`kill -9` in the middle of training, of saving and of exporting: the next run ends the same."""

import hashlib
import time
from pathlib import Path

from nlpcompress.cli.main import main
from tests import children

RECIPE = "smoke/logits"
SHORT = ["export.quantize=none", "bench.rounds=1"]
LIMIT = 240


def _arguments(out):
    return ["run", RECIPE, f"out={out}", *SHORT]


def _finish(out):
    run = children.run(main, _arguments(out), out.parent)
    assert run.returncode == 0, run.stderr
    return hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()


def _kill_when(out, seen):
    """Run until `seen(out)`, then SIGKILL at once. Gives what was seen."""
    log = out.parent / "killed.log"
    run = children.start(main, _arguments(out), log)
    end = time.monotonic() + LIMIT
    try:
        while time.monotonic() < end:
            found = seen(out)
            if found:
                run.kill()
                return found
            assert run.exitcode is None, f"ended before it could be killed: {log.read_text()}"
            time.sleep(0.0005)
        raise AssertionError("never came to the point where it should be killed")
    finally:
        run.kill()
        run.join()


def _in_training(out):
    return list(out.glob(".stages/*/checkpoints/checkpoint-*"))


def _in_saving_after_training(out):
    parts = {path.parent for path in out.glob(".stages/*/checkpoints")}
    return [part for part in parts if (part / ".model.new").exists()]


def _in_exporting(out):
    return list(out.glob(".stages/*/onnx/.*.partial"))


def test_killed_runs_end_with_the_same_weights_and_no_torn_model(tmp_path):
    expected = _finish(tmp_path / "whole")
    out = tmp_path / "killed"
    for point in (_in_training, _in_saving_after_training, _in_exporting):
        assert _kill_when(out, point)
        assert _opens_or_refuses(out)
    assert _finish(out) == expected
    assert (out / "onnx" / "model.onnx").stat().st_size > 0
    assert not list(out.rglob("*.partial")), "a torn export was left"
    assert not list(out.glob(".stages/*/checkpoints")), "checkpoints of finished stages were left"


def _opens_or_refuses(out: Path) -> bool:
    """A folder in the middle of a run has no config.json, so nothing opens it, or is whole."""
    return not (out / "config.json").exists() or (out / "model.safetensors").exists()
