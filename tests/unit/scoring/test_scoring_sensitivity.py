"""How sensitivities are taken: over several processes, and with a bar that can be watched."""

import io
import json
import sys

import pytest
from transformers.utils import logging

from tests import children
from tests.unit.scoring import sensitivity_program


def test_processes_share_the_runs_and_all_get_what_one_alone_does(tmp_path):
    done = children.run(sensitivity_program.main, [tmp_path], tmp_path, processes=2)
    assert done.returncode == 0, done.stderr
    read = [json.loads((tmp_path / f"sensitivities-{i}.json").read_text()) for i in (0, 1)]
    alone, asked = sensitivity_program.found(shared=False)
    assert [runs for _, runs in read] == [[0, 2], [1]] and asked == [0, 1, 2]
    for values, _ in read:
        assert {block: pytest.approx(own, rel=1e-4) for block, own in values.items()} == alone


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "bars_on", "seen"),
    [(Terminal, True, True), (Terminal, False, False), (io.StringIO, True, False)],
)
def test_a_bar_counts_the_runs_on_a_terminal_alone(monkeypatch, stream, bars_on, seen):
    monkeypatch.setattr("sys.stderr", stream())
    before = logging.is_progress_bar_enabled()
    (logging.enable_progress_bar if bars_on else logging.disable_progress_bar)()
    try:
        sensitivity_program.found(shared=False)
    finally:
        (logging.enable_progress_bar if before else logging.disable_progress_bar)()
        written = sys.stderr.getvalue()
    assert ("sensitivities" in written and "/3" in written) == seen
    assert seen or not written
