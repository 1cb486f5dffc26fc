#!/usr/bin/env python3
"""Prints a table: family x (writing, reading environment) -> largest logit difference.

    scripts/reload_matrix.py NEW/bin/python OLD/bin/python [--families bert,vit]

Each environment writes a folder of every family, unevenly cut, and every environment opens all
folders in a fresh process: once with nlpcompress imported, once without it and with
`trust_remote_code=True`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXPECTED = "expected.safetensors"
UNCUT = "uncut"
AUTO = {
    "ForSequenceClassification": "AutoModelForSequenceClassification",
    "ForImageClassification": "AutoModelForImageClassification",
    "ForConditionalGeneration": "AutoModelForSeq2SeqLM",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pythons", nargs="+", help="python executables of the environments")
    parser.add_argument("--families", default="", help="comma-separated; all by default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(table(arguments.pythons, arguments.families, Path(folder)))


def table(pythons: list[str], families: str, folder: Path) -> str:
    pythons = [os.path.abspath(python) for python in pythons]
    names = [run(python, "version", "", folder) for python in pythons]
    columns: dict[str, dict[str, float | str]] = {}
    for writer, python in zip(names, pythons, strict=True):
        run(python, "write", families, folder / writer)
        for reader, other in zip(names, pythons, strict=True):
            for how in ("plugin", "remote") + ("control",) * (reader != writer):
                columns[f"{writer} → {reader} {how}"] = run(other, how, families, folder / writer)
    rows = [f"| family | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for family in sorted({family for column in columns.values() for family in column}):
        rows.append(f"| {family} | {' | '.join(str(c[family]) for c in columns.values())} |")
    return "\n".join(rows)


def run(python: str, what: str, families: str, folder: Path):
    """One step in a fresh process of that environment; returns the JSON of its last line."""
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'scripts')!r}); import reload_matrix as m; "
    )
    step = f"m.{what}({families!r}, {str(folder)!r})"
    caches = {"HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": f"{folder}/modules"}
    done = subprocess.run(
        [python, "-P", "-c", program + step],
        env=os.environ | caches | {"PYTHONPATH": str(ROOT)},
        cwd=tempfile.gettempdir(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def version(_families: str, _folder: str) -> None:
    import transformers

    print(json.dumps(transformers.__version__))


def write(families: str, folder: str) -> None:
    from nlpcompress.axes import find_axes
    from nlpcompress.io import save_model
    from nlpcompress.surgery import apply_plan
    from tests.cuts import uneven_plan
    from tests.families import FAMILIES

    for family in families.split(",") if families else FAMILIES:
        model, inputs = FAMILIES[family]()
        uncut = Path(folder, UNCUT, family)
        model.save_pretrained(uncut)
        write_expected(model, inputs, uncut)
        apply_plan(model, uneven_plan(find_axes(model, inputs)), inputs)
        out = save_model(model, Path(folder, family))
        write_expected(model, inputs, out)
    print("{}")


def write_expected(model, inputs, folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    with torch.no_grad():
        logits = model(**inputs)[0].contiguous()
    save_file({**inputs, "expected": logits}, folder / EXPECTED)


def control(families: str, folder: str) -> None:
    plugin(families, f"{folder}/{UNCUT}")


def plugin(_families: str, folder: str) -> None:
    import nlpcompress  # noqa: F401

    print(json.dumps(differences(folder, trust=False)))


def remote(_families: str, folder: str) -> None:
    sys.modules["nlpcompress"] = None  # from here on importing it fails, installed or not
    print(json.dumps(differences(folder, trust=True)))


def differences(folder: str, *, trust: bool) -> dict[str, float | str]:
    return {
        path.parent.name: difference(path.parent, trust)
        for path in Path(folder).glob(f"*/{EXPECTED}")
    }


def difference(folder: Path, trust: bool) -> float | str:
    import torch
    import transformers
    from safetensors.torch import load_file

    inputs = load_file(folder / EXPECTED)
    expected = inputs.pop("expected")
    architecture = json.loads((folder / "config.json").read_text())["architectures"][0]
    auto = next(name for suffix, name in AUTO.items() if architecture.endswith(suffix))
    try:
        model = getattr(transformers, auto).from_pretrained(folder, trust_remote_code=trust)
        with torch.no_grad():
            return float((model(**inputs)[0] - expected).abs().max())
    except Exception as error:  # a table of what fails is the point of this script
        return f"{type(error).__name__}: {str(error)[:80]}"


if __name__ == "__main__":
    main()
