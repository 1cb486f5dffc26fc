"""The edit quantize: codes in the place of weights, and what is computed is that of the grid."""

import copy

import pytest
import torch
from transformers import AutoModelForMaskedLM
from transformers.pytorch_utils import Conv1D

from nlpcompress.errors import NlpCompressError, PlanError
from nlpcompress.models.grid import Scheme, rounded
from nlpcompress.models.noted import note_grid
from nlpcompress.models.quantized import DENSE, Quantized, QuantizedEmbedding, schemes
from nlpcompress.models.ranges import fitted_grid
from nlpcompress.models.record import record_structure
from nlpcompress.models.structure import names_on_disk
from nlpcompress.models.weights import body_weights
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES
from tests.unit.surgery.test_surgery_layers import deep_bert
from tests.unit.surgery.test_surgery_low_rank import masked_lm

OUTPUT = "bert.encoder.layer.0.output.dense"
TABLE = "bert.embeddings.word_embeddings"


def quantize(weight, bits=4, **options):
    return {"op": "quantize", "weight": f"{weight}.weight", "bits": bits, **options}


def quantize_all(model, **options):
    """An edit for each weight of the body."""
    on_disk = names_on_disk(model)
    return [
        {"op": "quantize", "weight": on_disk[name], "bits": (2, 3, 4, 8)[place % 4], **options}
        for place, name in enumerate(body_weights(model))
        if type(model.get_submodule(name.removesuffix(".weight"))) in DENSE
    ]


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_weights_of_every_family_become_the_nearest_of_their_grids(family):
    model, inputs = FAMILIES[family]()
    before = copy.deepcopy(model)
    plan = quantize_all(model)
    apply_plan(model, plan, inputs)
    found = schemes(model)
    assert len(plan) > 3 and len({id(model.get_submodule(p)) for p in found}) >= len(plan)
    with torch.no_grad():
        for path, scheme in found.items():
            dense, module = before.get_submodule(path), model.get_submodule(path)
            matrix = dense.weight.T if isinstance(dense, Conv1D) else dense.weight.flatten(1)
            expected = rounded(matrix, scheme, fitted_grid(matrix, scheme, "min_max"))
            assert torch.equal(module.decoded(), expected)
            assert module.weight.dtype == torch.int8 and module.weight.dim() == 1
            by_hand = expected.T if isinstance(dense, Conv1D) else expected.view_as(dense.weight)
            dense.weight.copy_(by_hand)
        for name, value in before(**inputs).items():
            if isinstance(value, torch.Tensor):
                assert torch.allclose(model(**inputs)[name], value, atol=1e-5), name


@pytest.mark.parametrize("bits", [3, 4])
@pytest.mark.parametrize("group_rows", [1, 4])
def test_a_table_decodes_the_rows_that_are_asked_for(bits, group_rows):
    model, inputs = deep_bert()
    apply_plan(model, [quantize(TABLE, bits, group_rows=group_rows, group_size=16)], inputs)
    table = model.get_submodule(TABLE)
    assert isinstance(table, QuantizedEmbedding)
    ids = torch.tensor([[3, 0], [59, 3]])
    assert torch.equal(table(ids), table.decoded()[ids])


def test_a_table_whose_rows_end_within_bytes():
    model, dense = Table(), torch.nn.Embedding(7, 9)
    model.table = dense
    ids = torch.tensor([[6, 0, 3]])
    scheme = Scheme(7, 9, 3, 1, 9, False)
    expected = rounded(dense.weight, scheme, fitted_grid(dense.weight, scheme, "min_max"))[ids]
    apply_plan(model, [quantize("table", 3)], {"ids": ids})
    assert torch.equal(model(ids), expected)


class Table(torch.nn.Module):
    def forward(self, ids):
        return self.table(ids)


def test_a_tied_decoder_has_the_codes_of_the_table():
    model, inputs = masked_lm()
    apply_plan(model, [quantize(TABLE, 4)], inputs)
    table, decoder = model.get_input_embeddings(), model.get_output_embeddings()
    assert isinstance(decoder, Quantized) and decoder.weight is table.weight
    assert model.config.tie_word_embeddings is False


def test_shared_layers_have_the_same_codes():
    model, inputs = deep_bert()
    share = {"op": "share_layers", "layers": [0, 2], "source": 0}
    apply_plan(model, [share, quantize(OUTPUT)], inputs)
    first, third = (model.bert.encoder.layer[i].output.dense for i in (0, 2))
    assert isinstance(first, Quantized) and third.weight is first.weight


def test_factors_are_quantized_by_their_names():
    model, inputs = deep_bert()
    low_rank = {"op": "low_rank", "weight": f"{OUTPUT}.weight", "rank": 8}
    apply_plan(model, [low_rank, quantize(f"{OUTPUT}.first"), quantize(f"{OUTPUT}.second")], inputs)
    assert set(schemes(model)) == {f"{OUTPUT}.first", f"{OUTPUT}.second"}


