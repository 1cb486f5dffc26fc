"""What is wrong with a folder is said plainly, and nothing torn is taken for a model."""

import json
import shutil

import pytest
import torch

from nlpcompress.errors import FormatError
from nlpcompress.io import load_model_folder, save_model
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES


@pytest.fixture
def folder(tmp_path):
    model, inputs = FAMILIES["bert"]()
    keep = {"op": "keep", "axis": "layers.0.heads", "indices": [0, 3]}
    return save_model(apply_plan(model, [keep], inputs), tmp_path / "m", max_shard_size="30KB")


def change_json(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FormatError, match="there is no folder"):
        load_model_folder(tmp_path / "nothing")


def test_a_killed_save_beside_the_folder_is_no_hindrance_where_nothing_can_be_moved(folder):
    aside = folder.with_name(f".{folder.name}.old")
    shutil.copytree(folder, aside)
    (aside / "notes").write_text("foreign")
    load_model_folder(folder)
    assert (aside / "notes").exists()
    shutil.rmtree(folder)
    load_model_folder(folder)
    assert (aside / "notes").exists() and not folder.exists()


def test_a_missing_or_torn_config(folder):
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text[: len(text) // 2])
    with pytest.raises(FormatError, match=r"config\.json is torn or not JSON"):
        load_model_folder(folder)
    (folder / "config.json").unlink()
    with pytest.raises(FormatError, match=r"cannot read .*config\.json"):
        load_model_folder(folder)


def test_a_truncated_file_of_weights(folder):
    shard = sorted(folder.glob("*.safetensors"))[1]
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(FormatError, match=rf"{shard.name} is missing or truncated"):
        load_model_folder(folder)


def test_a_missing_file_of_weights(folder):
    shard = sorted(folder.glob("*.safetensors"))[0]
    shard.unlink()
    with pytest.raises(FormatError, match=rf"{shard.name} is missing or truncated"):
        load_model_folder(folder)
    (folder / "model.safetensors.index.json").unlink()
    with pytest.raises(FormatError, match="it is no finished model"):
        load_model_folder(folder)


def test_a_newer_manifest(folder):
    change_json(folder / "nlpcompress.json", format_version=2)
    with pytest.raises(FormatError, match=r"format version 2, .* reads up to version 1"):
        load_model_folder(folder)


def test_a_newer_structure_is_refused_by_plain_from_pretrained(folder):
    block = json.loads((folder / "config.json").read_text())["quantization_config"]
    newer = block | {"format_version": 7, "something": "new"}
    change_json(folder / "config.json", quantization_config=newer)
    with pytest.raises(FormatError, match=r"written in format version 7, .*\n?.*up to version 1"):
        FAMILIES["bert"]()[0].from_pretrained(folder)


def test_shapes_that_do_not_fit_the_weights(folder):
    block = json.loads((folder / "config.json").read_text())["quantization_config"]
    block["structure"]["shapes"].popitem()
    change_json(folder / "config.json", quantization_config=block)
    with pytest.raises(FormatError, match="do not fit its config"):
        load_model_folder(folder)


def test_weights_that_the_class_lacks(folder):
    change_json(folder / "config.json", architectures=["BertForQuestionAnswering"])
    with pytest.raises(FormatError, match="do not fit its config"):
        load_model_folder(folder)
    change_json(folder / "config.json", architectures=["BertForNothing"])
    with pytest.raises(FormatError, match="'BertForNothing'"):
        load_model_folder(folder)


def test_a_stock_folder_of_others_opens_too(tmp_path):
    model, inputs = FAMILIES["distilbert"]()
    model.save_pretrained(tmp_path / "stock")
    with torch.no_grad():
        again = load_model_folder(tmp_path / "stock")
        assert torch.equal(again(**inputs).logits, model(**inputs).logits)


def test_loaded_tensors_lie_where_kernels_sum_in_the_same_order(folder):
    """The one layer has an odd number of neurons, so that tensors in the file start anywhere."""
    model, _ = FAMILIES["bert"]()
    for opened in (load_model_folder(folder), type(model).from_pretrained(folder)):
        assert {tensor.data_ptr() % 64 for tensor in opened.parameters()} == {0}
