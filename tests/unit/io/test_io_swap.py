"""A folder is replaced whole: killed at any point, the next run finds the old or the new one."""

import os
import shutil

import pytest

from nlpcompress.errors import FormatError
from nlpcompress.io.format import Manifest, write_manifest
from nlpcompress.io.swap import readable, recover, replacing


class Killed(BaseException):
    """Stands for a process that ends here."""


def fill(folder, text, *names):
    for name in names:
        (folder / name).write_text(text)
    write_manifest(folder, Manifest(files=names))


def finished(out, text, *names):
    with replacing(out) as folder:
        fill(folder, text, *names)


def texts(folder):
    return {p.name: p.read_text() for p in folder.iterdir() if p.name != "nlpcompress.json"}


def test_an_old_model_is_replaced_and_what_others_wrote_stays(tmp_path):
    out = tmp_path / "m"
    finished(out, "old", "config.json", "model.safetensors", "README.md")
    (out / "report.json").write_text("numbers")
    (out / "onnx").mkdir()
    finished(out, "new", "config.json", "model-00001-of-00002.safetensors")
    assert (out / "onnx").is_dir()
    (out / "onnx").rmdir()
    assert texts(out) == {
        "config.json": "new",
        "model-00001-of-00002.safetensors": "new",
        "report.json": "numbers",
    }
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_weights_that_others_wrote_never_stay_beside_new_ones(tmp_path):
    out = tmp_path / "m"
    out.mkdir()
    for name in ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "notes"):
        (out / name).write_text("foreign")
    finished(out, "new", "config.json", "model-00001-of-00002.safetensors")
    assert sorted(texts(out)) == ["config.json", "model-00001-of-00002.safetensors", "notes"]


def test_files_that_no_reader_takes_for_the_models_weights_stay(tmp_path):
    theirs = ("my_embeddings.safetensors", "adapter_model.safetensors", "pytorch_model_teacher.bin")
    out = tmp_path / "m"
    out.mkdir()
    for name in theirs:
        (out / name).write_text("theirs")
    finished(out, "new", "config.json", "model.safetensors")
    assert texts(out) == dict.fromkeys(theirs, "theirs") | {
        "config.json": "new",
        "model.safetensors": "new",
    }


def test_a_folder_that_no_other_can_replace_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "below").mkdir()
    for place in (tmp_path, tmp_path.parent):
        with pytest.raises(FormatError, match=r"is where this process works, .* inside it"):
            finished(place, "new", "config.json")
    monkeypatch.setattr("pathlib.Path.is_mount", lambda path: path.name == "below")
    with pytest.raises(FormatError, match="below is a mount point"):
        finished(tmp_path / "below", "new", "config.json")
    assert [path.name for path in tmp_path.iterdir()] == ["below"]


@pytest.mark.parametrize("call", [1, 2])
def test_a_rename_that_the_system_refuses_leaves_the_old_folder(tmp_path, monkeypatch, call):
    out, renames = tmp_path / "m", []
    finished(out, "old", "config.json")

    def refused(source, target, replace=os.replace):
        renames.append(target)
        if len(renames) == call:
            raise OSError(16, "Device or resource busy")
        replace(source, target)

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(FormatError, match=r"cannot put a new folder in the place of .*busy"):
        finished(out, "new", "config.json")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    assert texts(out) == {"config.json": "old"}


def test_an_exception_while_writing_leaves_the_old_folder(tmp_path):
    out = tmp_path / "m"
    finished(out, "old", "config.json")
    with pytest.raises(ZeroDivisionError), replacing(out) as folder:
        (folder / "config.json").write_text("half")
        _ = 1 / 0
    assert texts(out) == {"config.json": "old"}
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize("call", range(1, 5))
def test_killed_at_any_rename_the_next_run_finds_a_whole_folder(tmp_path, monkeypatch, call):
    """The renames: old aside, new in place, the foreign file over, old to what is deleted."""
    out = tmp_path / "m"
    finished(out, "old", "config.json")
    (out / "report.json").write_text("numbers")
    calls, rename = [], os.replace

    def killed_before(source, target):
        calls.append(target)
        if len(calls) == call:
            raise Killed
        rename(source, target)

    monkeypatch.setattr(os, "replace", killed_before)
    with pytest.raises(Killed):
        finished(out, "new", "config.json")
    monkeypatch.undo()
    recover(out)
    expected = "new" if call >= 3 else "old"
    assert texts(out) == {"config.json": expected, "report.json": "numbers"}
    finished(out, "newest", "config.json")
    assert texts(out) == {"config.json": "newest", "report.json": "numbers"}
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_killed_while_it_deletes_the_old_folder_nothing_of_it_comes_back(tmp_path, monkeypatch):
    out = tmp_path / "m"
    finished(out, "old", "config.json", "added_tokens.json")
    delete = shutil.rmtree

    def killed_after_the_manifest(folder, **options):
        if (folder / "nlpcompress.json").exists():
            (folder / "nlpcompress.json").unlink()
            raise Killed
        delete(folder, **options)

    monkeypatch.setattr(shutil, "rmtree", killed_after_the_manifest)
    with pytest.raises(Killed):
        finished(out, "new", "config.json")
    monkeypatch.undo()
    recover(out)
    assert texts(out) == {"config.json": "new"}
    finished(out, "newest", "config.json")
    assert texts(out) == {"config.json": "newest"}
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize("call", [1, 2])
def test_a_reader_between_any_two_renames_reads_a_whole_folder_and_moves_nothing(
    tmp_path, monkeypatch, call
):
    """After the first rename there is only the old folder, after the second there are both."""
    out, renames, read = tmp_path / "m", [], []
    finished(out, "old", "config.json")
    rename = os.replace

    def with_a_reader(source, target):
        rename(source, target)
        renames.append(target)
        if len(renames) == call:
            read.append(texts(readable(out)))

    monkeypatch.setattr(os, "replace", with_a_reader)
    finished(out, "new", "config.json")
    assert read == [{"config.json": "old" if call == 1 else "new"}]
    assert texts(out) == {"config.json": "new"}


def test_leftovers_of_a_killed_writer_are_swept(tmp_path):
    (tmp_path / ".m.new").mkdir()
    (tmp_path / ".m.new" / "torn").write_text("half")
    finished(tmp_path / "m", "new", "config.json")
    assert texts(tmp_path / "m") == {"config.json": "new"}
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_a_folder_of_a_newer_version_is_not_overwritten(tmp_path):
    out = tmp_path / "m"
    out.mkdir()
    (out / "nlpcompress.json").write_text('{"format_version": 99}')
    with pytest.raises(FormatError, match="format version 99"):
        finished(out, "new", "config.json")
