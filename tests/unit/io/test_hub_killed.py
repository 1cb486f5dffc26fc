"""A push that is killed half way leaves the repository as it was, and the next one goes through."""

import subprocess
import sys

from hub_client import PUSH, client_environment, push_arguments, push_in_process, tiny_bert
from hub_server import HubServer


def test_killed_in_the_middle_of_the_upload(tmp_path):
    folder = tmp_path / "model"
    tiny_bert().save_pretrained(folder)
    with HubServer() as hub:
        assert push_in_process(hub, tmp_path / "home", folder).returncode == 0
        before = dict(hub.repos["user/tiny"].files)
        tiny_bert(seed=1).save_pretrained(folder)
        hold = hub.hold()
        environment = client_environment(hub, tmp_path / "home") | {"HF_TOKEN": hub.token}
        command = [sys.executable, "-c", PUSH, push_arguments(folder)]
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as pushing:
            assert hold.reached.wait(120), "the upload never began"
            pushing.kill()
        hub.release()
        assert pushing.returncode == -9
        assert len(hub.repos["user/tiny"].commits) == 2
        assert hub.repos["user/tiny"].files == before
        again = push_in_process(hub, tmp_path / "home", folder)
        assert again.returncode == 0, again.stderr
        new = (folder / "model.safetensors").read_bytes()
        assert hub.repos["user/tiny"].files["model.safetensors"] == new
        assert before["model.safetensors"] != new
