"""An unevenly pruned model, pushed: loaded after `import nlpcompress`, or with no such package."""

import json
from pathlib import Path

import pytest
from hub_client import LOGITS, logits, push_in_process, run_client, tiny_bert, tiny_tokenizer
from hub_server import HubServer

from nlpcompress import apply_plan, plan_from_json
from nlpcompress.io import save_model

UNEVEN = [
    {"op": "keep", "axis": "layers.0.heads", "indices": [0, 2]},
    {"op": "keep", "axis": "layers.1.heads", "indices": [1, 2, 3]},
    {"op": "keep", "axis": "layers.1.neurons", "indices": list(range(0, 48, 3))},
]
INSTALLED = "import nlpcompress\n" + LOGITS
ABSENT = "import sys; sys.modules['nlpcompress'] = None\n" + LOGITS
PUSH_TO_HUB = """
import sys, nlpcompress
from transformers import AutoModelForSequenceClassification
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1])
print(model.push_to_hub("user/again"))
"""


@pytest.fixture(scope="module")
def pushed(tmp_path_factory):
    """The server with the model as user/tiny, its logits, and the folder it was pushed from."""
    tmp_path = tmp_path_factory.mktemp("pruned")
    model = apply_plan(tiny_bert(), plan_from_json(UNEVEN))
    folder = save_model(model, tmp_path / "model", processor=tiny_tokenizer())
    with HubServer() as hub:
        done = push_in_process(hub, tmp_path / "home", folder)
        assert done.returncode == 0, done.stderr
        yield hub, logits(model), folder


def load(pushed, home: Path, code: str, repo_id: str = "user/tiny", **options) -> list:
    hub, _, _ = pushed
    loaded = run_client(hub, home, code, repo_id, json.dumps(options))
    assert loaded.returncode == 0, loaded.stderr
    return json.loads(loaded.stdout)


def test_the_loader_is_pushed_with_it(pushed):
    hub, _, _ = pushed
    assert {"nlpcompress.json", "nlpcompress_loader.py", "nlpcompress_structure.py"} <= set(
        hub.repos["user/tiny"].files
    )


def test_the_cut_is_no_small_change(pushed):
    _, expected, _ = pushed
    assert expected != logits(tiny_bert())


def test_after_import_nlpcompress(pushed, tmp_path):
    assert load(pushed, tmp_path, INSTALLED) == pushed[1]


def test_with_trust_remote_code_and_nothing_installed(pushed, tmp_path):
    assert load(pushed, tmp_path, ABSENT, trust_remote_code=True) == pushed[1]


def test_with_neither_it_fails_loudly(pushed, tmp_path):
    hub, _, _ = pushed
    loaded = run_client(hub, tmp_path, ABSENT, "user/tiny", "{}")
    assert loaded.returncode != 0
    assert "trust_remote_code" in loaded.stderr or "mismatch" in loaded.stderr


def test_transformers_own_push_to_hub_keeps_the_structure(pushed, tmp_path):
    hub, expected, folder = pushed
    done = run_client(hub, tmp_path, PUSH_TO_HUB, str(folder), HF_TOKEN=hub.token)
    assert done.returncode == 0, done.stderr
    assert load(pushed, tmp_path / "fresh", INSTALLED, "user/again") == expected
