"""The project's virtual environment, made and kept up to date with nothing but the standard library.

Written so that a Python that is too old can still read it, and say so.
"""

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)
STAMP = "cortado.json"


def prepare(*extras, directory=".venv"):
    """Return the interpreter of the project's environment, with the project and some of its extras installed.

    The environment is created when it is missing or broken. The installation is repeated when pyproject.toml has
    changed, or when an extra is asked for that isn't there yet; otherwise this takes no time.
    """
    check_python()
    home = ROOT / directory
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not works(python):
        create(home)
    install(home, python, extras)
    return python


def become(python, *arguments):
    """Replace this process by the environment's Python, in the project's directory."""
    os.chdir(str(ROOT))
    command = [str(python), *arguments]
    if os.name == "nt":
        sys.exit(subprocess.call(command))
    sys.stdout.flush()
    os.execv(command[0], command)


def check_python():
    if sys.version_info < OLDEST:
        give_up(
            f"Cortado needs Python {OLDEST[0]}.{OLDEST[1]} or newer, and this is {sys.version.split()[0]}; "
            f"start it with a newer one, such as: python3.13 {' '.join(sys.argv)}"
        )
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        give_up(
            f"this Python can't make virtual environments, it comes without {' and '.join(missing)}; "
            "on Debian and Ubuntu: apt-get install python3-venv"
        )


def works(python):
    """Tell whether an environment's interpreter runs, and is new enough."""
    probe = f"import pip, sys; sys.exit(sys.version_info < {OLDEST!r})"
    try:
        return subprocess.call([str(python), "-c", probe], stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def create(home):
    say(f"Creating {home} with Python {sys.version.split()[0]}")
    run(sys.executable, "-m", "venv", "--clear", str(home))


def install(home, python, extras):
    stamp = home / STAMP
    held = json.loads(stamp.read_text()) if stamp.exists() else {"pyproject": "", "extras": []}
    pyproject = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if held["pyproject"] == pyproject and set(extras) <= set(held["extras"]):
        return
    chosen = sorted({*extras, *held["extras"]})
    project = f"{ROOT}[{','.join(chosen)}]"
    say(f"Installing {project} into {home}")
    run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--editable", project)
    stamp.write_text(json.dumps({"pyproject": pyproject, "extras": chosen}))


def run(*command):
    status = subprocess.call(command, stdin=subprocess.DEVNULL)
    if status:
        give_up(f"the set-up failed with status {status} at: {' '.join(command)}")


def say(text):
    print(text, file=sys.stderr, flush=True)


def give_up(text):
    sys.exit(f"Error: {text}")


if __name__ == "__main__":
    print(prepare(*sys.argv[2:], directory=sys.argv[1]))
