import subprocess
import sys

HEAVY = ("pydantic", "zmq", "onnxruntime", "numba", "torch", "station.config", "station.app")


def test_the_process_loads_little() -> None:
    program = "import sys, station.archive.serve; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "cv2" in done.stdout.split()
    assert set(done.stdout.split()) & set(HEAVY) == set()
