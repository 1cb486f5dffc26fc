"""What `push` refuses, what it says then, and that no token gets out."""

import json
import re
import socket
from pathlib import Path

import pytest
from hub_client import push_in_process, run_client, tiny_bert
from hub_server import TOKEN, HubServer

from nlpcompress.errors import ConfigError, FormatError
from nlpcompress.io.format import Manifest, write_manifest
from nlpcompress.io.hub import push

LOGIN = "hf auth login"
MESSAGE = """
import json, logging, sys, traceback
logging.basicConfig(level=logging.DEBUG)
from nlpcompress.errors import NlpCompressError
from nlpcompress.io.hub import push
try:
    push(**json.loads(sys.argv[1]))
except NlpCompressError as error:
    traceback.print_exc()
    print(type(error).__name__, error, repr(error.__context__))
"""


@pytest.fixture
def hub():
    with HubServer() as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_bert().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def refusal(hub, folder, *, token=None, repo_id="user/tiny", **variables) -> str:
    """The error's name and message; fails if the token is in it, in a log or in the traceback."""
    options = {"folder": str(folder), "repo_id": repo_id, "token": token}
    done = run_client(hub, folder / "home", MESSAGE, json.dumps(options), **variables)
    assert done.returncode == 0, done.stderr
    for secret in filter(None, (token, variables.get("HF_TOKEN"))):
        assert secret.strip() not in done.stdout + done.stderr
    assert done.stdout.strip().endswith("None"), "the client's own error is chained to ours"
    return done.stdout


def test_without_a_token_nothing_is_sent(hub, folder):
    said = refusal(hub, folder)
    assert said.startswith("HubError no token")
    assert LOGIN in said
    assert "HF_TOKEN" in said
    assert "--dry-run" in said
    assert hub.site.calls == []


def test_a_wrong_token(hub, folder):
    said = refusal(hub, folder, HF_TOKEN="hf_wrongWrongWrongWrongWrongWrongWrong")
    assert said.startswith("HubError cannot push user/tiny")
    assert "does not accept the token" in said
    assert LOGIN in said
    assert hub.repos == {}


def test_a_token_that_no_header_can_carry(hub, folder):
    said = refusal(hub, folder, token="hf_abc\ndef\nghi")
    assert said.startswith("ConfigError the token holds spaces or unprintable characters")


def test_someone_elses_namespace(hub, folder):
    said = refusal(hub, folder, repo_id="other/tiny", HF_TOKEN=TOKEN)
    assert "check that 'other' is yours" in said
    assert hub.repos == {}


