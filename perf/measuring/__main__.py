"""Runs the package: `python3 perf/measuring run …`, which perf/run and perf/compare call."""

import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from measuring.commands import main  # noqa: E402 - the path comes first

sys.exit(main(sys.argv[1:]))
