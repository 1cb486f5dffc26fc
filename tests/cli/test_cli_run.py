"""A whole smoke run, and every verb on the folder it leaves."""

import copy
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from reports import report_of
from safetensors.torch import load_file

from nlpcompress.axes import find_axes
from nlpcompress.cli.main import main
from nlpcompress.core.plan import plan_from_json
from nlpcompress.evaluation.evaluate import evaluate, torch_predictor
from nlpcompress.export import count_integer_products
from nlpcompress.io.load import load_model_folder
from nlpcompress.methods.table import make_method
from nlpcompress.models.examples import example_inputs
from nlpcompress.recipe import exporting
from nlpcompress.recipe.result import open_result
from nlpcompress.recipe.scan import scan
from nlpcompress.recipe.shipped import CHECKOUT, shipped_recipes
from nlpcompress.recipe.stage import teacher_of
from nlpcompress.scoring import taylor_scores
from nlpcompress.surgery import apply_plan

QUICK = ["export.onnx=false", "export.quantize=none"]
ROWS = ["teacher", "teacher-int8", "compressed", "compressed-int8"]
SMOKE = [name for name in shipped_recipes() if name.startswith("smoke/")]


def test_the_folder_holds_model_exports_report_and_recipe(finished):
    names = {path.name for path in finished.iterdir()}
    assert names >= {"config.json", "model.safetensors", "tokenizer.json", "nlpcompress.json"}
    assert names >= {"report.json", "report.md", "report.html", "recipe.yaml", "README.md", "onnx"}
    onnx = {path.name for path in (finished / "onnx").iterdir()}
    assert onnx >= {"model.onnx", "model_int8.onnx", "parity.json", "config.json"}
    assert not [name for name in names if name.endswith(".tmp")]


def test_the_report_names_each_artefact_and_its_numbers(finished):
    report = report_of(finished)
    rows = {row["name"]: row for row in report["rows"]}
    assert list(rows) == ROWS
    for row in rows.values():
        assert 0 <= row["metrics"]["accuracy"] <= 1
        assert row["latency_ms"]["2x16"]["median"] > 0
    assert rows["compressed"]["parameters"] < rows["teacher"]["parameters"]
    assert rows["compressed"]["macs"] < rows["teacher"]["macs"]
    assert {row["pass_shape"] for row in rows.values()} == {"2x16"}
    onnx = finished / "onnx"
    assert rows["compressed"]["onnx_size_bytes"] == (onnx / "model.onnx").stat().st_size
    assert rows["compressed-int8"]["onnx_size_bytes"] == (onnx / "model_int8.onnx").stat().st_size
    assert rows["compressed-int8"]["onnx_file"] == "model_int8.onnx"
    assert report["samples"] == 64
    assert len(report["recipe_hash"]) == 16
    exports = ["export, teacher", "export, result"]
    parts = ["fine_tune", "head_importance", "logits", *exports, "evaluate", "bench"]
    assert [stage["method"] for stage in report["stages"]] == parts
    assert all(stage["seconds"] > 0 for stage in report["stages"])


