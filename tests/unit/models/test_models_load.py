"""Models by folder, hub id or package; labels and heads."""

import pytest
import torch
import transformers

from nlpcompress.errors import DataError, UnknownNameError
from nlpcompress.models.load import load_model, resolve
from tests.families import FAMILIES


@pytest.fixture
def trained(tmp_path):
    """A saved three-class BERT whose labels have names."""
    model, _ = FAMILIES["bert"]()
    model.config.id2label = {0: "bad", 1: "fair", 2: "good"}
    model.config.label2id = {"bad": 0, "fair": 1, "good": 2}
    model.save_pretrained(tmp_path / "trained")
    return str(tmp_path / "trained")


@pytest.fixture
def body(tmp_path):
    model, _ = FAMILIES["bert"]()
    model.bert.save_pretrained(tmp_path / "body")
    return str(tmp_path / "body")


def test_resolve_leaves_hub_ids_and_folders_as_they_are(tmp_path):
    assert resolve(str(tmp_path)) == str(tmp_path)
    assert resolve("someone/some-model") == "someone/some-model"
    assert resolve("torch") == "torch"  # an installed package that holds no model


def test_resolve_finds_the_folder_of_an_installed_model_package(tmp_path, monkeypatch):
    info, model = tmp_path / "tiny_model-1.0.dist-info", tmp_path / "tiny_model" / "model"
    info.mkdir()
    model.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n")
    (info / "RECORD").write_text("tiny_model/model/config.json,,\n")
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"")
    monkeypatch.syspath_prepend(tmp_path)
    assert resolve("tiny-model") == str(model)


def test_a_new_head_takes_the_labels(body):
    model = load_model(body, task="text-classification", labels=["no", "yes"])
    assert model.classifier.out_features == 2
    assert model.config.id2label == {0: "no", 1: "yes"}
    assert model.config.label2id == {"no": 0, "yes": 1}
    assert model.config.problem_type == "single_label_classification"


def test_a_trained_head_stays_when_the_labels_are_its_own(trained):
    model = load_model(trained, task="text-classification", labels=["bad", "fair", "good"])
    original, _ = FAMILIES["bert"]()
    assert torch.equal(model.classifier.weight, original.classifier.weight)
    assert load_model(trained, task="text-classification").config.num_labels == 3


@pytest.mark.parametrize("labels", [["bad", "good"], ["good", "fair", "bad"]])
def test_other_labels_than_the_trained_heads_are_refused(trained, labels):
    with pytest.raises(DataError, match=r"\['bad', 'fair', 'good'\], the data has"):
        load_model(trained, task="text-classification", labels=labels)


def test_labels_must_be_given_for_a_new_head(body):
    with pytest.raises(DataError, match="give the labels of a new one"):
        load_model(body, task="text-classification")


def test_regression_has_one_output(body, trained):
    model = load_model(body, task="text-regression")
    assert (model.classifier.out_features, model.config.problem_type) == (1, "regression")
    with pytest.raises(DataError, match="has 3 outputs, a regression needs one"):
        load_model(trained, task="text-regression")


def test_the_body_alone_and_an_unknown_task(trained):
    assert isinstance(load_model(trained, task="feature-extraction"), transformers.BertModel)
    with pytest.raises(UnknownNameError, match="did you mean 'text-classification'"):
        load_model(trained, task="text-clasification")
