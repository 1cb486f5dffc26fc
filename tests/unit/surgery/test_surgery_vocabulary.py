"""The edit keep_vocabulary: the same answers to kept tokens, a stock model, nothing half done."""

import pytest
import torch
import transformers as tf

from nlpcompress.core.plan import plan_from_json
from nlpcompress.errors import PlanError
from nlpcompress.io import save_model
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES, VOCABULARY
from tests.unit.surgery.test_surgery_low_rank import masked_lm

KEPT = [0, 1, 2, 3, 4, *range(6, VOCABULARY, 3)]
TEXT_FAMILIES = sorted(
    name for name, make in FAMILIES.items() if "input_ids" in make()[1] and name != "t5"
)


def keep(tokens=KEPT):
    return plan_from_json([{"op": "keep_vocabulary", "tokens": list(tokens)}])


def of_kept(inputs, seed=0):
    """The same inputs of kept tokens: in old ids, and in new ones."""
    generator = torch.Generator().manual_seed(seed)
    mask = inputs["attention_mask"]
    new = torch.randint(5, len(KEPT), mask.shape, generator=generator)
    new = torch.where(mask.bool(), new, torch.ones_like(new))
    return {**inputs, "input_ids": torch.tensor(KEPT)[new]}, {**inputs, "input_ids": new}


def ids_in(model):
    """Special tokens the family's config names, which must be among the kept ones."""
    config = model.config
    values = [value for name, value in vars(config).items() if name.endswith("_token_id")]
    return {v for v in values if isinstance(v, int) and 0 <= v < config.vocab_size}


@torch.no_grad()
@pytest.mark.parametrize("family", TEXT_FAMILIES)
def test_texts_of_kept_tokens_get_the_same_answers_to_the_last_bit(family, tmp_path):
    model, inputs = FAMILIES[family]()
    assert ids_in(model) <= set(KEPT)
    old, new = of_kept(inputs)
    before = model(**old).logits
    size = sum(parameter.numel() for parameter in model.parameters())
    assert apply_plan(model, keep(), inputs) is model
    assert torch.equal(model(**new).logits, before)
    assert model.config.vocab_size == len(KEPT)
    assert model.get_input_embeddings().num_embeddings == len(KEPT)
    width = model.get_input_embeddings().embedding_dim
    left = sum(parameter.numel() for parameter in model.parameters())
    assert size - left == (VOCABULARY - len(KEPT)) * width
    folder = save_model(model, tmp_path / "model")
    again = type(model).from_pretrained(folder)
    assert "quantization_config" not in again.config.to_dict()
    assert torch.equal(again.eval()(**new).logits, before)


@torch.no_grad()
@pytest.mark.parametrize("tied", [True, False])
def test_a_head_that_tells_tokens_tells_the_kept_ones(tied, tmp_path):
    model, inputs = masked_lm(tie_word_embeddings=tied)
    old, new = of_kept(inputs)
    before = model(**old).logits[..., KEPT]
    apply_plan(model, keep(), inputs)
    assert torch.allclose(model(**new).logits, before, rtol=0, atol=1e-6)
    again = type(model).from_pretrained(save_model(model, tmp_path / "model"))
    assert torch.equal(again.eval()(**new).logits, model(**new).logits)
    decoder = again.get_output_embeddings()
    assert (decoder.weight is again.get_input_embeddings().weight) == tied
    assert decoder.bias.shape == (len(KEPT),)


def test_special_tokens_get_their_new_ids_everywhere():
    model, inputs = FAMILIES["llama"]()
    model.config.pad_token_id, model.config.bos_token_id = 9, 12
    model.config.eos_token_id = [15, 18]
    model.generation_config = tf.GenerationConfig(eos_token_id=[15, 18])
    table = model.get_input_embeddings()
    table.padding_idx = 9
    apply_plan(model, keep(range(6, 30, 3)), inputs)
    assert (model.config.pad_token_id, model.config.bos_token_id) == (1, 2)
    assert model.config.eos_token_id == model.generation_config.eos_token_id == [3, 4]
    assert table.padding_idx == 1


