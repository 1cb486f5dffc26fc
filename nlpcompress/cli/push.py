"""`nlpcompress push`: a result folder to a model hub, or, with --dry-run, into another folder."""

import argparse

from nlpcompress.cli.log import start_log
from nlpcompress.io.hub import push


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`push FOLDER REPO_ID [--dry-run FOLDER] [--private] [--endpoint URL]`"""
    parser.add_argument("folder", help="a result folder: what `out` of a run names")
    parser.add_argument("repo_id", help="user/name on the hub")
    parser.add_argument(
        "--dry-run", metavar="FOLDER", help="send nothing, put what would be sent into this folder"
    )
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument("--endpoint", help="the hub's URL (default: HF_ENDPOINT)")


def main(args: argparse.Namespace) -> int:
    """Push, and print the URL (or the folder of the dry run)."""
    start_log()
    place = push(
        args.folder,
        args.repo_id,
        dry_run=args.dry_run,
        private=args.private,
        endpoint=args.endpoint,
    )
    print(place)
    return 0
