#!/bin/sh
# Installs Shadowline from this folder, without a network: ./install.sh [VENV]
# The folder may be read-only if VENV lies elsewhere. PYTHON names another interpreter, CUDA_ROOT another CUDA.
set -eu

kit=$(cd "$(dirname "$0")" && pwd)
venv=${1:-$kit/venv}
version=$(cat "$kit/python-version")
python=${PYTHON:-python$version}

say() { echo "install.sh: $*"; }
stop() { echo "install.sh: $*" >&2; exit 2; }

command -v "$python" >/dev/null || stop "$python is not here: install it, or make a kit with KIT_PYTHON of the Python that is"
found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') || stop "$python does not run: name another by PYTHON"
[ "$found" = "$version" ] || stop "$python is Python $found, this kit is for $version: name another by PYTHON"
"$python" -c 'import ensurepip, venv' 2>/dev/null || stop "$python has no venv: install the package python$version-venv"

say "checking the sums"
(cd "$kit" && sha256sum --check --quiet --strict SHA256SUMS) || stop "the files above are missing or damaged: copy them again"

mkdir -p "$(dirname "$venv")"
work=$(mktemp -d "$venv.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

for first in "$kit"/wheels/*.part-00 "$kit"/pycuda/*.part-00 "$kit"/extra/*.part-00; do
    [ -e "$first" ] || continue
    whole=${first%.part-00}
    say "joining ${whole##*/}"
    cat "$whole".part-[0-9][0-9] > "$work/${whole##*/}"
done
if [ -s "$kit/SHA256SUMS.joined" ]; then
    (cd "$work" && sha256sum --check --quiet --strict "$kit/SHA256SUMS.joined") || stop "joined wrongly: is the disk full?"
fi

export PIP_CONFIG_FILE=/dev/null PIP_NO_INDEX=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
export PIP_FIND_LINKS="$kit/wheels $kit/pycuda $kit/extra $work"

say "installing into $venv"
"$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --requirement "$kit/requirements.txt"

for wheel in "$kit"/extra/*.whl "$work"/*.whl; do
    name=${wheel##*/}
    case $wheel in "$work"/*) [ -e "$kit/extra/$name.part-00" ] || continue ;; esac
    [ -e "$wheel" ] || continue
    say "adding $name"
    case $name in
        onnxruntime_gpu-*) "$venv/bin/python" -m pip uninstall --quiet --yes onnxruntime ;; # both own one module
    esac
    "$venv/bin/python" -m pip install --quiet --no-deps --force-reinstall "$wheel"
done

say "compiling the kernels for this processor"
"$venv/bin/python" -m station.regions.compile >/dev/null

find_driver() { # prints the path of the driver's library
    ldconfig=$(PATH="$PATH:/usr/sbin:/sbin" command -v ldconfig) && "$ldconfig" -p | sed -n 's/.*libcuda\.so\.1 .*x86-64.* => //p'
    for folder in $(echo "${LD_LIBRARY_PATH:-}" | tr ':' ' ') /usr/local/nvidia/lib64 /usr/lib/wsl/lib; do
        [ ! -e "$folder/libcuda.so.1" ] || echo "$folder/libcuda.so.1"
    done
}

version_of() { "$venv/bin/python" -c 'import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))' "$1"; }

build_pycuda() { # says what is missing and returns 1, or installs pycuda
    if version_of pycuda >/dev/null 2>&1; then say "pycuda: $(version_of pycuda) from extra"; return 0; fi
    for source in "$kit"/pycuda/pycuda-*.tar.gz "$work"/pycuda-*.tar.gz; do [ ! -e "$source" ] || break; done
    [ -e "$source" ] || { say "pycuda: not in this kit (KIT_FLAVOUR=none)"; return 1; }
    driver=$(find_driver | head -n 1)
    [ -n "$driver" ] || { say "pycuda: not built, no NVIDIA driver here (libcuda.so.1): TensorRT can't run, all else does"; return 1; }
    command -v g++ >/dev/null || { say "pycuda: not built, no g++: install g++ and run this again"; return 1; }
    include=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    [ -e "$include/Python.h" ] || { say "pycuda: not built, no $include/Python.h: install python$version-dev"; return 1; }
    root=${CUDA_ROOT:-$work/headers/nvidia/cu13}
    for wheel in "$kit"/pycuda/nvidia_*.whl "$work"/nvidia_cuda_*.whl; do
        [ ! -e "$wheel" ] || "$venv/bin/python" -m zipfile -e "$wheel" "$work/headers"
    done
    [ -e "$root/include/cuda.h" ] || { say "pycuda: not built, no $root/include/cuda.h: set CUDA_ROOT rightly"; return 1; }
    say "building pycuda with $root/include (a minute or two)"
    mkdir "$work/lib" "$work/pycuda"
    ln -s "$driver" "$work/lib/libcuda.so"
    tar xzf "$source" -C "$work/pycuda" --strip-components=1
    (
        cd "$work/pycuda"
        PATH="$root/bin:$venv/bin:$PATH"
        "$venv/bin/python" configure.py --cuda-root="$root" --no-cuda-enable-curand --cudadrv-lib-dir="$work/lib"
        "$venv/bin/python" -m pip install --no-build-isolation --no-deps .
    ) >"$venv/pycuda.log" 2>&1 || { say "pycuda: its build failed, see $venv/pycuda.log"; return 1; }
    fault=$(cd / && "$venv/bin/python" -c 'import pycuda.driver' 2>&1) || {
        say "pycuda: built, but does not load: $(echo "$fault" | tail -n 1): needs driver 580, or set CUDA_ROOT to an older CUDA"
        return 1
    }
    say "pycuda: built"
}

build_pycuda || true
say "done: $venv/bin/station check --config $kit/config.toml; $kit/run-gpu-suite --help"
