"""The code in a card runs as it stands, in a fresh process, against a hub that has the model."""

import json

import pytest
import torch
from hub_client import push_in_process, run_client, tiny_bert, tiny_tokenizer
from hub_server import HubServer
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from transformers import ResNetConfig, ResNetForImageClassification, ViTImageProcessor

from nlpcompress import apply_plan, export_onnx, plan_from_json
from nlpcompress.io import save_model
from nlpcompress.models import example_inputs

UNEVEN = [{"op": "keep", "axis": "layers.0.heads", "indices": [0, 2]}]
PRINT = "\nimport json; print(json.dumps((output if onnx else output.detach()).tolist()))\n"


def pruned_text(folder):
    model = apply_plan(tiny_bert(), plan_from_json(UNEVEN))
    tokenizer = tiny_tokenizer()
    save_model(model, folder, processor=tokenizer)
    return model, tokenizer("An example.", return_tensors="pt")


def stock_image(folder):
    torch.manual_seed(0)
    config = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", image_size=64
    )
    model = ResNetForImageClassification(config).eval()
    processor = ViTImageProcessor(size={"height": 64, "width": 64})
    save_model(model, folder, processor=processor)
    return model, {"pixel_values": torch.full((1, 3, 64, 64), -1.0)}


def completed(block: str, first: str) -> str:
    """A variant that only loads goes on as the first block does."""
    return block if "output" in block else block + TOKENIZER + first[first.index("processor =") :]


TOKENIZER = "from transformers import AutoTokenizer\n"
CASES = {
    "pruned text": (pruned_text, "text-classification", 3),
    "stock image": (stock_image, "image-classification", 2),
}


@pytest.mark.parametrize("case", CASES)
def test_every_code_block_of_a_pushed_card_gives_the_models_output(tmp_path, case):
    make, task, count = CASES[case]
    folder = tmp_path / "model"
    model, batch = make(folder)
    with torch.no_grad():
        expected = model(**batch).logits
    (folder / "onnx").mkdir()
    export_onnx(model, folder / "onnx" / "model.onnx", example_inputs(model))
    (folder / "recipe.yaml").write_text(f"model: {{id: some/base, task: {task}}}\n")
    with HubServer() as hub:
        pushed = push_in_process(hub, tmp_path / "home", folder)
        assert pushed.returncode == 0, pushed.stderr
        card = ModelCard(hub.repos["user/tiny"].files["README.md"].decode())
        blocks = [t.content for t in MarkdownIt().parse(card.text) if t.info == "python"]
        assert len(blocks) == count
        for block in blocks:
            onnx = "onnxruntime" in block
            code = f"onnx = {onnx}\n{completed(block, blocks[0])}{PRINT}"
            done = run_client(hub, tmp_path / "fresh", code)
            assert done.returncode == 0, done.stderr
            difference = (torch.tensor(json.loads(done.stdout)) - expected).abs().max()
            assert difference <= 1e-6, block
