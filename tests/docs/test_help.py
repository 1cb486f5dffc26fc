"""Every `--help` works, says what the verb's table line says, and loads no torch."""

import subprocess
import sys

import pytest

from nlpcompress.cli.main import VERBS, main


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_explains_itself(verb, capsys):
    with pytest.raises(SystemExit) as left:
        main([verb, "--help"])
    assert left.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith(f"usage: nlpcompress {verb} ")
    assert VERBS[verb] in said


def test_the_help_lists_every_verb(capsys):
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    said = capsys.readouterr().out
    for verb, line in VERBS.items():
        assert f"{verb} " in said
        assert line in said


def test_there_are_the_verbs_that_the_documentation_names():
    named = "run validate plan ls show axes check scan export evaluate bench report push"
    assert set(VERBS) == {*named.split()}


def test_the_help_loads_no_torch():
    code = (
        "import sys\n"
        "from nlpcompress.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'transformers', 'pydantic'} & set(sys.modules), sorted(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
