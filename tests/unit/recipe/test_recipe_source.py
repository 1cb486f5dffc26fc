"""Models that cannot be, or that do not fit each other, are refused by name."""

import pytest
import torch
from transformers import BertTokenizerFast, ViTImageProcessor

from nlpcompress.data.synthetic import VOCABULARY
from nlpcompress.errors import ConfigError
from nlpcompress.models.random import random_config, word_tokenizer
from nlpcompress.recipe.load import load_recipe, parse_recipe
from nlpcompress.recipe.schema import ModelConfig
from nlpcompress.recipe.shipped import find_recipe
from nlpcompress.recipe.source import (
    check_lengths,
    check_teacher_tokenizer,
    named_teacher,
    recipe_data,
    skeleton,
    start_model,
    start_processor,
)

TINY = ModelConfig(
    id="random",
    task="text-classification",
    config={"model_type": "bert", "hidden_size": 32, "num_hidden_layers": 1}
    | {"num_attention_heads": 4, "intermediate_size": 48},
)


def test_a_random_model_is_its_seed():
    def weights(seed):
        return start_model(TINY, labels=("a", "b", "c"), seed=seed).state_dict()

    first, again, other = weights(0), weights(0), weights(1)
    assert all(first[name].equal(again[name]) for name in first)
    assert not all(first[name].equal(other[name]) for name in first)
    assert first["classifier.weight"].shape == (3, 32)


@pytest.mark.parametrize(
    "wrong",
    [{"hidden_size": 30}, {"num_attention_heads": 0}, {"intermediate_size": -5}],
)
def test_values_that_make_no_model_are_told(wrong):
    model = TINY.model_copy(update={"config": TINY.config | wrong})
    with pytest.raises(ConfigError, match=r"model\.config: no such model can be made: "):
        skeleton(model, labels="ab")


def test_its_tokenizer_knows_the_made_words():
    tokenizer = start_processor(TINY)
    ids = tokenizer("Snow and sun", "unheard").input_ids
    assert tokenizer.decode(ids) == "[CLS] snow and sun [SEP] [UNK] [SEP]"
    assert len(tokenizer) == skeleton(TINY, labels="ab").config.vocab_size == len(VOCABULARY) + 5


def test_a_saved_tokenizer_reloads(tmp_path):
    from transformers import AutoTokenizer

    tokenizer = word_tokenizer(VOCABULARY)
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again("snow was", "very far").input_ids == tokenizer("snow was", "very far").input_ids


def test_a_random_model_may_have_another_models_tokenizer(tmp_path):
    word_tokenizer(["alpha", "beta"]).save_pretrained(tmp_path)
    model = TINY.model_copy(update={"processor": str(tmp_path)})
    assert len(start_processor(model)) == 7
    for made in (skeleton(model, labels="ab"), start_model(model, labels="ab", seed=0)):
        assert made.config.vocab_size == made.get_input_embeddings().num_embeddings == 7
    with pytest.raises(ConfigError, match=r"model.processor: 'nowhere' cannot be loaded"):
        start_processor(TINY.model_copy(update={"processor": "nowhere"}))


def test_several_teachers_answer_with_their_weights(tmp_path):
    names = [str(tmp_path / name) for name in "ab"]
    models = [start_model(TINY, labels="xyz", seed=seed) for seed in (0, 1)]
    for name, model in zip(names, models, strict=True):
        model.save_pretrained(name)
    weights = dict(zip(names, (3.0, 1.0), strict=True))
    load = {"task": TINY.task, "labels": "xyz", "where": "stages.0.teacher"}
    ids = torch.tensor([[2, 7, 8, 3]])
    both = named_teacher(weights, **load)(input_ids=ids).logits
    one, other = (model(input_ids=ids).logits for model in models)
    assert torch.allclose(both, 0.75 * one + 0.25 * other, atol=1e-6)
    alone = named_teacher({names[1]: 1.0}, **load)
    assert torch.allclose(alone(input_ids=ids).logits, other, atol=1e-6)
    assert not torch.allclose(one, other, atol=1e-3)
    with pytest.raises(ConfigError, match=r"stages.0.teacher: 'nowhere' cannot be loaded"):
        named_teacher({names[0]: 1.0, "nowhere": 1.0}, **load)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "brt"}, "model.config.model_type: unknown model type 'brt'; did you mean"),
        (
            {"model_type": "bert", "hiden_size": 3},
            "model.config.hiden_size: unknown key; did you mean 'hidden_size'?",
        ),
        ({"hidden_size": 3}, "model.config.model_type: unknown model type None"),
    ],
)
def test_wrong_configs_are_told(config, message):
    with pytest.raises(ConfigError, match=r"model\.config") as raised:
        random_config(config)
    assert str(raised.value).startswith(message)


def test_a_folder_that_is_no_model_is_told(tmp_path):
    model = ModelConfig(id=str(tmp_path), task="text-classification")
    with pytest.raises(ConfigError) as raised:
        start_model(model, labels=("a", "b"), seed=0)
    assert str(raised.value).startswith(f"model.id: '{tmp_path}' cannot be loaded: ")
    assert "name a folder, an installed model package or a hub id" in str(raised.value)


