"""The card says every number of the report, and is Markdown and metadata that others can read."""

import copy
import json
import re

import pytest
import yaml
from huggingface_hub import ModelCard
from jinja2 import UndefinedError
from markdown_it import MarkdownIt

from nlpcompress.io import card as card_module
from nlpcompress.io.card import FOLDER, folder_card, model_card
from nlpcompress.io.ledger import table
from nlpcompress.models.tasks import TASKS

TEACHER = {
    "name": "teacher",
    "metrics": {"accuracy": 0.8684210526315789, "f1": 0.8571428571428571},
    "parameters": 22713986,
    "size_bytes": 90864192,
    "onnx_size_bytes": 91012347,
    "pass_shape": "8x64",
    "macs": 11234567893,
    "latency_ms": {
        "1x32": {"median": 6.125, "p5": 5.0625, "p95": 7.1875},
        "8x64": {"median": 107.123, "p5": 105.25, "p95": 111.875},
    },
}
RESULT = {
    "name": "result | int8",
    "metrics": {"accuracy": 0.8661234567890123, "f1": None},
    "parameters": 17000001,
    "size_bytes": 68000029,
    "onnx_size_bytes": 18000053,
    "macs": None,
    "latency_ms": {"8x64": {"median": 36.7, "p5": 35.9, "p95": 38.2}},
}
REPORT = {
    "rows": [TEACHER, RESULT],
    "environment": {"torch": "2.13.0", "threads": 1, "cpu": {"model": "X-1", "cores": 2}},
    "recipe_hash": "0123abcd",
    "samples": 1066,
}
RECIPE = {
    "version": 1,
    "name": "movies-pipeline",
    "model": {"id": "someone/base", "task": "text-classification"},
    "data": {"name": "movie-snippets", "max_length": 64},
    "stages": [
        {"method": "fine_tune", "train": {"learning_rate": 5.0e-5}},
        {"method": "head_importance", "config": {"keep": 0.5}},
        {"method": "head_importance", "config": {"keep": 0.25}},
    ],
    "evaluate": {"metrics": ["accuracy"]},
}


def numbers(value: object) -> list[float]:
    """Every number in a nest of lists and mappings."""
    if isinstance(value, dict):
        return [n for inner in value.values() for n in numbers(inner)]
    if isinstance(value, list):
        return [n for inner in value for n in numbers(inner)]
    return [value] if isinstance(value, (int, float)) else []


def blocks(text: str, language: str) -> list[str]:
    tokens = MarkdownIt().parse(ModelCard(text).text)
    return [t.content for t in tokens if t.type == "fence" and t.info == language]


def sections(text: str) -> list[str]:
    tokens = MarkdownIt().parse(ModelCard(text).text)
    headings = [i for i, t in enumerate(tokens) if t.type == "heading_open" and t.tag == "h2"]
    return [tokens[i + 1].content for i in headings]


def test_every_number_of_the_ledger_is_in_the_card():
    text = model_card(REPORT, RECIPE)
    expected = numbers(REPORT["rows"])
    assert len(expected) == 19
    for number in expected:
        assert re.search(rf"(?<![\d.]){re.escape(repr(number))}(?![\d.])", text), number
    assert json.loads(blocks(text, "json")[0]) == REPORT["rows"]
    for number in (REPORT["samples"], REPORT["recipe_hash"], "X-1", "2.13.0"):
        assert str(number) in text


def test_the_table_rounds_and_names_what_was_not_measured():
    lines = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in table(REPORT["rows"]).splitlines()
    ]
    assert lines[0] == [
        "model",
        "accuracy",
        "f1",
        "parameters",
        "weights, MB",
        "ONNX file, MB",
        "MACs at 8x64, millions",
        "ms at 1x32",
        "ms at 8x64",
    ]
    assert lines[2][:3] == ["teacher", "0.8684", "0.8571"]
    assert lines[2][3:7] == ["22,713,986", "90.86", "91.01", "11,234.57"]
    assert lines[2][7:] == ["6.125 (5.062 to 7.188)", "107.1 (105.2 to 111.9)"]
    unmeasured = [i for i, cell in enumerate(lines[3]) if cell == "not measured"]
    assert [lines[0][i] for i in unmeasured] == ["f1", "MACs at 8x64, millions", "ms at 1x32"]
    assert lines[3][0] == r"result \| int8"


