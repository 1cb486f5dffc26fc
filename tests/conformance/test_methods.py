"""Every method of the table: documented, configurable, and with a smoke recipe."""

import importlib
import re
from pathlib import Path

import pytest
import yaml

from nlpcompress.cli.main import main
from nlpcompress.core.config import Config
from nlpcompress.methods import METHODS, make_method

ROOT = Path(__file__).parents[2]
SECTIONS = ("Source:", "Differs:", "Cost:")


@pytest.fixture(params=list(METHODS))
def name(request):
    return request.param


def docstring(name):
    return importlib.import_module(METHODS.load(name).__module__).__doc__


def test_the_class_is_what_the_protocol_says(name):
    method = METHODS.load(name)
    assert method.name == name and issubclass(method.Config, Config)
    assert isinstance(method.needs_teacher, bool) and isinstance(method.needs_batches, bool)
    config = method.Config()
    assert method(config).config is config
    assert callable(method.objectives) and callable(method.plan)


def test_the_docstring_has_its_sections_in_order(name):
    text = docstring(name)
    places = [re.search(rf"^{section} \S", text, re.MULTILINE) for section in SECTIONS]
    assert all(places), [s for s, place in zip(SECTIONS, places, strict=True) if not place]
    assert [place.start() for place in places] == sorted(place.start() for place in places)


def test_the_docstrings_yaml_is_a_valid_stage(name):
    lines = [line for line in docstring(name).splitlines() if line.startswith("    ")]
    (stage,) = yaml.safe_load("\n".join(lines))
    assert stage["method"] == name and set(stage) <= {"method", "config", "train"}
    make_method(name, stage.get("config", {}))


def test_every_knob_is_described_and_defaulted(name):
    for key, field in METHODS.load(name).Config.model_fields.items():
        assert field.description and len(field.description) > 10, key
        assert not field.is_required(), f"{key} has no default"


def test_configs_come_back_from_json(name):
    config = METHODS.load(name).Config()
    assert METHODS.load(name).Config.parse(config.to_json()) == config


def test_its_page_says_all_keys_with_their_defaults(name, capsys):
    assert main(["show", name]) == 0
    page = capsys.readouterr().out
    assert docstring(name).strip() in page
    for key, value in METHODS.load(name).Config().to_json().items():
        (line,) = [line for line in page.splitlines() if line.startswith(f"  {key}: ")]
        assert yaml.safe_load(line.partition("  (")[0]) == {key: value} and line.endswith(")")


def test_there_is_a_smoke_recipe(name):
    path = ROOT / "recipes" / "smoke" / f"{name}.yaml"
    assert path.is_file(), f"write {path.relative_to(ROOT)}"
    stages = yaml.safe_load(path.read_text())["stages"]
    assert name in [stage["method"] for stage in stages]
