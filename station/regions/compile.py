"""`python -m station.regions.compile`: fills the kernel cache for this CPU, once, at install. Main thread."""

import sys

import calibration.geometry  # noqa: F401  (registers its kernel)
import station.regions  # noqa: F401  (registers its kernels)
from shadowline.kernel_cache import KERNELS, compile_kernels, load_kernels

__all__ = ["compiled_now", "main"]


def compiled_now() -> int:
    """Load every kernel and return how many had to be compiled for it: 0 on a rightly installed station."""
    return load_kernels()


def main() -> int:
    """Compile what the cache lacks; return the exit code."""
    try:
        compiled = compile_kernels()
    except OSError as error:
        print(f"can't write {KERNELS}: {error.strerror}", file=sys.stderr)
        return 2
    print(f"{KERNELS}: {compiled} kernels compiled" if compiled else f"{KERNELS}: nothing to compile")
    return 0


if __name__ == "__main__":
    sys.exit(main())