def test_the_table_is_one_table_of_equal_rows():
    parser = MarkdownIt().enable("table")
    tokens = parser.parse(ModelCard(model_card(REPORT, RECIPE)).text)
    assert [t.type for t in tokens].count("table_open") == 1
    assert [t.type for t in tokens].count("tr_open") == 3
    assert [t.type for t in tokens].count("td_open") == 2 * 9


def test_the_metadata_is_what_the_hub_reads():
    data = ModelCard(model_card(REPORT, RECIPE, repo_id="user/small")).data
    assert data.base_model == "someone/base"
    assert data.library_name == "transformers"
    assert data.pipeline_tag == "text-classification"
    assert data.tags == ["nlpcompress", "fine_tune", "head_importance"]
    assert data.datasets == ["movie-snippets"]
    assert data.metrics == ["accuracy"]
    assert data.model_name == "user/small"
    [result] = data.eval_results
    assert (result.metric_type, result.metric_value) == ("accuracy", 0.8661234567890123)
    assert result.dataset_name == "movie-snippets"


def test_the_results_are_those_of_the_model_not_of_what_it_is_compared_with():
    def measured(*rows: str) -> list[str]:
        rows = [{"name": row, "metrics": {"accuracy": 0.5}} for row in rows]
        data = ModelCard(model_card({"rows": rows}, RECIPE)).data
        return [result.metric_name for result in data.eval_results]

    names = ("teacher", "teacher-int8", "teachers", "result-int8")
    assert measured(*names) == ["accuracy (teachers)", "accuracy (result-int8)"]
    assert measured("alone", "alone-int8") == ["accuracy (alone)", "accuracy (alone-int8)"]


@pytest.mark.parametrize("model", ["/home/me/teacher", "./teacher", "out/runs/teacher"])
def test_a_base_model_that_is_a_folder_is_no_hub_id(model):
    recipe = RECIPE | {"model": {"id": model, "task": "text-classification"}}
    text = model_card(REPORT, recipe)
    assert ModelCard(text).data.base_model is None
    assert "`teacher` made smaller" in text


def test_data_files_are_no_data_set_of_the_hub():
    text = model_card(REPORT, RECIPE | {"data": {"name": "csv", "files": {"train": "a.csv"}}})
    assert ModelCard(text).data.datasets is None
    assert "on `csv files`" in text


def test_the_sections():
    assert sections(model_card(REPORT, RECIPE)) == [
        "Numbers",
        "How to load",
        "How it was made",
        "Limits",
        "Environment",
    ]


def test_the_recipe_in_the_card_is_the_recipe():
    [block] = blocks(model_card(REPORT, RECIPE), "yaml")
    assert yaml.safe_load(block) == RECIPE


def test_a_recipe_with_backticks_stays_in_its_block():
    recipe = RECIPE | {"name": "a\n```\n## b"}
    assert "\n  ```\n" in yaml.safe_dump(recipe), "no line of backticks, no test"
    text = model_card(REPORT, recipe, repo_id="user/small")
    [block] = blocks(text, "yaml")
    assert yaml.safe_load(block) == recipe
    assert len(sections(text)) == 5


def test_no_secret_of_the_recipe_gets_into_the_card():
    recipe = copy.deepcopy(RECIPE)
    recipe["stages"][0]["train"] |= {"hub_token": "sesame", "report_to": "none"}
    text = model_card(REPORT, recipe)
    assert "sesame" not in text
    assert "hub_token: <removed>" in text
    assert "report_to: none" in text
    assert recipe["stages"][0]["train"]["hub_token"] == "sesame"


