"""A changed file makes another description; a moved one does not."""

import shutil

from nlpcompress.recipe.fingerprint import file_hashes
from nlpcompress.recipe.load import load_recipe
from nlpcompress.recipe.shipped import find_recipe


def _hashes(folder):
    overrides = [
        f"model={{id: {folder}, task: text-classification}}",
        f"data={{name: csv, files: {{train: {folder}/train.csv}}}}",
    ]
    found = file_hashes(load_recipe(find_recipe("smoke/logits"), overrides))
    return {name.replace(str(folder), "MODEL"): value for name, value in found.items()}


def test_content_counts_and_place_does_not(tmp_path):
    first, moved = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    (first / "train.csv").write_text("text,label\n")
    (first / "model.safetensors").write_bytes(b"weights")
    shutil.copytree(first, moved)
    before = _hashes(first)
    assert set(before) == {"data.files.train", "MODEL/model.safetensors"}
    assert _hashes(moved) == before
    (first / "train.csv").write_text("text,label\nsnow,cold\n")
    (first / "model.safetensors").write_bytes(b"Weights")
    after = _hashes(first)
    assert all(after[name] != before[name] for name in before)


def test_all_that_a_model_is_read_from_counts(tmp_path):
    for name in ("config.json", "vocab.txt", "model.safetensors", "README.md", "train.csv"):
        (tmp_path / name).write_text(name)
    assert {name for name in _hashes(tmp_path) if "train" not in name} == {
        "MODEL/config.json",
        "MODEL/vocab.txt",
        "MODEL/model.safetensors",
    }


def test_a_file_below_the_home_folder_and_a_folder_of_data_count(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "train.csv").write_text("text,label\n")
    (tmp_path / "news").mkdir()
    (tmp_path / "news" / "one.txt").write_text("snow")
    home = ["data={name: csv, files: {train: ~/train.csv}}"]
    news = ["data={name: bbc-news, path: ~/news}"]
    before = [file_hashes(load_recipe(find_recipe("smoke/logits"), data)) for data in (home, news)]
    assert [list(found) for found in before] == [["data.files.train"], ["data.path"]]
    (tmp_path / "train.csv").write_text("text,label\nsnow,cold\n")
    (tmp_path / "news" / "two.txt").write_text("ice")
    after = [file_hashes(load_recipe(find_recipe("smoke/logits"), data)) for data in (home, news)]
    assert all(old != new for old, new in zip(before, after, strict=True))


def test_what_is_made_or_lies_on_a_hub_has_none():
    assert file_hashes(load_recipe(find_recipe("smoke/logits"))) == {}
    hub = ["model={id: some/model, task: text-classification}", "data={name: glue/sst2}"]
    assert file_hashes(load_recipe(find_recipe("smoke/logits"), hub)) == {}
