import importlib
import pkgutil
import subprocess
import sys

import pytest

LAZY = tuple(f"nlpcompress{part}" for part in ("", ".bench", ".io", ".models", ".recipe"))


def loaded(module):
    """Which heavy libraries come with a module."""
    heavy = {"torch", "transformers", "datasets", "pydantic"}
    code = f"import {module}, sys; print(*sorted({heavy} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("module", [*LAZY, "nlpcompress.cli.main"])
def test_importing_loads_no_torch(module):
    assert loaded(module) == []


@pytest.mark.parametrize("verb", ["check", "report"])
def test_verbs_that_read_reports_load_no_torch(verb):
    assert loaded(f"nlpcompress.cli.{verb}") == ["pydantic"]


@pytest.mark.parametrize("package", LAZY)
def test_no_lazy_name_is_hidden_by_a_module(package):
    found = importlib.import_module(package)
    assert not {*found.PUBLIC} & {module.name for module in pkgutil.iter_modules(found.__path__)}


def test_every_public_name_exists():
    import nlpcompress

    for name in nlpcompress.PUBLIC:
        assert getattr(nlpcompress, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = nlpcompress.nothing
