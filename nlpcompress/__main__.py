"""So that `python -m nlpcompress` and `accelerate launch -m nlpcompress` are the command itself."""

import sys

from nlpcompress.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
