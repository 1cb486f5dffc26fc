"""A recipe is read whole: every mistake at once, each with its path and what to do."""

import copy
import re

import pytest
import yaml

from nlpcompress.errors import ConfigError
from nlpcompress.recipe.load import load_recipe, parse_recipe

TRAIN = {"num_train_epochs": 1, "learning_rate": 5.0e-5}
GOOD = {
    "version": 1,
    "name": "good",
    "model": {"id": "some/model", "task": "text-classification"},
    "data": {"name": "synthetic-text", "max_length": 16},
    "stages": [
        {"method": "fine_tune", "train": TRAIN},
        {"method": "head_importance", "config": {"keep": 0.5}},
        {"method": "logits", "config": {"temperature": 3.0}, "train": TRAIN},
    ],
}


def _with(path, value):
    values = copy.deepcopy(GOOD)
    place = values
    *parents, last = path.split(".")
    for part in parents:
        place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
    place[int(last) if isinstance(place, list) else last] = value
    return values


def test_defaults_are_filled_in():
    recipe = parse_recipe(GOOD)
    assert recipe.out == "out/good"
    assert recipe.seed == 0
    assert recipe.stages[1].config["keep"] == 0.5
    assert recipe.stages[1].config["min_keep"] == 1
    filled = recipe.stages[2].config
    assert filled["temperature"] == 3.0 and filled["alpha_ce"] == 0.5 and filled["loss"] == "kl"
    assert parse_recipe(recipe.to_json()) == recipe


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("sed", 1, "sed: unknown key; did you mean 'seed'?"),
        ("version", 2, "version: input should be 1 (value: 2)"),
        ("seed", "zero", "seed: input should be a valid integer (value: 'zero')"),
        ("seed", -1, "seed: input should be greater than or equal to 0 (value: -1)"),
        ("name", "a/b", "name: string should match pattern"),
        ("model.tusk", 1, "model.tusk: unknown key; did you mean 'task'?"),
        (
            "model.task",
            "text-clasification",
            "model.task: unknown task 'text-clasification'; did you mean 'text-classification'?",
        ),
        (
            "model.id",
            "random",
            "model.config: required with `id: random`, such as {model_type: bert}",
        ),
        (
            "model.config",
            {"model_type": "bert"},
            "model.config: only for `id: random`; 'some/model' brings its own",
        ),
        ("data.max_lenght", 3, "data.max_lenght: unknown key; did you mean 'max_length'?"),
        (
            "data.name",
            "movie-snipets",
            "data: unknown data set 'movie-snipets'; did you mean 'movie-snippets'?",
        ),
        ("stages", [], "stages: empty; a recipe needs at least one stage"),
        ("stages.1", "head_importance", "stages.1: must be a mapping with the keys method, config"),
        ("stages.1.metod", "x", "stages.1.metod: unknown key; did you mean 'method'?"),
        (
            "stages.1.method",
            "head_importnce",
            "stages.1.method: unknown method 'head_importnce'; did you mean 'head_importance'?",
        ),
        (
            "stages.1.config.keep",
            0,
            "stages.1.config.keep: input should be greater than 0 (value: 0)",
        ),
        (
            "stages.1.config.keep",
            "1e-1",
            "stages.1.config.keep: '1e-1' is text, not a number; write 0.1",
        ),
        (
            "stages.1.config.kep",
            0.5,
            "stages.1.config.kep: unknown key; did you mean 'keep'?",
        ),
        (
            "stages.0.train",
            {"learning_rate": "1e-3"},
            "stages.0.train.learning_rate: '1e-3' is text, not a number; write 0.001 "
            "(YAML 1.1 reads 1e-3 as text, 1.0e-3 as a number)",
        ),
        (
            "stages.0",
            {"method": "fine_tune"},
            "stages.0.train: required: fine_tune only teaches, and teaches nothing without",
        ),
        (
            "stages.1",
            {"method": "fine_tune", "train": TRAIN},
            "stages.2.teacher: required: logits learns from the model before the first cut, and "
            "neither this stage nor an earlier one cuts; put a stage that cuts before it, or name "
            "a model id or folder",
        ),
        (
            "stages.1.teacher",
            "bert-base-uncased",
            "stages.1.teacher: head_importance does not learn from a teacher; leave it out",
        ),
        (
            "stages.2.teacher",
            {"a": 0.0, "b": 1.0},
            "stages.2.teacher.a: input should be greater than 0 (value: 0.0)",
        ),
        ("stages.2.teacher", [], "stages.2.teacher: dictionary should have at least 1 item"),
        (
            "stages.2",
            {"method": "features", "train": TRAIN, "teacher": ["a", "b"]},
            "stages.2.teacher: features looks into the teacher while it runs, and several have no",
        ),
        (
            "stages.1.cache_teacher",
            True,
            "stages.1.cache_teacher: no method of this stage learns from a teacher; leave it out",
        ),
        (
            "stages.2.cache_scores",
            "scores",
            "stages.2.cache_scores: no method of this stage stores scores; leave it out",
        ),
        (
            "evaluate.metrics",
            ["accurracy"],
            "evaluate.metrics.0: unknown metric 'accurracy'; did you mean 'accuracy'?",
        ),
        (
            "evaluate.metrics",
            ["pearson"],
            "evaluate.metrics: pearson does not go with text-classification; allowed: accuracy, ",
        ),
        (
            "export.quantize",
            "dynamic-int8",
            "export.quantize: dynamic-int8 needs `onnx: true`",
        ),
        (
            "export",
            {"onnx": True, "quantize": "codes"},
            "export.quantize: codes are those of a quantized model; add the stage hessian_mixed",
        ),
        (
            "export.quantize",
            "int4",
            "export.quantize: input should be 'none', 'dynamic-int8', 'static-int8', 'nncf-int8'",
        ),
        (
            "export",
            {"onnx": True, "quantize": "dynamic-int8", "per_channel": False},
            "export.per_channel: is for `quantize: static-int8` or `quantize: auto`, not for ",
        ),
        ("export.calibration_samples", 0, "export.calibration_samples: input should be greater"),
        ("bench.rounds", 0, "bench.rounds: input should be greater than or equal to 1 (value: 0)"),
        ("bench.batch_sizes", [0], "bench.batch_sizes.0: input should be greater than 0"),
    ],
)
def test_each_mistake_has_its_path_and_message(path, value, message):
    with pytest.raises(ConfigError) as raised:
        parse_recipe(_with(path, value))
    lines = [line.strip() for line in str(raised.value).splitlines()]
    assert any(line.startswith(message) for line in lines), str(raised.value)


