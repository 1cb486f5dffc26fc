"""A dry run leaves exactly what a push would send, or nothing."""

import logging
from pathlib import Path

import pytest
import yaml
from hub_client import push_in_process, tiny_bert, tiny_tokenizer
from hub_server import HubServer

from nlpcompress.errors import ConfigError
from nlpcompress.io import payload
from nlpcompress.io.card import FOLDER
from nlpcompress.io.format import Manifest, write_manifest
from nlpcompress.io.hub import push


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    tiny_bert().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(b"graph")
    (folder / "onnx" / "model.onnx.tmp").write_bytes(b"litter")
    (folder / "optimizer.pt").write_bytes(b"litter")
    (folder / "README.md").write_text(f"---\ntags: [x]\n---\n\nfrom_pretrained('{FOLDER}')\n")
    return folder


def content(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def test_it_holds_exactly_what_a_push_sends(folder, tmp_path):
    target = tmp_path / "a" / "dry"
    assert push(folder, "user/tiny", dry_run=target) == str(target)
    with HubServer() as hub:
        done = push_in_process(hub, tmp_path / "home", folder)
        assert done.returncode == 0, done.stderr
        sent = dict(hub.repos["user/tiny"].files)
    del sent[".gitattributes"]
    assert content(target) == sent
    assert sent["onnx/model.onnx"] == b"graph"
    assert sent["README.md"].endswith(b"from_pretrained('user/tiny')\n")
    assert list(target.parent.iterdir()) == [target]


def test_it_lists_the_files_with_their_sizes(folder, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="nlpcompress")
    push(folder, "user/tiny", dry_run=tmp_path / "dry")
    files = content(tmp_path / "dry")
    for name, data in files.items():
        assert f"{len(data):>10}  {name}\n" in caplog.text
    total = sum(map(len, files.values()))
    assert f"{total:>10}  bytes in {len(files)} files" in caplog.text


def test_the_card_is_made_when_there_is_none(folder, tmp_path):
    (folder / "README.md").unlink()
    push(folder, "user/tiny", dry_run=tmp_path / "dry")
    assert 'from_pretrained("user/tiny")' in (tmp_path / "dry" / "README.md").read_text()
    assert not (folder / "README.md").exists()


def test_a_recipe_goes_without_the_folder_of_its_result(folder, tmp_path):
    """Also where its name takes several lines; what is called alike deeper down stays."""
    rest = {"seed": 1, "model": {"out": 3}}
    for number, out in enumerate(("/home/me/secret", "/home/me/a secret " * 20)):
        values = {"version": 1, "out": out, **rest}
        (folder / "recipe.yaml").write_text(yaml.safe_dump(values, sort_keys=False, width=100))
        pushed = tmp_path / f"dry{number}"
        push(folder, "user/tiny", dry_run=pushed)
        text = (pushed / "recipe.yaml").read_text()
        assert yaml.safe_load(text) == {"version": 1, **rest}
        assert "secret" not in text


def test_a_folder_that_holds_something_is_left_alone(folder, tmp_path):
    target = tmp_path / "dry"
    target.mkdir()
    push(folder, "user/tiny", dry_run=target)
    before = content(target)
    with pytest.raises(ConfigError, match="dry exists and is not empty; name a new one"):
        push(folder, "user/tiny", dry_run=target)
    assert content(target) == before


def test_a_copy_that_fails_leaves_nothing(folder, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        assert not (tmp_path / "dry").exists()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(payload.shutil, "copyfile", full)
    with pytest.raises(ConfigError, match=r"cannot write .*dry: No space left on device; name"):
        push(folder, "user/tiny", dry_run=tmp_path / "dry")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_target_below_a_file_is_refused(folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot write .*; name another folder"):
        push(folder, "user/tiny", dry_run=tmp_path / "file" / "dry")


def test_files_that_the_manifest_lists_belong_to_the_model_unless_they_can_hold_a_pickle(
    folder, tmp_path
):
    for name in ("odd.vocab", "state.bin"):
        (folder / name).write_bytes(b"data")
    push(folder, "user/tiny", dry_run=tmp_path / "before")
    assert not (tmp_path / "before" / "odd.vocab").exists()
    write_manifest(folder, Manifest(files=("odd.vocab", "state.bin", "../model/notes.txt")))
    push(folder, "user/tiny", dry_run=tmp_path / "dry")
    assert (tmp_path / "dry" / "odd.vocab").read_bytes() == b"data"
    assert not (tmp_path / "dry" / "state.bin").exists()


def test_what_a_save_killed_between_its_renames_left_aside_is_pushed(folder, tmp_path):
    folder.rename(tmp_path / ".model.old")
    push(folder, "user/tiny", dry_run=tmp_path / "dry")
    assert (tmp_path / "dry" / "model.safetensors").is_file()
    assert not folder.exists(), "a reader moves nothing"