def test_every_row_is_measured_from_its_own_file(result, capsys):
    """A spoilt int8 file changes the numbers of its row and of no other."""
    before = {row["name"]: row["metrics"] for row in report_of(result)["rows"]}
    shutil.copyfile(result / "onnx" / "model.onnx", result / "onnx" / "model_int8.onnx")
    (result / "onnx" / "model_int8.onnx").write_bytes(b"torn")
    assert main(["evaluate", str(result)]) == 2
    assert "is torn or not an ONNX file" in capsys.readouterr().err
    (result / "onnx" / "model_int8.onnx").unlink()
    assert main(["evaluate", str(result)]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured == {name: before[name] for name in ROWS[:3]}


def test_the_teacher_is_the_model_before_the_first_cut(finished):
    stages = {}
    for marker in finished.glob(".stages/*/done.json"):
        description = json.loads(marker.with_name("description.json").read_text())
        if (marker.parent / "model").is_dir():
            stages[len(description["stages"])] = json.loads(marker.read_text())
    assert stages[1]["parameters"] == stages[0]["parameters"] > stages[2]["parameters"]
    teacher, _, compressed, _ = report_of(finished)["rows"]
    assert teacher["parameters"] == stages[1]["parameters"]
    assert compressed["parameters"] == stages[3]["parameters"]


def test_distillation_learns_from_that_very_model(finished):
    job = open_result(finished)
    teacher = teacher_of(job, [make_method("logits", {})], 2).state_dict()
    fine_tuned = load_file(job.model_folder(1) / "model.safetensors")
    assert all(teacher[name].equal(tensor) for name, tensor in fine_tuned.items())
    assert teacher_of(job, [make_method("fine_tune", {})], 0) is None


def test_answers_of_the_teacher_are_stored_once_and_learnt_from(finished, tmp_path):
    """The same weights as with the teacher itself, up to the last bits of its batches."""
    out = Path(shutil.copytree(finished, tmp_path / "result"))
    command = ["run", "smoke/logits", f"out={out}", "stages.2.cache_teacher=true", *QUICK]
    assert main(command) == 0
    assert len(list((out / ".stages" / "answers").glob("*.safetensors"))) == 1
    live, stored = (load_file(folder / "model.safetensors") for folder in (finished, out))
    assert live.keys() == stored.keys()
    assert all(torch.allclose(live[name], stored[name], atol=1e-4) for name in live)


def test_recipes_share_the_answers_of_a_teacher_in_a_folder(finished, tmp_path):
    written = []
    for rate in ("0.001", "0.002"):
        out = shutil.copytree(finished, tmp_path / rate)
        stage = [
            f"stages.2.cache_teacher={tmp_path}/shared",
            f"stages.2.train.learning_rate={rate}",
        ]
        assert main(["run", "smoke/logits", f"out={out}", *stage, *QUICK]) == 0
        assert not (out / ".stages" / "answers").exists()
        (answers,) = (tmp_path / "shared").glob("*.safetensors")
        written.append((answers.name, answers.stat().st_mtime_ns))
    assert written[0] == written[1]


def test_a_finished_run_is_skipped_and_a_changed_one_is_not(result, capsys):
    weights = (result / "model.safetensors").read_bytes()
    marks = {path: path.stat().st_mtime_ns for path in result.rglob("*") if path.is_file()}
    assert main(["run", str(result)]) == 0
    touched = {p.name for p, mark in marks.items() if p.stat().st_mtime_ns != mark}
    assert touched <= {"lock"}
    assert main(["run", "smoke/logits", f"out={result}", "seed=1", *QUICK]) == 0
    assert (result / "model.safetensors").read_bytes() != weights
    assert yaml.safe_load((result / "recipe.yaml").read_text())["seed"] == 1


def test_a_result_that_another_recipe_replaced_is_made_again(result):
    weights = (result / "model.safetensors").read_bytes()
    assert main(["run", "smoke/logits", f"out={result}", "seed=1"]) == 0
    assert (result / "model.safetensors").read_bytes() != weights
    assert main(["run", "smoke/logits", f"out={result}"]) == 0
    assert (result / "model.safetensors").read_bytes() == weights
    assert yaml.safe_load((result / "recipe.yaml").read_text())["seed"] == 0


def test_every_model_is_measured_on_other_data(result, capsys):
    assert main(["evaluate", str(result), "data.test_samples=32"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == ROWS


def test_stages_that_did_not_change_are_not_run_again(result):
    def models():
        return {path: path.stat().st_mtime_ns for path in result.glob(".stages/*/model/*.json")}

    before = models()
    assert main(["run", str(result), "stages.2.config.temperature=4.0", *QUICK]) == 0
    after = models()
    assert {path: after[path] for path in before} == before
    assert len({path.parent for path in after.keys() - before.keys()}) == 1


@pytest.mark.parametrize("verb", ["show", "report"])
def test_verbs_that_print_the_table(verb, result, capsys):
    assert main([verb, str(result)]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ROWS)


def test_bench_times_every_row(result, capsys):
    assert main(["bench", str(result), "bench.batch_sizes=[1]", "bench.rounds=2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["latency_ms"]) == ROWS
    assert all(list(shapes) == ["1x16"] for shapes in found["latency_ms"].values())


def test_scan_says_what_each_cut_alone_would_cost(result, capsys):
    """The very quality of a model that is really cut, by the scores of that axis alone."""
    assert main(["scan", str(result), "--keep", "0.5", "0.25", "--samples", "100"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["samples"] == 100 and set(printed["whole"]) == {"accuracy"}
    assert all(set(axis["keep"]) == {"0.5", "0.25"} for axis in printed["axes"].values())
    job, model = open_result(result), unsure(load_model_folder(result))
    data = job.data(job.last)
    rows, inputs = data.train.select(range(100)), example_inputs(model)

    def accuracy(model):
        predict = torch_predictor(model)
        return evaluate(predict, rows, data.collate, metrics=["accuracy"])["accuracy"]

    found = scan(job, model, shares=[0.5], samples=100)
    assert found.whole == {"accuracy": accuracy(model)}
    assert {name.rpartition(".")[2] for name in found.cuts} >= {"heads", "neurons"}
    axes, batch = find_axes(model, inputs), data.collate(list(rows))
    seen = set()
    for name, quality in found.cuts.items():
        (scores,) = taylor_scores(model, [axes[name]], [batch]).values()
        kept = scores.topk(found.sizes[name] // 2).indices.sort().values.tolist()
        plan = plan_from_json([{"op": "keep", "axis": name, "indices": kept}])
        cut = apply_plan(copy.deepcopy(model), plan, inputs)
        assert quality == {0.5: {"accuracy": accuracy(cut)}}, name
        seen.add(quality[0.5]["accuracy"])
    assert len(seen) > 1


def unsure(model):
    """The same with noise on its weights, so that a cut changes some answers."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.3)
    return model


def test_a_scan_of_nothing_is_told(result, capsys):
    assert main(["scan", str(result), "--keep", "1.5"]) == 2
    assert "between 0 and 1, such as 0.5, got [1.5]" in capsys.readouterr().err


def test_push_dry_run(result, tmp_path):
    assert main(["push", str(result), "me/small", "--dry-run", str(tmp_path / "sent")]) == 0
    sent = {str(p.relative_to(tmp_path / "sent")) for p in (tmp_path / "sent").rglob("*")}
    assert sent >= {"model.safetensors", "README.md", "onnx/model_int8.onnx", "report.json"}
    assert not any(".stages" in name for name in sent)


def test_axes_of_a_cut_model(result, capsys):
    assert main(["axes", str(result), "--kind", "heads"]) == 0
    sizes = [int(line.split()[1]) for line in capsys.readouterr().out.splitlines()[:2]]
    assert sum(sizes) == 4


def test_a_bound_on_the_loss_is_judged_and_told(result, capsys, monkeypatch):
    """The model's metric and the small file's, both measured; a loss beyond fails."""
    measured = []

    def noting(predict, *data, **options):
        measured.append(getattr(predict, "path", None))
        return evaluate(predict, *data, **options)

    monkeypatch.setattr(exporting, "evaluate", noting)
    assert main(["export", str(result), "export.max_metric_drop=1.0"]) == 0
    models = json.loads((result / "onnx" / "parity.json").read_text())["models"]
    (gate,) = models["model_int8.onnx"]["gates"]
    rows = {row["name"]: row["metrics"]["accuracy"] for row in report_of(result)["rows"]}
    assert gate["reference"] == rows["compressed"] and gate["candidate"] == rows["compressed-int8"]
    assert not models["model.onnx"]["gates"]
    assert [path and path.name for path in measured] == [None, "model_int8.onnx"]


def test_a_moved_result_needs_nothing_of_the_old_place(result, tmp_path, capsys):
    moved = tmp_path / "elsewhere"
    shutil.copytree(result, moved, ignore=shutil.ignore_patterns(".stages"))
    shutil.rmtree(result)
    assert main(["evaluate", str(moved)]) == 0
    assert list(json.loads(capsys.readouterr().out)) == ROWS[2:]


@pytest.mark.parametrize("name", SMOKE)
def test_every_smoke_recipe_runs(name, tmp_path, finished):
    if name == "smoke/logits":
        assert finished.is_dir()
        return
    assert main(["run", name, f"out={tmp_path / 'r'}", *QUICK]) == 0
    assert (tmp_path / "r" / "report.json").is_file()


def test_the_script_is_the_same_command(tmp_path):
    run = subprocess.run(
        [sys.executable, CHECKOUT / "scripts" / "compress.py", "smoke/none"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert "no recipe file, result folder or shipped recipe 'smoke/none'" in run.stderr


def test_two_processes_end_with_the_weights_of_one(tmp_path):
    """The same global batch, no dropout: one program, however it is launched."""
    quiet = [
        "model.config.hidden_dropout_prob=0.0",
        "model.config.attention_probs_dropout_prob=0.0",
        *QUICK,
    ]
    for stage in ("stages.0.train", "stages.2.train"):
        quiet += [f"{stage}.num_train_epochs=1", f"{stage}.learning_rate=1.0e-3"]
    assert main(["run", "smoke/logits", f"out={tmp_path / 'one'}", *quiet]) == 0
    halves = [f"stages.{i}.train.per_device_train_batch_size=8" for i in (0, 2)]
    launch = ["--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    command = ["run", "smoke/logits", f"out={tmp_path / 'two'}", *quiet, *halves]
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "accelerate.commands.launch",
            *launch,
            "-m",
            "nlpcompress",
            *command,
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=400,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert all((one[name] - two[name]).abs().max() < 1e-6 for name in one)
    assert run.stderr.count("stage 3/3 logits: done") == 1, "the second process talked as well"


def test_pictures_in_static_int8_have_a_row_of_their_own(tmp_path):
    assert main(["run", "smoke/channels", f"out={tmp_path / 'out'}"]) == 0
    rows = {row["name"]: row for row in report_of(tmp_path / "out")["rows"]}
    assert list(rows) == ["teacher", "teacher-static-int8", "compressed", "compressed-static-int8"]
    file = tmp_path / "out" / "onnx" / "model_static_int8.onnx"
    assert rows["compressed-static-int8"]["onnx_size_bytes"] == file.stat().st_size
    assert count_integer_products(file) > 1
