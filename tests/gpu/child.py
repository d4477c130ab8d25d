"""`python -m tests.gpu.child`: opens one engine in a process of its own, so that its death is seen and not shared."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Literal, TypeAlias

from shadowline.errors import StationError
from tests.gpu.engines import BACKENDS, Subject
from tests.gpu.samples import cut_sample_crops

__all__ = ["Ending", "run_child"]

Ending: TypeAlias = Literal["leave", "raise", "kill"]
"""How the child ends once it has classified: leaves the engine, raises in it, or kills itself in it."""

_TIMEOUT_S = 300
_REFUSED = 3


def run_child(subject: Subject, ending: Ending = "leave") -> str:
    """Open `subject` in a process, name one crop, end; return in words how that went.

    "answered" and nothing more is a clean run; "refused: …" an error of the tree; everything else is a fault.
    """
    words = (subject.backend, subject.precision, str(subject.model), str(subject.file), ending)
    command = [sys.executable, "-m", "tests.gpu.child", *words]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, env=_environment()
        )
    except subprocess.TimeoutExpired:
        return f"hangs: not done after {_TIMEOUT_S} s"
    answer, noise = done.stdout.strip(), (done.stderr.splitlines() or [""])[-1]
    if done.returncode < 0:
        return f"{answer} died of {signal.Signals(-done.returncode).name} {noise}".strip()
    if done.returncode not in (0, _REFUSED):
        return f"{answer} ended with code {done.returncode}: {noise}".strip()
    return answer


def _environment() -> dict[str, str]:
    """Let the child find this suite wherever it is started."""
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def _main() -> int:
    backend_name, precision, model, file, ending = sys.argv[1:]
    (backend,) = (known for known in BACKENDS if known == backend_name)
    try:
        with Subject(backend, precision, Path(model), Path(file)).open() as engine:
            engine.classify(cut_sample_crops(engine.card.crop, 1))
            print("answered", flush=True)
            if ending == "raise":
                raise RuntimeError("on purpose")
            if ending == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
    except StationError as fault:
        print(f"refused: {fault}")
        return _REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(_main())