def test_offline(hub, folder):
    said = refusal(hub, folder, HF_TOKEN=TOKEN, HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE is set; unset it" in said
    assert hub.site.calls == []


def test_nobody_answers(folder):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
        said = refusal(None, folder, token=TOKEN, HF_ENDPOINT=endpoint)
    assert f"cannot push user/tiny to {endpoint}: no connection" in said
    assert "--dry-run" in said


def test_a_hub_that_refuses_the_commit_is_quoted(hub, folder):
    (folder / "README.md").write_text("---\n---\n")
    hub.objects = Forgetful()
    said = refusal(hub, folder, HF_TOKEN=TOKEN)
    assert "its content was never uploaded" in said
    assert [commit.message for commit in hub.repos["user/tiny"].commits] == ["initial commit"]


class Forgetful(dict):
    """Storage that loses what it is given."""

    def __setitem__(self, key, value):
        pass


def test_the_token_is_in_no_log_of_a_push_that_works(hub, folder):
    done = push_in_process(hub, folder / "home", folder)
    assert done.returncode == 0, done.stderr
    assert "HTTP Request: POST" in done.stderr or "POST /api" in done.stderr, "nothing was logged"
    assert TOKEN not in done.stdout + done.stderr


# Refused before the hub is asked


@pytest.mark.parametrize(
    "repo_id",
    ["a/b/c", "-user/name", "user/na me", "user/na--me", "user/name.git", "user/" + "x" * 99],
)
def test_bad_repo_ids(folder, repo_id):
    with pytest.raises(ConfigError, match=re.escape(repr(repo_id)) + " is not valid.*user/name"):
        push(folder, repo_id)


def test_a_repo_id_without_user(folder):
    with pytest.raises(
        ConfigError, match="'tiny' has no user or organisation; write it as user/name"
    ):
        push(folder, "tiny")


def test_bad_endpoints(folder):
    with pytest.raises(ConfigError, match="'localhost:80' is not a URL"):
        push(folder, "user/tiny", endpoint="localhost:80")
    with pytest.raises(ConfigError, match="holds a user or a password") as caught:
        push(folder, "user/tiny", endpoint="https://me:secret@host")
    assert "secret" not in str(caught.value)


def faults() -> dict[str, tuple]:
    def cut(folder: Path) -> None:
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-7])

    def garbage(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"\xff" * 100)

    def short(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"\x08")

    def unweighted(folder: Path) -> None:
        (folder / "model.safetensors").unlink()

    def running(folder: Path) -> None:
        unweighted(folder)
        (folder / ".stages").mkdir()

    def training(folder: Path) -> None:
        unweighted(folder)
        (folder / "checkpoint-7").mkdir()

    def unsharded(folder: Path) -> None:
        unweighted(folder)
        index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    def unconfigured(folder: Path) -> None:
        (folder / "config.json").unlink()

    def torn_config(folder: Path) -> None:
        (folder / "config.json").write_text('{"model_type": ')

    def torn_record(folder: Path) -> None:
        (folder / "nlpcompress.json").write_text("[]")

    def unloadable(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        config["auto_map"] = {"AutoConfig": "nlpcompress_loader.ConfigShim"}
        (folder / "config.json").write_text(json.dumps(config))

    def unlisted(folder: Path) -> None:
        write_manifest(folder, Manifest(files=("odd.vocab", "README.md")))

    return {
        "cut": (cut, r"model\.safetensors has \d+ bytes of \d+"),
        "garbage": (garbage, r"model\.safetensors has no readable header"),
        "short": (short, r"model\.safetensors has no readable header"),
        "unweighted": (unweighted, r"there is no model\.safetensors.*`nlpcompress run`"),
        "running": (running, "run the recipe again"),
        "training": (training, "save the trained model first"),
        "unsharded": (unsharded, r"model-00001-of-00002\.safetensors is missing"),
        "unconfigured": (unconfigured, r"cannot read .*config\.json"),
        "torn_config": (torn_config, r"config\.json is torn or not JSON"),
        "torn_record": (torn_record, r"nlpcompress\.json holds list"),
        "unlisted": (unlisted, r"odd\.vocab is missing\. "),
        "unloadable": (unloadable, r"nlpcompress_loader\.py is missing"),
    }


@pytest.mark.parametrize("fault", faults())
def test_folders_that_are_no_finished_model(folder, tmp_path, fault):
    damage, message = faults()[fault]
    damage(folder)
    with pytest.raises(FormatError, match=f"is not a finished model.*{message}"):
        push(folder, "user/tiny", dry_run=tmp_path / "dry")
    assert not (tmp_path / "dry").exists()


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(FormatError, match="nowhere is not a folder"):
        push(tmp_path / "nowhere", "user/tiny")


def test_files_that_hold_a_token(hub, folder):
    (folder / "recipe.yaml").write_text(f"train: {{hub_token: {TOKEN}}}\n")
    with pytest.raises(
        FormatError, match=r"recipe\.yaml holds an access token; remove it"
    ) as caught:
        push(folder, "user/tiny", dry_run=folder.parent / "dry")
    assert TOKEN not in str(caught.value)


def test_files_that_hold_the_token_in_use_whatever_its_shape(hub, folder):
    (folder / "recipe.yaml").write_text("note: my-odd-token\n")
    said = refusal(hub, folder, token="my-odd-token")
    assert said.startswith("FormatError recipe.yaml holds an access token")
    assert hub.site.calls == []
