"""The `train:` block: portable TrainingArguments keys of the right type, refused before work."""

import pytest

from nlpcompress.errors import ConfigError
from nlpcompress.recipe.arguments import training_arguments
from nlpcompress.recipe.load import parse_recipe
from nlpcompress.recipe.train_keys import NOT_PORTABLE, OWNED, train_problems


def _problem(**train):
    (problem,) = train_problems(train, "stages.0.train")
    return problem


def test_a_usual_block_is_fine():
    usual = {
        "num_train_epochs": 2,
        "learning_rate": 5.0e-5,
        "per_device_train_batch_size": 32,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 100,
        "optim": "adamw_torch",
        "bf16": False,
        "save_steps": 50,
        "save_strategy": "steps",
        "lr_scheduler_kwargs": {"num_cycles": 1},
        "report_to": ["tensorboard"],
        "gradient_checkpointing": True,
        "max_steps": 5,
    }
    assert train_problems(usual, "stages.0.train") == []


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (
            {"learning_rat": 1.0},
            "stages.0.train.learning_rat: no key of TrainingArguments; did you mean "
            "'learning_rate'?",
        ),
        (
            {"learning_rate": "1e-3"},
            "stages.0.train.learning_rate: '1e-3' is text, not a number; write 0.001 "
            "(YAML 1.1 reads 1e-3 as text, 1.0e-3 as a number)",
        ),
        (
            {"learning_rate": "5e-5"},
            "stages.0.train.learning_rate: '5e-5' is text, not a number; write 5.0e-05",
        ),
        (
            {"num_train_epochs": "two"},
            "stages.0.train.num_train_epochs: input should be a valid number (value: 'two')",
        ),
        (
            {"per_device_train_batch_size": 8.5},
            "stages.0.train.per_device_train_batch_size: input should be a valid integer "
            "(value: 8.5)",
        ),
        ({"bf16": 1}, "stages.0.train.bf16: input should be a valid boolean (value: 1)"),
        ({"per_device_train_batch_size": True}, "input should be a valid integer (value: True)"),
        (
            {"lr_scheduler_type": "cosin"},
            "stages.0.train.lr_scheduler_type: unknown value 'cosin'; did you mean 'cosine'?",
        ),
        ({"learning_rate": -1.0}, "stages.0.train.learning_rate: must be above 0 (value: -1.0)"),
        ({"num_train_epochs": 0}, "must be above 0 (value: 0)"),
        ({"learning_rate": float("inf")}, "input should be a finite number (value: inf)"),
        ({"weight_decay": float("nan")}, "input should be a finite number (value: nan)"),
        ({"warmup_steps": 0.1}, "warmup_steps: must be a whole number of steps (value: 0.1)"),
        (
            {"output_dir": "x"},
            "stages.0.train.output_dir: not for a recipe to set: the recipe keeps checkpoints in "
            "<out>/.stages",
        ),
        ({"seed": 3}, "stages.0.train.seed: not for a recipe to set: set the recipe's own `seed`"),
        ({"resume_from_checkpoint": "x"}, "a killed run resumes by itself"),
        ({"eval_strategy": "epoch"}, "the report measures the test set"),
        ({"push_to_hub": True}, "use `nlpcompress push` when the run is done"),
        (
            {"warmup_ratio": 0.1},
            "stages.0.train.warmup_ratio: works on only some transformers: transformers 5 has no "
            "such key; write `warmup_steps`, a whole number",
        ),
    ],
)
def test_each_mistake_has_its_message(train, message):
    assert message in _problem(**train)


def test_all_mistakes_of_a_block_are_told():
    problems = train_problems({"seed": 1, "bf16": "yes", "epochs": 3}, "stages.2.train")
    assert [problem.split(":")[0] for problem in problems] == [
        "stages.2.train.seed",
        "stages.2.train.bf16",
        "stages.2.train.epochs",
    ]


def test_no_key_is_refused_for_two_reasons():
    assert not set(OWNED) & set(NOT_PORTABLE)


def test_batches_by_length_have_one_name_for_both_generations():
    assert train_problems({"group_by_length": True}, "train") == []
    assert (
        "group_by_length: true"
        in train_problems({"train_sampling_strategy": "group_by_length"}, "train")[0]
    )


@pytest.mark.parametrize("grouped", [True, False])
def test_batches_by_length_reach_the_trainer_of_this_generation(tmp_path, grouped):
    recipe = parse_recipe(_recipe("text-classification", "synthetic-text", grouped))
    arguments = training_arguments(recipe, 0, tmp_path)
    found = getattr(arguments, "group_by_length", None)
    if found is None:
        found = arguments.train_sampling_strategy == "group_by_length"
    assert found is grouped


def test_pictures_have_no_lengths():
    with pytest.raises(ConfigError, match=r"stages.0.train.group_by_length: image-classif"):
        parse_recipe(_recipe("image-classification", "digits", True))


def _recipe(task, data, grouped):
    return {
        "version": 1,
        "name": "grouped",
        "model": {"id": "some/model", "task": task},
        "data": {"name": data},
        "stages": [{"method": "fine_tune", "train": {"group_by_length": grouped}}],
    }