PRUNE = {"method": "movement", "train": TRAIN}


def test_a_stage_may_teach_with_several_methods():
    stage = {**PRUNE, "also": [{"method": "logits", "config": {"alpha_ce": 0.9}}]}
    recipe = parse_recipe(_with("stages", [GOOD["stages"][0], stage]))
    (other,) = recipe.stages[1].also
    assert other.config["alpha_ce"] == 0.9 and other.config["temperature"] == 2.0
    assert parse_recipe(recipe.to_json()) == recipe


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (
            {**PRUNE, "also": [{"method": "logit"}]},
            "stages.0.also.0.method: unknown method 'logit'",
        ),
        (
            {**PRUNE, "also": [{"method": "logits", "config": {"alpha": 1.0}}]},
            "stages.0.also.0.config.alpha: unknown key; did you mean 'alpha_ce'?",
        ),
        (
            {**PRUNE, "also": [{"method": "magnitude"}]},
            "stages.0.also.0.method: magnitude cuts, and only one method of a stage may",
        ),
        (
            {**PRUNE, "also": [{"method": "recalibrate_norms"}]},
            "stages.0.also.0.method: recalibrate_norms changes the model, and only one method of",
        ),
        (
            {"method": "head_importance", "also": [{"method": "logits"}]},
            "stages.0.also.0: logits teaches, but the stage does not train",
        ),
        (
            {"method": "fine_tune", "train": TRAIN, "also": [{"method": "logits"}]},
            "stages.0.teacher: required: logits learns from the model before the first cut",
        ),
        ({**PRUNE, "also": "logits"}, "stages.0.also: must be a list"),
    ],
)
def test_what_a_second_method_may_be(stage, message):
    with pytest.raises(ConfigError) as caught:
        parse_recipe(_with("stages", [stage]))
    assert message in str(caught.value)


def test_a_stage_may_name_its_own_teacher():
    values = _with("stages.1", {"method": "fine_tune", "train": TRAIN})
    for named, weights in (
        ("some/teacher", {"some/teacher": 1.0}),
        (["a", "b"], {"a": 1.0, "b": 1.0}),
        ({"a": 2.0, "b": 1}, {"a": 2.0, "b": 1.0}),
    ):
        values["stages"][2]["teacher"] = named
        recipe = parse_recipe(values)
        assert recipe.stages[2].teacher == weights and parse_recipe(recipe.to_json()) == recipe


def test_every_problem_is_told_at_once():
    values = _with("stages.1.config.keep", 0)
    values |= {"sed": 1, "stages": [*values["stages"], {"method": "nuron_importance"}]}
    values["stages"][0]["train"] = {"learning_rat": 1.0}
    del values["model"]["id"]
    with pytest.raises(ConfigError) as raised:
        parse_recipe(values, origin="movies.yaml")
    assert str(raised.value).splitlines() == [
        "movies.yaml: 5 problems",
        "  model.id: required, but not given",
        "  sed: unknown key; did you mean 'seed'?",
        "  stages.0.train.learning_rat: no key of TrainingArguments; did you mean 'learning_rate'?",
        "  stages.1.config.keep: input should be greater than 0 (value: 0)",
        "  stages.3.method: unknown method 'nuron_importance'; did you mean 'neuron_importance'?",
    ]


