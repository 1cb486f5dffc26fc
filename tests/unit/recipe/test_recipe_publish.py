"""The result folder is never half of one model and half of another."""

import json

import pytest

from nlpcompress.recipe import publish
from nlpcompress.recipe.publish import publish_model


def _model(folder, name, *, extra=()):
    folder.mkdir()
    files = ["config.json", "model.safetensors", *extra]
    for file in files:
        (folder / file).write_text(name)
    manifest = {"format_version": 1, "plan": [], "files": [*files, "nlpcompress.json"]}
    (folder / "nlpcompress.json").write_text(json.dumps(manifest))
    return folder


def test_the_old_model_goes_with_its_own_files_and_exports_and_others_stay(tmp_path):
    out = tmp_path / "out"
    publish_model(_model(tmp_path / "a", "old", extra=["nlpcompress_loader.py"]), out)
    (out / "onnx").mkdir()
    (out / "report.json").write_text("old")
    (out / "notes.txt").write_text("mine")
    publish_model(_model(tmp_path / "b", "new"), out)
    assert sorted(path.name for path in out.iterdir()) == [
        "config.json",
        "model.safetensors",
        "nlpcompress.json",
        "notes.txt",
    ]
    assert (out / "model.safetensors").read_text() == "new"


@pytest.mark.parametrize("killed_after", range(3))
def test_a_killed_publication_leaves_nothing_that_opens(tmp_path, monkeypatch, killed_after):
    out, new = tmp_path / "out", _model(tmp_path / "b", "new")
    publish_model(_model(tmp_path / "a", "old"), out)
    copied = []

    def copy(source, target):
        if len(copied) == killed_after:
            raise KeyboardInterrupt
        copied.append(target)
        target.write_bytes(source.read_bytes())

    monkeypatch.setattr(publish, "copy_whole", copy)
    with pytest.raises(KeyboardInterrupt):
        publish_model(new, out)
    assert not (out / "config.json").exists()
    monkeypatch.undo()
    publish_model(new, out)
    assert (out / "config.json").read_text() == "new"
