"""Run the tests, in an environment that is set up first where that is necessary.

python3 tests/run.py [arguments for pytest]

Two processes share the tests; `-n 0` runs them in one, as a debugger needs it.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / ".ci"))

from environment import become, prepare

if __name__ == "__main__":
    become(prepare("dev"), "-m", "pytest", "-n", "2", *sys.argv[1:])
