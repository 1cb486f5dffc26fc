"""An export that is killed leaves what was there before, and the next one is not disturbed."""

import signal

import pytest

from tests.children import run
from tests.unit.export.export_program import main


@pytest.mark.parametrize("event", ["open", "os.rename"])
def test_a_killed_export_leaves_the_old_model_and_the_next_one_cleans_up(tmp_path, event):
    folder = tmp_path / "out"
    folder.mkdir()
    target = folder / "model.onnx"
    target.write_bytes(b"the old model")
    assert run(main, [folder, event], tmp_path).returncode == -signal.SIGKILL
    assert target.read_bytes() == b"the old model"
    assert (folder / ".model.onnx.partial").is_dir()

    finished = run(main, [folder, "none"], tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert target.stat().st_size > 200
    assert [path.name for path in folder.iterdir()] == ["model.onnx"]
