"""One export of a tiny model, as a program that can be killed at an event of the file system."""

import os
import signal
import sys

import torch

from nlpcompress.export import export_onnx


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(4, 2)

    def forward(self, features):
        return self.head(features)


def main():
    folder, event = sys.argv[1:]

    def kill(name, arguments):
        path = str(arguments[0]) if name == event else ""
        if ".partial" in path and not os.path.isdir(path):
            os.kill(os.getpid(), signal.SIGKILL)

    if event != "none":
        sys.addaudithook(kill)
    export_onnx(Model(), folder + "/model.onnx", {"features": torch.ones(2, 4)})
