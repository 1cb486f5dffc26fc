"""Cells of an experiment: each is run once, by one worker, and a stopped worker goes on."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "scripts" / "cells.py"


@dataclass(frozen=True)
class Cell:
    name: str


CELLS = [Cell(name) for name in "abcde"]


@pytest.fixture(scope="module")
def cells():
    spec = importlib.util.spec_from_file_location("cells", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(cells, tmp_path, capsys):
    """Runs this worker's cells; gives what was run and the names of all results."""

    def run(*options, stop_at=None):
        parser = cells.parser_of("test", "out")
        arguments = parser.parse_args(["--out", str(tmp_path), *options])
        ran = []

        def one(cell):
            if cell.name == stop_at:
                raise KeyboardInterrupt
            ran.append(cell.name)
            return {"name": cell.name, "accuracy": 0.5}

        results = cells.run_cells(CELLS, one, arguments)
        return "".join(ran), "".join(result["name"] for result in results)

    return run


def test_two_workers_share_the_cells(run):
    assert run("--worker", "0", "--workers", "2") == ("ace", "ace")
    assert run("--worker", "1", "--workers", "2") == ("bd", "abcde")


def test_a_stopped_worker_goes_on(run):
    with pytest.raises(KeyboardInterrupt):
        run(stop_at="c")
    assert run("--report") == ("", "ab")
    assert run() == ("cde", "abcde")


def test_means_over_seeds(cells):
    results = [{"kind": "a", "accuracy": 0.5}, {"kind": "b", "accuracy": 1.0}]
    groups = cells.grouped([*results, {"kind": "a", "accuracy": 0.7}], lambda r: r["kind"])
    assert [len(group) for group in groups.values()] == [2, 1]
    assert cells.spread([0.5, 0.7]) == "0.6000 ± 0.1414"
    assert cells.spread([0.5]) == "0.5000 ± 0.0000"
