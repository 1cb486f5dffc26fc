"""Packed folders: really smaller, reloaded to the last bit, dense again when saved plainly."""

import json

import pytest
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from nlpcompress.errors import ConfigError, FormatError, VerificationError
from nlpcompress.io import load_model_folder, round_to_int8, save_model, storage
from nlpcompress.io.card import folder_card
from nlpcompress.io.contents import check_finished, model_files
from nlpcompress.models.weights import body_weights
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES

KEEP = 0.15
PACKED = ["bitmask", "bitmask-int8"]
FOUND = ["bert", "albert", "vit", "gpt2", "t5", "resnet_basic", "mobilenet_v2"]
UNEVEN = [{"op": "keep", "axis": "layers.0.heads", "indices": [1, 2]}]


def thin(model, keep=KEEP):
    """Zero all but `keep` of the body's weights, by chance; round the rest to int8 codes."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in body_weights(model).values():
            weight[torch.rand(weight.shape, generator=generator) >= keep] = 0
    round_to_int8(model)
    return model


@pytest.fixture
def sparse():
    model, inputs = FAMILIES["bert"]()
    return thin(model), inputs


def config_of(folder):
    return json.loads((folder / "config.json").read_text())


def packing_of(folder):
    return config_of(folder)["quantization_config"]["packing"]


def tensor_bytes(folder):
    """Name on disk → bytes."""
    sizes = {}
    for path in folder.glob("*.safetensors"):
        sizes |= {name: tensor.nbytes for name, tensor in load_file(path).items()}
    return sizes


def assert_equal(model, other):
    """Names in their order, types, gradients asked for, and every bit but the sign of zeros."""
    ours, theirs = dict(model.named_parameters()), dict(other.named_parameters())
    assert list(ours) == list(theirs)
    for name, tensor in ours.items():
        assert tensor.dtype is theirs[name].dtype, name
        assert tensor.requires_grad == theirs[name].requires_grad, name
        assert torch.equal(tensor, theirs[name]), name
    assert all(torch.equal(t, dict(other.named_buffers())[n]) for n, t in model.named_buffers())


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("family", FOUND)
def test_every_family_reloads_to_the_last_bit_in_every_type(family, kind, tmp_path):
    model = thin(FAMILIES[family]()[0])
    packed = save_model(model, tmp_path / "packed", storage=kind)
    dense = save_model(model, tmp_path / "dense")
    assert len(packing_of(packed)) == len(body_weights(model))
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        options = {"dtype": dtype}
        assert_equal(
            type(model).from_pretrained(packed, **options),
            type(model).from_pretrained(dense, **options),
        )


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_models_reload_in_their_type_and_in_float32(dtype, kind, tmp_path):
    model = FAMILIES["bert"]()[0].to(dtype)
    packed = save_model(thin(model), tmp_path / "packed", storage=kind)
    dense = save_model(model, tmp_path / "dense")
    assert packing_of(packed)
    assert_equal(load_model_folder(packed), model)
    assert_equal(
        type(model).from_pretrained(packed, dtype=torch.float32),
        type(model).from_pretrained(dense, dtype=torch.float32),
    )


def test_the_bytes_are_those_of_the_arithmetic(sparse, tmp_path):
    """A mask bit an element, and a nonzero: 4 bytes, or one and 4 a row."""
    model, _ = sparse
    elements = sum(w.numel() for w in body_weights(model).values())
    nonzeros = sum(int(w.count_nonzero()) for w in body_weights(model).values())
    rows = sum(len(w) for w in body_weights(model).values())
    expected = {
        "dense": 4 * elements,
        "bitmask": elements / 8 + 4 * nonzeros,
        "bitmask-int8": elements / 8 + nonzeros + 4 * rows,
    }
    for kind, body in expected.items():
        sizes = tensor_bytes(save_model(model, tmp_path / kind, storage=kind))
        mine = {n: s for n, s in sizes.items() if n.rpartition("_")[0] or n in body_weights(model)}
        names = tuple(body_weights(model))
        assert sum(s for n, s in mine.items() if n.startswith(names)) == body
    files = [(tmp_path / kind / "model.safetensors").stat().st_size for kind in expected]
    assert files[0] > files[1] > files[2]


def test_only_what_gets_smaller_is_packed(tmp_path):
    model = FAMILIES["bert"]()[0]
    folder = save_model(model, tmp_path / "full", storage="bitmask")
    assert "quantization_config" not in config_of(folder), "without zeros a mask only adds"
    assert not list(folder.glob("*.py"))
    name, weight = next(iter(body_weights(model).items()))
    with torch.no_grad():
        weight.view(-1)[: weight.numel() // 32 + 10] = 0
        folder = save_model(model, tmp_path / "few", storage="bitmask")
        assert "quantization_config" not in config_of(folder), "40 bytes less, and two names more"
        weight.zero_()
    folder = save_model(model, tmp_path / "one", storage="bitmask")
    assert list(packing_of(folder)) == [name]
    assert packing_of(folder)[name] == {"scheme": "bitmask", "nonzeros": 0, "dtype": "float32"}
    assert_equal(load_model_folder(folder), model)


def test_int8_pays_without_zeros_and_a_row_of_few_takes_the_mask(tmp_path):
    model = FAMILIES["bert"]()[0]
    round_to_int8(model)
    folder = save_model(model, tmp_path / "full", storage="bitmask-int8")
    assert {recipe["scheme"] for recipe in packing_of(folder).values()} == {"bitmask-int8"}
    folder = save_model(thin(model, keep=0.02), tmp_path / "thin", storage="bitmask-int8")
    assert {recipe["scheme"] for recipe in packing_of(folder).values()} == {"bitmask"}
    assert_equal(load_model_folder(folder), model)


def test_values_that_int8_cannot_hold_are_refused_and_nothing_is_written(tmp_path):
    model = FAMILIES["bert"]()[0]
    with pytest.raises(FormatError, match=r"'bert\..*weight' cannot be stored as .*round_to_int8"):
        save_model(model, tmp_path / "m", storage="bitmask-int8")
    with pytest.raises(ConfigError, match="'zip' is none of dense, bitmask, bitmask-int8"):
        save_model(model, tmp_path / "m", storage="zip")
    assert not list(tmp_path.iterdir())


def test_rounding_touches_the_body_only():
    model, before = FAMILIES["bert"]()[0], FAMILIES["bert"]()[0].state_dict()
    round_to_int8(model)
    changed = {n for n, t in model.state_dict().items() if not torch.equal(t, before[n])}
    assert changed == set(body_weights(model))


def test_a_shared_weight_is_not_packed(sparse):
    """Its other holders would be left with the parts."""
    model, _ = sparse
    first, second = (layer.output.dense for layer in model.bert.encoder.layer)
    second.weight = first.weight
    shared = {f"bert.encoder.layer.{i}.output.dense.weight" for i in (0, 1)}
    assert storage._names_to_pack(model) == set(body_weights(model)) - shared


@pytest.mark.parametrize("kind", PACKED)
def test_shards_stay_whole(sparse, kind, tmp_path):
    model, _ = sparse
    folder = save_model(model, tmp_path / "m", storage=kind, max_shard_size="20KB")
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(tensor_bytes(folder).values())
    for name, shard in index["weight_map"].items():
        with safe_open(folder / shard, framework="pt") as file:
            assert name in file.keys()  # noqa: SIM118
    assert set(check_finished(folder)) == set(index["weight_map"].values())
    assert len(check_finished(folder)) > 2
    assert_equal(load_model_folder(folder), model)


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("plan", [[], UNEVEN])
def test_a_plain_resave_is_dense_and_true(kind, plan, tmp_path):
    model, inputs = FAMILIES["bert"]()
    thin(apply_plan(model, plan, inputs))
    again = load_model_folder(save_model(model, tmp_path / "m", storage=kind))
    again.save_pretrained(tmp_path / "plain")
    config = config_of(tmp_path / "plain")
    assert "packing" not in config.get("quantization_config", {})
    assert ("quantization_config" in config) == bool(plan)
    assert "auto_map" not in config
    sizes = tensor_bytes(tmp_path / "plain")
    assert sizes == {n: t.nbytes for n, t in model.state_dict().items()}
    assert_equal(type(model).from_pretrained(tmp_path / "plain"), model)
    assert_equal(load_model_folder(save_model(again, tmp_path / "ours", storage=kind)), model)


def test_a_packed_model_is_like_any_other_once_loaded(sparse, tmp_path):
    model, inputs = sparse
    folder = save_model(model, tmp_path / "m", storage="bitmask-int8")
    again = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    assert not getattr(again, "is_quantized", False)
    assert torch.equal(again(**inputs).logits, model(**inputs).logits)
    again(**inputs).logits.sum().backward()
    assert all(weight.grad is not None for weight in body_weights(again).values())
    body = transformers.AutoModel.from_pretrained(folder)
    assert_equal(body, model.bert)
    tagger = load_model_folder(folder, task="token-classification")
    assert_equal(tagger.bert.encoder, model.bert.encoder)
    assert_equal(type(model).from_pretrained(folder, device_map="cpu"), model)
    config = transformers.AutoConfig.from_pretrained(folder)
    for _ in range(2):
        assert_equal(type(model).from_pretrained(folder, config=config), model)


def test_a_packed_folder_takes_no_offloading(sparse, tmp_path):
    model, _ = sparse
    folder = save_model(model, tmp_path / "m", storage="bitmask")
    places = {"bert.embeddings": "cpu", "bert.pooler": "cpu", "classifier": "cpu"}
    with pytest.raises(FormatError, match="offloaded before it could be unpacked"):
        type(model).from_pretrained(
            folder,
            device_map=places | {"bert.encoder": "disk"},
            offload_folder=str(tmp_path / "away"),
        )


def test_torn_parts_and_unknown_schemes_are_refused(sparse, tmp_path):
    model, _ = sparse
    folder = save_model(model, tmp_path / "m", storage="bitmask")
    tensors = load_file(folder / "model.safetensors")
    name = next(iter(packing_of(folder)))
    tensors[f"{name}_mask"][0] ^= 1
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(FormatError, match="a packed tensor is torn"):
        load_model_folder(folder)
    config = config_of(folder)
    config["quantization_config"]["packing"][name]["scheme"] = "zip"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(FormatError, match=r"stored as 'zip', known are bitmask, bitmask-int8"):
        load_model_folder(folder)


def test_a_packing_that_loses_a_value_is_noticed(sparse, tmp_path, monkeypatch):
    model, _ = sparse
    right = storage.pack

    def wrong(weight):
        packed = right(weight)
        packed.values[0] *= 1.001
        return packed

    monkeypatch.setattr(storage, "pack", wrong)
    with pytest.raises(VerificationError, match="not what was in memory"):
        save_model(model, tmp_path / "m", storage="bitmask")
    assert not list(tmp_path.iterdir())


def test_a_push_takes_the_loader_and_the_card_tells(sparse, tmp_path):
    model, _ = sparse
    folder = save_model(model, tmp_path / "m", storage="bitmask")
    loaders = {f"nlpcompress_{part}.py" for part in ("loader", "structure", "packing")}
    assert loaders <= set(model_files(folder))
    text = folder_card(folder)
    assert "trust_remote_code=True" in text
    assert "The zeros take one bit each in the file" in text
    (folder / "nlpcompress_packing.py").unlink()
    with pytest.raises(FormatError, match=r"nlpcompress_packing\.py is missing"):
        check_finished(folder)
    assert "one bit each" not in folder_card(save_model(model, tmp_path / "dense"))
