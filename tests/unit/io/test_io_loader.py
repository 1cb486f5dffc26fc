"""The hook in fresh processes: with the plugin, by trust_remote_code, refused without both."""

import os
import subprocess
import sys

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from nlpcompress.bench.ledger import size_ledger, stored_bytes
from nlpcompress.io import round_to_int8, save_model
from nlpcompress.io.contents import check_finished
from nlpcompress.io.loader import METHOD, register
from nlpcompress.models.weights import body_weights
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES
from tests.unit.surgery.test_surgery_filters import filters_of, small_edit

READ = """
import sys
{before}
import torch, transformers
from safetensors.torch import load_file
inputs = load_file(sys.argv[1] + "/expected.safetensors")
expected = inputs.pop("expected")
auto = transformers.AutoModelForSequenceClassification
model = auto.from_pretrained(sys.argv[1], {options})
with torch.no_grad():
    print("difference", float((model(**inputs).logits - expected).abs().max()))
print("class", type(model).__name__, type(model.config).__name__)
{after}
"""
ABSENT = "sys.modules['nlpcompress'] = None"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    model, inputs = FAMILIES["bert"]()
    plan = [
        {"op": "keep", "axis": "layers.0.heads", "indices": [0, 3]},
        {"op": "keep", "axis": "layers.1.neurons", "indices": [1, 2, 40]},
    ]
    out = save_model(apply_plan(model, plan, inputs), tmp_path_factory.mktemp("models") / "m")
    with torch.no_grad():
        expected = model(**inputs).logits
    save_file({**inputs, "expected": expected}, out / "expected.safetensors")
    return out


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A BERT of stock shapes with packed weights, and its dense weights beside the folder."""
    model, inputs = FAMILIES["bert"]()
    with torch.no_grad():
        for weight in body_weights(model).values():
            weight[weight.abs() < weight.abs().quantile(0.85)] = 0
    round_to_int8(model)
    out = save_model(model, tmp_path_factory.mktemp("models") / "m", storage="bitmask-int8")
    with torch.no_grad():
        expected = model(**inputs).logits
    save_file({**inputs, "expected": expected}, out / "expected.safetensors")
    save_file(model.state_dict(), out.parent / "dense.safetensors")
    return out


WEIGHTS = """
dense = load_file(sys.argv[1] + "/../dense.safetensors")
live = model.state_dict()
print("names", sorted(dense) == sorted(live), "weights", all(map(torch.equal, *zip(*(
    (dense[n], live[n]) for n in dense)))))