@pytest.mark.parametrize(
    "lists", [{"suppress_tokens": [3, 6]}, {"bad_words_ids": [[3], [6, 7]]}], ids=min
)
def test_lists_of_tokens_that_generation_has_are_told(lists):
    model, inputs = FAMILIES["llama"]()
    model.generation_config = tf.GenerationConfig(**lists)
    with pytest.raises(PlanError, match=f"{min(lists)} of GenerationConfig names tokens"):
        apply_plan(model, keep(), inputs)
    model.generation_config = tf.GenerationConfig()
    apply_plan(model, keep(), inputs)


def test_later_edits_see_the_new_tokens():
    model, inputs = FAMILIES["bert"]()
    heads = {"op": "keep", "axis": "layers.0.heads", "indices": [1, 3]}
    tokens = keep().to_json()
    apply_plan(model, [*tokens, heads, {"op": "keep_layers", "layers": [0]}], inputs)
    assert model.config.vocab_size == len(KEPT) and model.config.num_hidden_layers == 1


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([0, 1, 2, VOCABULARY], "has tokens 0 to 59, got 60"),
        ([0, 2, 3], "pad_token_id 1 is to be dropped, and special tokens stay"),
    ],
)
def test_tokens_that_cannot_be_are_told_and_nothing_changes(tokens, message):
    model, inputs = FAMILIES["bert"]()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(PlanError, match=message):
        apply_plan(model, keep(tokens), inputs)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.config.vocab_size == VOCABULARY and model.config.pad_token_id == 1


def test_the_padding_that_positions_count_from_stays_what_it_is():
    model, inputs = FAMILIES["roberta"]()
    model.config.bos_token_id = model.config.eos_token_id = 2
    with pytest.raises(PlanError, match=r"count from the padding's id 1.*keep the tokens 0 to 1"):
        apply_plan(model, keep([1, 2, 3, 4]), inputs)


def test_a_table_of_another_kind_keeps_its_padding_though_it_has_as_many_rows():
    model, inputs = FAMILIES["bert"]()
    config = type(model.config)(
        **model.config.to_dict() | {"max_position_embeddings": VOCABULARY, "vocab_size": VOCABULARY}
    )
    model = type(model)(config).eval()
    positions = model.bert.embeddings.position_embeddings
    assert positions.num_embeddings == VOCABULARY
    positions.padding_idx = VOCABULARY - 1
    model.config.pad_token_id = None  # so that nothing seems to count from it
    apply_plan(model, keep(), inputs)
    assert positions.padding_idx == VOCABULARY - 1 and positions.num_embeddings == VOCABULARY


def test_an_error_in_a_later_edit_puts_the_tokens_back():
    model, inputs = FAMILIES["bert"]()
    model.config.eos_token_id = 6
    model.generation_config = tf.GenerationConfig(eos_token_id=6)
    plan = [*keep().to_json(), {"op": "keep_layers", "layers": [7]}]
    with pytest.raises(PlanError):
        apply_plan(model, plan, inputs)
    assert model.config.vocab_size == model.get_input_embeddings().num_embeddings == VOCABULARY
    assert model.get_input_embeddings().padding_idx == 1
    assert model.config.eos_token_id == model.generation_config.eos_token_id == 6


def test_a_factored_table_is_told():
    model, inputs = FAMILIES["bert"]()
    apply_plan(model, [{"op": "factor_embedding", "size": 4}], inputs)
    with pytest.raises(PlanError, match="no dense table of tokens"):
        apply_plan(model, keep(), inputs)


def test_pictures_have_no_tokens():
    model, inputs = FAMILIES["vit"]()
    with pytest.raises(PlanError, match="no dense table of tokens"):
        apply_plan(model, keep(), inputs)
    assert isinstance(model, tf.PreTrainedModel)
