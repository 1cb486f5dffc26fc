"""Saved folders: plain where they can be, verified, sharded, re-saved, trained on."""

import json

import pytest
import torch
import transformers
from transformers import BertConfig, BertForMultipleChoice

from nlpcompress.core.plan import plan_from_json
from nlpcompress.errors import FormatError, VerificationError
from nlpcompress.io import load_model_folder, save, save_model
from nlpcompress.io.format import read_manifest
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES, TEXT, VOCABULARY, randomise

UNEVEN = [{"op": "keep", "axis": "layers.0.heads", "indices": [1, 2]}]
EVEN = [
    {"op": "keep", "axis": f"layers.{i}.neurons", "indices": list(range(i, 48, 2))} for i in (0, 1)
]


def logits(model, inputs):
    with torch.no_grad():
        return model.eval()(**inputs)[0]


@pytest.fixture
def uneven():
    """A BERT with two heads less in one of its layers, and inputs."""
    model, inputs = FAMILIES["bert"]()
    return apply_plan(model, UNEVEN, inputs), inputs


def test_what_a_stock_config_can_say_is_saved_stock(tmp_path):
    model, inputs = FAMILIES["bert"]()
    apply_plan(model, EVEN, inputs)
    folder = save_model(model, tmp_path / "m", plan=plan_from_json(EVEN))
    config = json.loads((folder / "config.json").read_text())
    assert config["intermediate_size"] == 24
    assert "quantization_config" not in config
    assert "auto_map" not in config
    assert not list(folder.glob("*.py"))
    assert torch.equal(logits(type(model).from_pretrained(folder), inputs), logits(model, inputs))


def test_an_uneven_folder_holds_structure_loader_plan_and_lineage(uneven, tmp_path):
    model, inputs = uneven
    out = tmp_path / "deep" / "m"
    plan = plan_from_json(UNEVEN)
    made = save_model(
        model, out, plan=plan, lineage={"base": "bert"}, extra_files={"README.md": "# small\n"}
    )
    assert made == out
    config = json.loads((out / "config.json").read_text())
    assert config["quantization_config"]["quant_method"] == "nlpcompress"
    assert config["quantization_config"]["format_version"] == 1
    assert config["auto_map"] == {"AutoConfig": "nlpcompress_loader.ConfigShim"}
    manifest = read_manifest(out)
    assert (manifest.plan, manifest.lineage) == (plan, {"base": "bert"})
    assert set(manifest.files) == {path.name for path in out.iterdir()}
    assert (out / "README.md").read_text() == "# small\n"
    assert not hasattr(model.config, "auto_map")
    assert torch.equal(logits(load_model_folder(out), inputs), logits(model, inputs))
    assert [path.name for path in out.parent.iterdir()] == ["m"]