def test_a_card_of_nothing_says_so():
    text = model_card({}, {})
    assert "Nothing was measured." in text
    assert "No recipe was kept." in text
    assert ModelCard(text).data.library_name == "transformers"
    assert len(sections(text)) == 5


def test_rows_of_nothing_say_so():
    unmeasured = dict.fromkeys(TEACHER, None) | {"name": "teacher"}
    text = model_card({"rows": [unmeasured], "samples": None, "environment": None}, {})
    assert "| teacher | not measured | not measured | not measured | not measured |" in text
    assert ModelCard(text).data.eval_results is None


def test_every_task_of_the_library_has_its_entry():
    assert set(TASKS) == set(card_module.USAGES)


def test_a_template_that_asks_for_what_it_is_not_given_fails():
    with pytest.raises(UndefinedError):
        card_module._template().render(title="alone")


def test_the_card_of_a_folder_reads_report_and_recipe(tmp_path):
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE, sort_keys=False))
    assert folder_card(tmp_path) == model_card(REPORT, RECIPE, folder=tmp_path)
    assert FOLDER in folder_card(tmp_path)
    assert FOLDER not in folder_card(tmp_path, repo_id="user/small")


@pytest.mark.parametrize(
    ("config", "says", "imports"),
    [
        ({"model_type": "bert"}, "Nothing but transformers is needed.", False),
        ({"quantization_config": {}, "auto_map": {}}, "`import nlpcompress` first; or", True),
    ],
)
def test_how_to_load_follows_the_folder(tmp_path, config, says, imports):
    (tmp_path / "config.json").write_text(json.dumps(config))
    text = model_card(REPORT, RECIPE, folder=tmp_path)
    assert says in text
    assert ("import nlpcompress" in blocks(text, "python")[0]) == imports
    assert ("trust_remote_code=True" in text) == imports


def test_the_bits_of_quantized_weights_are_told(tmp_path):
    schemes = {f"{name}.weight": {"bits": bits} for name, bits in (("a", 8), ("b", 4), ("c", 8))}
    block = {"structure": {"quantized": schemes}}
    config = {"quantization_config": block, "auto_map": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    says = "Weights lie in the file and in memory as codes of 4, 8 bits"
    assert says in model_card(REPORT, RECIPE, folder=tmp_path)
    (tmp_path / "config.json").write_text("{}")
    assert "as codes of" not in model_card(REPORT, RECIPE, folder=tmp_path)


def test_onnx_is_told_of_where_there_is_one(tmp_path):
    assert "onnxruntime" not in model_card(REPORT, RECIPE, folder=tmp_path)
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"")
    text = model_card(REPORT, RECIPE, folder=tmp_path)
    assert f'cached_file("{FOLDER}", "onnx/model.onnx")' in text
    assert "onnx" in ModelCard(text).data.tags


def test_the_example_opens_the_best_file_that_was_measured_in_onnx_runtime(tmp_path):
    """As long as it lies there; the last one by name where none was measured."""
    (tmp_path / "onnx").mkdir()
    for name in ("model.onnx", "model_int8.onnx", "model_static_int8.onnx"):
        (tmp_path / "onnx" / name).write_bytes(b"")
    rows = [{**RESULT, "name": "fast", "onnx_file": "model_int8.onnx"}]
    report = {**REPORT, "rows": [TEACHER, *rows], "best": {"onnxruntime": "fast", "torch": "slow"}}
    opened = 'cached_file("{}", "onnx/{}")'
    text = model_card(report, RECIPE, folder=tmp_path)
    assert opened.format(FOLDER, "model_int8.onnx") in text
    assert "Best of those measured: `onnx/model_int8.onnx` in onnxruntime.\n" in text
    (tmp_path / "onnx" / "model_int8.onnx").unlink()
    for told in (report, REPORT):
        text = model_card(told, RECIPE, folder=tmp_path)
        assert opened.format(FOLDER, "model_static_int8.onnx") in text
        assert "Best of those" not in text
