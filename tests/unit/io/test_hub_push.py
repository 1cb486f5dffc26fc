"""Push to a real HTTP server, then load from it with plain transformers in a fresh process."""

import json
from pathlib import Path

import huggingface_hub
import pytest
from hub_client import (
    LOGITS,
    PUSH,
    logits,
    push_arguments,
    push_in_process,
    run_client,
    tiny_bert,
    tiny_tokenizer,
)
from hub_server import HubServer

from nlpcompress.io.hub import _stale

STOCK = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
DOWNLOAD = "import huggingface_hub as h; h.hf_hub_download('user/tiny', 'config.json')"


@pytest.fixture
def hub():
    with HubServer() as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A stock model folder, with the litter of a run around it."""
    folder = tmp_path / "model"
    tiny_bert().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    litter = [".stages/0/model.safetensors", "checkpoint-5/model.safetensors", "optimizer.pt"]
    litter += [
        "pytorch_model.bin",
        "notes.txt",
        ".model.1.tmp/config.json",
        "model.safetensors.tmp",
    ]
    for name in litter:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"litter")
    return folder


def test_pushed_model_loads_with_equal_logits_and_only_its_files_were_pushed(hub, folder, tmp_path):
    done = push_in_process(hub, tmp_path / "home", folder)
    assert done.returncode == 0, done.stderr
    repo = hub.repos["user/tiny"]
    assert done.stdout.strip() == f"{hub.endpoint}/user/tiny/commit/{repo.commits[-1].oid}"
    pushed = set(repo.files) - {".gitattributes", "special_tokens_map.json"}
    assert pushed == STOCK | {"README.md"}
    assert repo.files["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    loaded = run_client(hub, tmp_path / "fresh", LOGITS, "user/tiny", "{}")
    assert loaded.returncode == 0, loaded.stderr
    assert json.loads(loaded.stdout) == logits(tiny_bert())
    assert any(call.startswith("GET /cdn/") for call in hub.site.calls)


def test_everything_goes_up_in_one_commit(hub, folder, tmp_path):
    push_in_process(hub, tmp_path / "home", folder)
    assert [commit.message for commit in hub.repos["user/tiny"].commits] == [
        "initial commit",
        "Push with nlpcompress",
    ]


def test_a_second_push_of_the_same_model_makes_no_commit(hub, folder, tmp_path):
    first = push_in_process(hub, tmp_path / "home", folder)
    second = push_in_process(hub, tmp_path / "home", folder)
    assert second.returncode == 0, second.stderr
    assert second.stdout == first.stdout
    assert len(hub.repos["user/tiny"].commits) == 2


def test_weights_of_an_earlier_push_are_deleted_in_the_same_commit(hub, folder, tmp_path):
    push_in_process(hub, tmp_path / "home", folder)
    tiny_bert(seed=1).save_pretrained(folder, max_shard_size="10KB")
    (folder / "model.safetensors").unlink()
    done = push_in_process(hub, tmp_path / "home", folder)
    assert done.returncode == 0, done.stderr
    repo = hub.repos["user/tiny"]
    assert len(repo.commits) == 3
    assert "model.safetensors" in repo.commits[1].files
    assert "model.safetensors" not in repo.files
    assert "model.safetensors.index.json" in repo.files
    assert ".gitattributes" in repo.files
    loaded = run_client(hub, tmp_path / "fresh", LOGITS, "user/tiny", "{}")
    assert json.loads(loaded.stdout) == logits(tiny_bert(seed=1)), loaded.stderr


@pytest.mark.parametrize("brought", ["tokenizer.json", "model.safetensors"])
def test_a_processor_goes_only_where_another_one_comes(brought):
    there = ["added_tokens.json", "tokenizer.json", "notes.txt"]
    stale = ["added_tokens.json"] if brought == "tokenizer.json" else []
    assert _stale(there, {brought: b""}) == stale


def test_a_private_repository_opens_with_the_token_only(hub, folder, tmp_path):
    done = push_in_process(hub, tmp_path / "home", folder, private=True)
    assert done.returncode == 0, done.stderr
    assert hub.repos["user/tiny"].private
    shut = run_client(hub, tmp_path / "stranger", DOWNLOAD)
    assert "Repository Not Found" in shut.stderr
    opened = run_client(hub, tmp_path / "owner", DOWNLOAD, HF_TOKEN=hub.token)
    assert opened.returncode == 0, opened.stderr


def test_the_token_may_be_an_argument(hub, folder, tmp_path):
    done = run_client(hub, tmp_path / "home", PUSH, push_arguments(folder, token=f" {hub.token}\n"))
    assert done.returncode == 0, done.stderr
    assert hub.token not in done.stderr
    assert "config.json" in hub.repos["user/tiny"].files


def test_the_endpoint_may_be_an_argument(hub, folder, tmp_path):
    """Of huggingface_hub 0 only through HF_ENDPOINT, and we say so before anything is sent."""
    arguments = push_arguments(folder, token=hub.token, endpoint=hub.endpoint + "/")
    done = run_client(None, tmp_path / "home", PUSH, arguments)
    if huggingface_hub.__version__.startswith("0."):
        assert f"pushes to HF_ENDPOINT only; set it to {hub.endpoint}" in done.stderr
        assert hub.site.calls == []
    else:
        assert done.returncode == 0, done.stderr
        assert "config.json" in hub.repos["user/tiny"].files