def test_small_shards_reload(uneven, tmp_path):
    model, inputs = uneven
    folder = save_model(model, tmp_path / "m", max_shard_size="20KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    assert torch.equal(logits(load_model_folder(folder), inputs), logits(model, inputs))


def test_a_plain_resave_of_a_loaded_model_keeps_the_structure(uneven, tmp_path):
    model, inputs = uneven
    again = type(model).from_pretrained(save_model(model, tmp_path / "m"))
    again.save_pretrained(tmp_path / "plain")
    assert "auto_map" not in json.loads((tmp_path / "plain" / "config.json").read_text())
    third = type(model).from_pretrained(tmp_path / "plain")
    assert torch.equal(logits(third, inputs), logits(model, inputs))
    save_model(third, tmp_path / "ours")
    assert (tmp_path / "ours" / "nlpcompress_loader.py").exists()


def test_a_cut_model_reloads_after_its_own_save_pretrained(uneven, tmp_path):
    model, inputs = uneven
    model.save_pretrained(tmp_path / "m")
    again = type(model).from_pretrained(tmp_path / "m")
    assert torch.equal(logits(again, inputs), logits(model, inputs))


def test_a_reloaded_model_is_cut_halved_and_copied_like_any_other(uneven, tmp_path):
    model, inputs = uneven
    again = load_model_folder(save_model(model, tmp_path / "m"))
    keep = {"op": "keep", "axis": "layers.1.neurons", "indices": [0, 9, 30]}
    apply_plan(again, [keep], inputs)
    third = load_model_folder(save_model(again, tmp_path / "n"))
    assert third.bert.encoder.layer[1].intermediate.dense.weight.shape == (3, 32)
    assert torch.equal(logits(third, inputs), logits(again, inputs))
    half = third.half()
    assert half.dtype is torch.float16
    fourth = load_model_folder(save_model(half, tmp_path / "half"))
    assert fourth.dtype is torch.float16


def test_device_map_and_bfloat16(uneven, tmp_path):
    model, inputs = uneven
    folder = save_model(model, tmp_path / "m")
    mapped = type(model).from_pretrained(folder, device_map="cpu")
    assert torch.equal(logits(mapped, inputs), logits(model, inputs))
    small = type(model).from_pretrained(folder, dtype=torch.bfloat16)
    assert small.dtype is torch.bfloat16
    assert (logits(small, inputs) - logits(model, inputs)).abs().max() < 0.1


def test_other_heads_open_the_same_folder(uneven, tmp_path):
    model, inputs = uneven
    folder = save_model(model, tmp_path / "m")
    body = transformers.AutoModel.from_pretrained(folder)
    assert body.encoder.layer[0].attention.self.query.weight.shape == (16, 32)
    assert torch.equal(logits(body, inputs), logits(model.bert, inputs))
    tagger = load_model_folder(folder, task="token-classification")
    assert isinstance(tagger, transformers.BertForTokenClassification)


def test_the_trainer_trains_a_reloaded_model_and_its_checkpoints_reload(uneven, tmp_path):
    model, inputs = uneven
    again = load_model_folder(save_model(model, tmp_path / "m"))
    rows = [{n: t[0] for n, t in inputs.items()} | {"labels": torch.tensor(1)}] * 8
    arguments = transformers.TrainingArguments(
        str(tmp_path / "run"),
        max_steps=2,
        save_steps=2,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    transformers.Trainer(again, arguments, train_dataset=rows).train()
    checkpoint = type(model).from_pretrained(tmp_path / "run" / "checkpoint-2")
    assert not torch.equal(logits(again, inputs), logits(model, inputs))
    assert torch.equal(logits(checkpoint, inputs), logits(again, inputs))


def test_saving_leaves_random_state_and_mode(uneven, tmp_path):
    model, _ = uneven
    model.train()
    before = torch.random.get_rng_state()
    save_model(model, tmp_path / "m")
    assert model.training
    assert torch.equal(before, torch.random.get_rng_state())


def another_bias(twin):
    twin.classifier.bias.data += 1e-6


def another_epsilon(twin):
    twin.bert.embeddings.LayerNorm.eps = 1e-6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (another_bias, r"1 tensors .* not what was in memory, first 'classifier\.bias'"),
        (another_epsilon, r"when reloaded, allowed is exactly 0"),
    ],
)
def test_a_save_that_reloads_to_something_else_is_refused(
    uneven, tmp_path, monkeypatch, change, message
):
    model, inputs = uneven
    old = save_model(model, tmp_path / "m")
    opened = save.open_model

    def slightly_off(*args, **options):
        twin = opened(*args, **options)
        change(twin)
        return twin

    monkeypatch.setattr(save, "open_model", slightly_off)
    with pytest.raises(VerificationError, match=message):
        save_model(model, tmp_path / "m")
    monkeypatch.undo()
    assert torch.equal(logits(load_model_folder(old), inputs), logits(model, inputs))
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_model_of_other_inputs_is_checked_on_those_given(tmp_path):
    """Multiple choice has a dimension more than texts."""
    model = randomise(BertForMultipleChoice(BertConfig(**TEXT)))
    inputs = {"input_ids": torch.randint(5, VOCABULARY, (2, 3, 12))}
    apply_plan(model, [{"op": "keep", "axis": "layers.0.heads", "indices": [0, 2]}], inputs)
    with pytest.raises(VerificationError, match=r"does not run on made-up inputs"):
        save_model(model, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    save_model(model, tmp_path / "out", example_inputs=inputs)
    again = BertForMultipleChoice.from_pretrained(tmp_path / "out")
    with torch.no_grad():
        assert torch.equal(again(**inputs).logits, model(**inputs).logits)


def test_a_model_of_several_types_that_would_reload_in_one_is_refused(tmp_path):
    model, _ = FAMILIES["bert"]()
    model.bfloat16().classifier.float()
    with pytest.raises(VerificationError, match=r"2 tensors .* first 'classifier.weight'"):
        save_model(model, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_weights_that_lie_in_a_mapped_file_can_be_saved(tmp_path):
    """Plain transformers leaves them there, where kernels sum in another order."""
    stock, inputs = FAMILIES["mobilenet_v2"]()
    stock.save_pretrained(tmp_path / "stock")
    mapped = type(stock).from_pretrained(tmp_path / "stock")
    again = load_model_folder(save_model(mapped, tmp_path / "again"))
    assert torch.equal(logits(again, inputs), logits(stock, inputs))


def test_the_record_follows_shapes_that_changed_without_a_plan(uneven, tmp_path):
    model, inputs = uneven
    dense = model.bert.encoder.layer[1]
    dense.intermediate.dense = torch.nn.Linear(32, 5)
    dense.output.dense = torch.nn.Linear(5, 32)
    model.save_pretrained(tmp_path / "m")
    again = type(model).from_pretrained(tmp_path / "m")
    assert torch.equal(logits(again, inputs), logits(model, inputs))


def test_a_structure_that_misses_a_cut_is_noticed(uneven, tmp_path, monkeypatch):
    model, _ = uneven
    monkeypatch.setattr(
        model.hf_quantizer.__class__, "get_state_dict_and_metadata", lambda *_: (None, {})
    )
    monkeypatch.setattr(save, "record_structure", lambda model: {"shapes": {}})
    model.hf_quantizer.quantization_config.structure["shapes"].popitem()
    with pytest.raises(VerificationError, match="does not reload"):
        save_model(model, tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_an_unwritable_place_is_a_format_error(uneven, tmp_path):
    model, _ = uneven
    (tmp_path / "file").write_text("x")
    with pytest.raises(FormatError, match="choose another folder"):
        save_model(model, tmp_path / "file" / "m")
    with pytest.raises(FormatError, match="is a file; choose the name of a folder"):
        save_model(model, tmp_path / "file")
