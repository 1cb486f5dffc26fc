"""`accelerate launch scripts/compress.py recipe.yaml key.path=value …` is `nlpcompress run …`."""

import sys

from nlpcompress.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]]))