def test_a_noted_grid_is_taken_as_it_is():
    model, inputs = deep_bert()
    module = model.get_submodule(OUTPUT)
    scheme = Scheme(32, 48, 4, 1, 16, False)
    grid = fitted_grid(module.weight * 1.5, scheme, "min_max")
    note_grid(module, scheme, grid)
    apply_plan(model, [quantize(OUTPUT, group_size=16, range="noted")], inputs)
    found = model.get_submodule(OUTPUT).grid()
    assert torch.equal(found.scale, grid.scale) and torch.equal(found.zero, grid.zero)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ([quantize("bert.encoder.layer.0.ouput.dense")], "no weight .*did you mean"),
        ([quantize(OUTPUT, 9)], "bits"),
        ([quantize(OUTPUT, 1)], "bits"),
        ([quantize(OUTPUT, group_size=10)], "group_size 10 does not divide the 32 × 48 .*8, 12"),
        ([quantize(OUTPUT, group_rows=64)], "group_rows 64 does not divide"),
        ([quantize(OUTPUT, group_size=0)], "group_size"),
        ([quantize(OUTPUT), quantize(OUTPUT, 8)], "quantized twice"),
        (
            [quantize(OUTPUT), {"op": "keep_layers", "layers": [0]}, quantize(OUTPUT)],
            "quantized already",
        ),
        ([quantize(OUTPUT, range="noted")], "nothing has noted ranges"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_changes(plan, message):
    model, inputs = deep_bert()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(NlpCompressError, match=message):
        apply_plan(model, plan, inputs)
    assert not schemes(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_grid_of_other_groups_is_refused():
    model, inputs = deep_bert()
    module = model.get_submodule(OUTPUT)
    scheme = Scheme(32, 48, 4, 1, 48, False)
    note_grid(module, scheme, fitted_grid(module.weight, scheme, "min_max"))
    with pytest.raises(PlanError, match=r"ranges of \(32, 3\) groups"):
        apply_plan(model, [quantize(OUTPUT, group_size=16, range="noted")], inputs)


def test_a_grid_that_a_training_drove_beyond_float16_is_refused():
    model, inputs = FAMILIES["bert"]()
    module = model.get_submodule(OUTPUT)
    scheme = Scheme(32, 48, 4, 1, 48, False)
    grid = fitted_grid(module.weight, scheme, "min_max")
    grid.scale[3] = torch.inf
    note_grid(module, scheme, grid)
    with pytest.raises(PlanError, match="beyond float16"):
        apply_plan(model, [quantize(OUTPUT, range="noted")], inputs)
    assert model.get_submodule(OUTPUT) is module


def test_a_model_in_half_precision_computes_in_it():
    body, _ = deep_bert()
    model = AutoModelForMaskedLM.from_config(body.config).bfloat16().eval()
    inputs = {"input_ids": torch.tensor([[5, 6, 7]])}
    apply_plan(model, [quantize(TABLE, 8), quantize(OUTPUT, 8)], inputs)
    assert model(**inputs).logits.dtype == torch.bfloat16


LOW_RANK = {"op": "low_rank", "weight": f"{OUTPUT}.weight", "rank": 2}
SHARE = {"op": "share_layers", "layers": [0, 1]}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (LOW_RANK, "quantized already; make it smaller first, then quantize once"),
        (SHARE, "'output.dense' of the layers is quantized; share first, then quantize"),
        ({**SHARE, "part": "ffn"}, "share first, then quantize"),
    ],
)
def test_what_must_come_before_says_so(edit, message):
    model, inputs = deep_bert()
    apply_plan(model, [quantize(OUTPUT)], inputs)
    with pytest.raises(PlanError, match=message):
        apply_plan(model, [edit], inputs)


def test_a_part_that_is_not_quantized_can_still_be_shared():
    model, inputs = deep_bert()
    apply_plan(model, [quantize(OUTPUT), {**SHARE, "part": "attention"}], inputs)
    first, second = (model.bert.encoder.layer[i].attention.self.query for i in (0, 1))
    assert first.weight is second.weight


def test_quantized_layers_can_still_be_left_out():
    model, inputs = deep_bert()
    apply_plan(model, quantize_all(model), inputs)
    last = model.bert.encoder.layer[3].output.dense
    apply_plan(model, [{"op": "keep_layers", "layers": [1, 3]}], inputs)
    assert model.config.num_hidden_layers == 2
    assert model.bert.encoder.layer[1].output.dense is last


def test_a_copy_computes_the_same_and_keeps_what_is_shared():
    model, inputs = masked_lm()
    apply_plan(model, [quantize(TABLE), *quantize_all(model)], inputs)
    twin = copy.deepcopy(model)
    assert torch.equal(twin(**inputs).logits, model(**inputs).logits)
    table = twin.get_input_embeddings()
    assert twin.get_output_embeddings().weight is table.weight
    assert table.weight is not model.get_input_embeddings().weight


def test_half_keeps_the_codes_and_computes_in_half():
    model, inputs = deep_bert()
    apply_plan(model, [quantize(TABLE, 8), *quantize_all(model)], inputs)
    before = {name: b.clone() for name, b in model.named_buffers() if b.dtype == torch.int8}
    model.half()
    after = dict(model.named_buffers())
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert model(**inputs).logits.dtype == torch.float16
    record_structure(model)
    assert model.config.quantization_config.structure["quantized"]
