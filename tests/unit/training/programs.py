"""A training as a program in processes of its own: its command line, and the weights it leaves."""

from tests.children import run

PLAIN = {
    "learning_rate": "1e-3",
    "report_to": "none",
    "disable_tqdm": "true",
    "use_cpu": "true",
    "dataloader_pin_memory": "false",
    "seed": "3",
}


def trained(program, out, expect=0, *, processes=1, **values):
    """Run it in `out` to this exit status; `values` are its arguments beside the plain ones."""
    files = {"output_dir": out / "run", "weights": out / "w.safetensors"}
    flags = {**PLAIN, **files, **values}
    line = [part for key, value in flags.items() for part in (f"--{key}", value)]
    done = run(program, line, out, processes=processes)
    assert done.returncode == expect, done.stderr[-3000:]
    return files["weights"]