model.save_pretrained(sys.argv[1] + "/../again")
import json
print("block", json.load(open(sys.argv[1] + "/../again/config.json")).get("quantization_config"))
twin = type(model).from_pretrained(sys.argv[1] + "/../again").state_dict()
print("twin", all(torch.equal(dense[n], twin[n]) for n in dense))
"""
EXACT = ("difference 0.0\n", "names True weights True\n", "block None\n", "twin True\n")


def test_packed_weights_with_the_plugin_are_exact(packed, tmp_path):
    done = read(packed, tmp_path, before="import nlpcompress", after=WEIGHTS)
    assert [line for line in EXACT if line not in done.stdout] == [], done.stderr


def test_packed_weights_without_the_plugin_are_exact_by_trust_remote_code(packed, tmp_path):
    parts = {"before": ABSENT, "options": "trust_remote_code=True", "after": WEIGHTS}
    done = read(packed, tmp_path, **parts)
    assert [line for line in EXACT if line not in done.stdout] == [], done.stderr


def test_packed_weights_without_either_fail_loudly(packed, tmp_path):
    done = read(packed, tmp_path, before=ABSENT)
    assert done.returncode != 0
    assert "difference" not in done.stdout
    assert "mismatch" in done.stderr


def read(folder, cache, **parts):
    program = READ.format(**{"before": "", "options": "", "after": ""} | parts)
    return subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        env=os.environ | {"HF_MODULES_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_with_the_plugin_plain_from_pretrained_is_exact(folder, tmp_path):
    done = read(folder, tmp_path, before="import nlpcompress; assert 'torch' not in sys.modules")
    assert "difference 0.0\n" in done.stdout, done.stderr


def test_with_the_plugin_imported_after_transformers(folder, tmp_path):
    late = "import transformers.models.bert.modeling_bert; import nlpcompress"
    assert "difference 0.0\n" in read(folder, tmp_path, before=late).stdout


def test_without_the_plugin_trust_remote_code_is_exact(folder, tmp_path):
    resave = "model.save_pretrained(sys.argv[1] + '/again')"
    again = (
        "twin = transformers.BertModel.from_pretrained(sys.argv[1] + '/again')\n"
        "print('twin', tuple(twin.encoder.layer[1].intermediate.dense.weight.shape))"
    )
    done = read(
        folder,
        tmp_path,
        before=ABSENT,
        options="trust_remote_code=True",
        after=f"{resave}\n{again}",
    )
    assert "difference 0.0\n" in done.stdout, done.stderr
    assert "class BertForSequenceClassification BertConfig" in done.stdout
    assert "twin (3, 32)" in done.stdout, done.stderr


def test_without_either_it_fails_loudly(folder, tmp_path):
    done = read(folder, tmp_path, before=ABSENT)
    assert done.returncode != 0
    assert "difference" not in done.stdout
    assert "mismatch" in done.stderr


def low_rank(model, inputs):
    edit = {"op": "low_rank", "weight": "bert.encoder.layer.0.output.dense.weight", "rank": 4}
    return apply_plan(model, [edit], inputs)


def factored_embedding(model, inputs):
    return apply_plan(model, [{"op": "factor_embedding", "size": 4}], inputs)


def shared(model, inputs):
    return apply_plan(model, [{"op": "share_layers", "layers": [0, 1]}], inputs)


def chain(op):
    def make(model, inputs):
        name, module = next(iter(filters_of(model).items()))
        return apply_plan(model, [small_edit(name, module, op)], inputs)

    return make


WITH_STAND_INS = {
    "low rank": ("bert", low_rank),
    "factored embedding": ("bert", factored_embedding),
    "shared": ("bert", shared),
    "svd": ("resnet_basic", chain("svd_conv")),
    "tucker": ("resnet_basic", chain("tucker_conv")),
    "cp": ("resnet_basic", chain("cp_conv")),
}


@pytest.fixture(params=WITH_STAND_INS)
def stood_in(request, tmp_path):
    return without_a_name(request.param, tmp_path / "m")


def without_a_name(kind, out):
    """The folder, the model and its inputs: weights that no tensor of their name holds."""
    family, change = WITH_STAND_INS[kind]
    model, inputs = FAMILIES[family]()
    return save_model(change(model, inputs), out), model, inputs


STRANGER = """
import sys
sys.modules['nlpcompress'] = None
import transformers
for folder, name in zip(sys.argv[1::2], sys.argv[2::2]):
    try:
        getattr(transformers, name).from_pretrained(folder)
        print(folder, "was loaded")
    except RuntimeError as error:
        print(folder, "failed", "mismatch" in str(error))
"""


def test_what_lies_under_no_name_of_its_own_fails_loudly_without_either(tmp_path):
    made = [without_a_name(kind, tmp_path / kind)[:2] for kind in WITH_STAND_INS]
    told = [text for folder, model in made for text in (str(folder), type(model).__name__)]
    command = [sys.executable, "-c", STRANGER, *told]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [f"{folder} failed True" for folder, _ in made]


def test_stand_ins_cost_no_bytes_and_a_folder_without_them_opens(stood_in):
    folder, model, inputs = stood_in
    file = folder / "model.safetensors"
    tensors = load_file(file)
    kept = {name: tensor for name, tensor in tensors.items() if tensor.numel()}
    assert len(kept) < len(tensors)
    ledger = size_ledger(model, folder)
    assert sum(ledger.values()) - ledger["file headers"] == stored_bytes(model)
    assert check_finished(folder) == (file.name,)
    with torch.no_grad():
        expected = model(**inputs).logits
    for content in (tensors, kept):
        save_file(content, file, metadata={"format": "pt"})
        again, info = type(model).from_pretrained(folder, output_loading_info=True)
        assert not any(info.values()), "transformers would tell of missing weights"
        with torch.no_grad():
            assert torch.equal(again(**inputs).logits, expected)


def test_a_checkpoint_of_a_training_has_no_stand_ins(stood_in, tmp_path):
    _, model, _ = stood_in
    model.save_pretrained(tmp_path / "checkpoint")
    state = load_file(tmp_path / "checkpoint" / "model.safetensors")
    assert model.load_state_dict(state, strict=False).unexpected_keys == []


def test_a_pipeline_opens_the_folder(folder):
    model = transformers.pipeline(
        "text-classification", model=str(folder), tokenizer=tokenizer(), device="cpu"
    )
    assert model("a b")[0]["label"].startswith("LABEL_")


def tokenizer():
    """Two words."""
    inner = Tokenizer(WordLevel({"[UNK]": 0, "[PAD]": 1, "a": 2, "b": 3}, "[UNK]"))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="[UNK]", pad_token="[PAD]"
    )


def test_registering_twice_changes_nothing():
    mapping = transformers.quantizers.auto.AUTO_QUANTIZER_MAPPING
    before = mapping[METHOD]
    register()
    assert mapping[METHOD] is before
