"""`python -m floe_monitor …`: the same as `floe monitor run …`."""

import sys

from floe_core.cli.main import run

if __name__ == "__main__":
    sys.exit(run(["monitor", "run", *sys.argv[1:]]))
