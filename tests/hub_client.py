"""What tests of the hub share: a small model, and clean processes that talk to a local hub."""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from hub_server import HubServer
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

PUSH = """
import json, logging, sys
logging.basicConfig(level=logging.DEBUG)
from nlpcompress.io.hub import push
print(push(**json.loads(sys.argv[1])))
"""
LOGITS = """
import json, sys
import torch
from transformers import AutoModelForSequenceClassification
options = json.loads(sys.argv[2])
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1], **options).eval()
with torch.no_grad():
    print(json.dumps(model(torch.arange(2, 34).reshape(2, 16)).logits.tolist()))
"""


def run_client(
    hub: HubServer | None, home: Path, code: str, *args: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run Python `code` in a fresh process with `home` as Hugging Face home and `hub` as hub."""
    command = [sys.executable, "-c", code, *args]
    environment = client_environment(hub, home) | variables
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def client_environment(hub: HubServer | None, home: Path) -> dict[str, str]:
    """This process's environment without its Hugging Face settings, pointed at `hub`."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HF_", "HUGGING_FACE", "TRANSFORMERS_"))
        and "proxy" not in name.lower()
    }
    environment |= {
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    if hub is not None:
        environment["HF_ENDPOINT"] = hub.endpoint
    return environment


def push_in_process(
    hub: HubServer, home: Path, folder: Path, repo_id: str = "user/tiny", **options: object
) -> subprocess.CompletedProcess[str]:
    """`push` in a fresh process that logs all to stderr and has the hub's token in HF_TOKEN."""
    arguments = push_arguments(folder, repo_id, **options)
    return run_client(hub, home, PUSH, arguments, HF_TOKEN=hub.token)


def push_arguments(folder: Path, repo_id: str = "user/tiny", **options: object) -> str:
    """What `PUSH` reads from its command line."""
    return json.dumps({"folder": str(folder), "repo_id": repo_id} | options)


def tiny_bert(*, seed: int = 0) -> BertForSequenceClassification:
    """A two-layer BERT classifier with random weights."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=32,
    )
    return BertForSequenceClassification(config).eval()


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of four words."""
    words = {"[PAD]": 0, "[UNK]": 1, "an": 2, "example": 3}
    backend = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]")


def logits(model: BertForSequenceClassification) -> list[list[float]]:
    """What `LOGITS` prints for the same model."""
    with torch.no_grad():
        return model(torch.arange(2, 34).reshape(2, 16)).logits.tolist()
