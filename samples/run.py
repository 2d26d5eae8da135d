"""Serve a sample, in an environment that is set up first where that is necessary.

python3 samples/run.py chat [options of `cortado run`]
"""

import runpy
import sys
from pathlib import Path

SAMPLES = Path(__file__).resolve().parent


def main(name: str = "", *options: str) -> None:
    """Set up and serve the sample of this name, or say which ones there are."""
    known = sorted(app.parent.name for app in SAMPLES.glob("*/app.py"))
    if name not in known:
        sys.exit(
            f"Usage: python3 samples/run.py SAMPLE [options of `cortado run`]\nSamples: {', '.join(known)}"
        )
    environment = runpy.run_path(str(SAMPLES.parent / ".ci" / "environment.py"))
    python = environment["prepare"]("standard")
    environment["become"](python, "-m", "cortado", "run", f"samples.{name}.app:app", *options)


if __name__ == "__main__":
    main(*sys.argv[1:])