def test_a_teacher_with_another_tokenizer_is_refused(tmp_path):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "other", "words"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ConfigError) as raised:
        check_teacher_tokenizer(
            str(tmp_path),
            start_processor(TINY),
            task="text-classification",
            where="stages.2.teacher",
        )
    assert str(raised.value).startswith(
        f"stages.2.teacher: the teacher '{tmp_path}' has another tokenizer than the student: "
    )


def test_a_teacher_with_the_same_tokenizer_passes(tmp_path):
    start_processor(TINY).save_pretrained(tmp_path)
    skeleton(TINY, labels="ab").config.save_pretrained(tmp_path)
    check_teacher_tokenizer(
        str(tmp_path), start_processor(TINY), task="text-classification", where="here"
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "data.max_length=100",
            "data.max_length: 100 tokens, but 'random' has positions for 64; write at most 64",
        ),
        ("bench.sequence_lengths=[16, 65]", "bench.sequence_lengths: 65 tokens, but 'random' has"),
    ],
)
def test_texts_longer_than_the_model_reads_are_refused(override, message):
    recipe = load_recipe(find_recipe("smoke/logits"), [override])
    with pytest.raises(ConfigError, match="positions") as raised:
        check_lengths(recipe)
    assert str(raised.value).startswith(message)


def test_lengths_within_the_positions_pass():
    check_lengths(load_recipe(find_recipe("smoke/logits"), ["data.max_length=64"]))


def test_a_model_that_counts_from_its_paddings_number_reads_less():
    roberta = "{model_type: roberta, hidden_size: 32, num_hidden_layers: 1, pad_token_id: 1, "
    roberta += "num_attention_heads: 4, intermediate_size: 48, max_position_embeddings: 18}"
    values = [f"model.config={roberta}", "bench.sequence_lengths=[8]"]
    check_lengths(load_recipe(find_recipe("smoke/logits"), [*values, "data.max_length=16"]))
    with pytest.raises(ConfigError, match=r"17 tokens, but .* positions for 16;"):
        check_lengths(load_recipe(find_recipe("smoke/logits"), [*values, "data.max_length=17"]))


def test_what_a_random_picture_model_was_saved_as_has_no_processor_either(tmp_path):
    shape = {"model_type": "resnet", "embedding_size": 8, "hidden_sizes": [8], "depths": [1]}
    random = ModelConfig(id="random", task="image-classification", config=shape)
    assert start_processor(random) is None
    start_model(random, labels=("a", "b"), seed=0).save_pretrained(tmp_path)
    saved = ModelConfig(id=str(tmp_path), task="image-classification")
    assert start_processor(saved) is None
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    assert start_processor(saved).size["height"] == 32


PICTURES = {
    "id": "random",
    "task": "image-classification",
    "config": {
        "model_type": "resnet",
        "num_channels": 1,
        "embedding_size": 8,
        "hidden_sizes": [8, 16],
        "depths": [1, 2],
        "layer_type": "basic",
    },
}


def pictures(**model):
    values = {
        "version": 1,
        "name": "pictures",
        "model": PICTURES | model,
        "data": {"name": "digits", "image_size": 12, "train_samples": 20, "test_samples": 20},
        "stages": [{"method": "fine_tune", "train": {"max_steps": 1}}],
    }
    return parse_recipe(values)


def test_a_scaled_network_sees_larger_pictures():
    recipe = pictures(scaling={"phi": 2.0})
    model = skeleton(recipe.model, labels=[str(n) for n in range(10)])
    assert (model.config.hidden_sizes, model.config.depths) == ([16, 24], [2, 3])
    data = recipe_data(recipe, None)
    batch = data.collate([data.test[0], data.test[1]])
    assert batch["pixel_values"].shape == (2, 1, 16, 16)  # 12 · 1.15²
    plain = pictures(scaling={"phi": 0.0})
    assert skeleton(plain.model, labels=["a"] * 10).config.hidden_sizes == [8, 16]


def test_pictures_are_resized_smoothly():
    data = recipe_data(pictures(), None)
    own = recipe_data(
        pictures().model_copy(
            update={"data": pictures().data.model_copy(update={"image_size": 8})}
        ),
        None,
    )
    large = data.collate([data.test[0]])["pixel_values"]
    small = own.collate([own.test[0]])["pixel_values"]
    assert large.shape[-1] == 12 and small.shape[-1] == 8
    expected = torch.nn.functional.interpolate(small, size=(12, 12), mode="bilinear")
    assert (large - expected).abs().max() < 1.5 / 255


def test_scaling_that_cannot_be_is_told():
    with pytest.raises(ConfigError, match=r"model\.scaling: only for `id: random`; 'resnet'"):
        pictures(id="resnet", config=None, scaling={"phi": 1.0})
    with pytest.raises(ConfigError, match=r"model\.scaling: models of type bert have no scaling"):
        pictures(config={"model_type": "bert"}, scaling={})
    with pytest.raises(ConfigError, match=r"model\.scaling\.phi: .*20"):
        pictures(scaling={"phi": 20})
    values = pictures(scaling={"phi": 1.0, "gamma": 1.0}).to_json()
    values["data"]["image_size"] = None
    assert parse_recipe(values).model.scaling.resolution == 1.0
    values["model"]["scaling"]["gamma"] = 1.15
    with pytest.raises(ConfigError, match=r"data\.image_size: required with model\.scaling"):
        parse_recipe(values)