def test_one_misspelt_method_is_one_problem():
    with pytest.raises(ConfigError) as raised:
        parse_recipe(_with("stages.1.method", "head_importnce"), origin="movies.yaml")
    assert str(raised.value).splitlines() == [
        "movies.yaml: 1 problem",
        "  stages.1.method: unknown method 'head_importnce'; did you mean 'head_importance'?",
    ]


def test_overrides_are_checked_like_the_file(tmp_path):
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(GOOD))
    recipe = load_recipe(tmp_path / "r.yaml", ["seed=3", "stages.1.config.keep=0.25", "out=x"])
    assert (recipe.seed, recipe.stages[1].config["keep"], recipe.out) == (3, 0.25, "x")
    with pytest.raises(ConfigError, match=r"stages\.1\.config\.kep: unknown key"):
        load_recipe(tmp_path / "r.yaml", ["stages.1.config.kep=0.25"])


def test_a_result_folder_is_its_recipe_wherever_it_was_moved(tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**GOOD, "out": "elsewhere"}))
    assert load_recipe(tmp_path).out == str(tmp_path)


def test_what_is_no_mapping_does_not_hide_the_rest():
    with pytest.raises(ConfigError) as raised:
        parse_recipe({**GOOD, "model": "bert", "data": None, "stages": {"a": 1}})
    text = str(raised.value)
    assert "model: " in text
    assert "data: " in text
    assert "stages: " in text


def test_runtimes_run_onnx_files():
    with pytest.raises(ConfigError, match=r"export\.runtimes: openvino runs ONNX files; it needs"):
        parse_recipe(_with("export", {"runtimes": ["openvino"]}))
    values = _with("export", {"onnx": True, "quantize": "nncf-int8", "calibration_samples": 8})
    assert parse_recipe(values).export.calibration_samples == 8
    values["export"]["quantize"] = "dynamic-int8"
    with pytest.raises(ConfigError, match="calibration_samples: is for `quantize: static-int8` or"):
        parse_recipe(values)
    values["export"]["quantize"] = "auto"
    assert parse_recipe(values).export.calibration_samples == 8


@pytest.mark.parametrize(
    ("export", "said"),
    [
        ({"runtimes": "auto"}, "export.runtimes: auto runs ONNX files; it needs `onnx: true`"),
        (
            {"onnx": True, "runtimes": ["auto", "torch"]},
            "export.runtimes: auto is all that are installed; write it alone",
        ),
        (
            {"onnx": True, "runtimes": ["torch", "torch-compile"]},
            "torch and torch-compile cannot run the files that `onnx: true` asks for; add",
        ),
        ({"runtimes": ["tensorrt"]}, "export.runtimes.0: input should be 'onnxruntime', "),
    ],
)
def test_runtimes_that_do_not_go_together(export, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        parse_recipe(_with("export", export))


def test_one_runtime_is_a_list_of_it():
    assert parse_recipe(_with("export", {"runtimes": "torch"})).export.runtimes == ("torch",)


@pytest.mark.parametrize("change", ["randaugment", "mixup"])
def test_a_teacher_has_no_one_answer_to_pictures_that_change(change):
    values = _with(f"data.{change}", {})
    values["stages"][2]["cache_teacher"] = True
    with pytest.raises(ConfigError, match=f"stages.2.cache_teacher: data.{change} changes pict"):
        parse_recipe(values)


def _after_fewer_tokens(**stage):
    values = copy.deepcopy(GOOD)
    values["stages"][1] = {"method": "keep_vocabulary"}
    values["stages"][2] |= stage
    return values


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({}, "stages.2.cache_teacher: required: after keep_vocabulary the teacher has other tok"),
        (
            {"cache_teacher": True, "also": [{"method": "features"}]},
            "stages.2: after keep_vocabulary teacher and student have no tokens to compare",
        ),
        (
            {"cache_teacher": True, "replace_tokens": {}},
            "stages.2.replace_tokens: the teacher has no answers to other texts after keep_vocab",
        ),
    ],
)
def test_a_teacher_of_other_tokens_is_heard_beforehand(stage, message):
    with pytest.raises(ConfigError, match=message):
        parse_recipe(_after_fewer_tokens(**stage))


def test_fewer_tokens_are_for_texts_with_labels():
    assert parse_recipe(_after_fewer_tokens(cache_teacher=True)).stages[2].cache_teacher
    values = _after_fewer_tokens(cache_teacher=True)
    values["model"]["task"], values["data"] = "masked-lm", {"name": "bbc-news"}
    with pytest.raises(ConfigError, match=r"stages\.1\.method: keep_vocabulary goes with text-cla"):
        parse_recipe(values)


@pytest.mark.parametrize("values", [["version"], "recipe", 5])
def test_what_is_no_mapping_is_told(values):
    with pytest.raises(ConfigError, match="recipe: a recipe is a mapping, got"):
        parse_recipe(values)
