"""The command finds its verbs, is quick to help, and turns our errors into one clean message."""

import resource
import subprocess
import sys

import pytest

from nlpcompress.cli.main import VERBS, main


def _python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_package_and_the_command_load_no_torch():
    heavy = "[m for m in ('torch', 'transformers', 'numpy', 'yaml') if m in sys.modules]"
    assert _python(f"import sys, nlpcompress, nlpcompress.cli.main; print({heavy})") == "[]"


def test_help_is_quick():
    """In seconds of the processor: those of the clock also count what others do to the machine."""

    def seconds():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "nlpcompress", "--help"]
        subprocess.run(command, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 0.3


def test_a_reader_may_leave_early():
    command = f"{sys.executable} -m nlpcompress show movement | true; exit ${{PIPESTATUS[0]}}"
    shown = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (shown.returncode, shown.stderr) == (141, "")


def test_another_pipe_that_breaks_is_an_error(monkeypatch):
    def broken(arguments):
        raise BrokenPipeError

    monkeypatch.setattr("nlpcompress.cli.main._run", broken)
    with pytest.raises(BrokenPipeError):
        main(["ls", "methods"])


def test_help_names_every_verb(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(f"\n  {verb} " in text for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    assert f"usage: nlpcompress {verb}" in capsys.readouterr().out


def test_a_misspelt_verb_is_told(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["vaildate"])
    assert ended.value.code == 2
    assert "no verb 'vaildate'; did you mean 'validate'?" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["stray"], ["--knd", "heads"], ["out=there"]])
def test_words_that_a_verb_does_not_take_are_told(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["axes", "smoke/logits", "--kind", "heads", *words])
    assert ended.value.code == 2
    assert f"unrecognized arguments: {' '.join(words)}" in capsys.readouterr().err


def test_our_errors_are_one_message_and_status_2(tmp_path, capsys):
    (tmp_path / "r.yaml").write_text("version: 1\nname: [\n")
    assert main(["validate", str(tmp_path / "r.yaml")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("nlpcompress: error: ")
    assert "line 3, column 1: not YAML" in error
    assert "Traceback" not in error


def test_debug_shows_where_an_error_came_from(tmp_path):
    from nlpcompress.errors import ConfigError

    with pytest.raises(ConfigError):
        main(["--debug", "validate", str(tmp_path / "none.yaml")])


def test_version(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.startswith("nlpcompress 0.")
