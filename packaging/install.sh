#!/bin/sh
# Installs edgespec for one user, without root: sh install.sh [--dry-run] [--uninstall] ...
#
# A virtual environment in PREFIX/lib/edgespec, a link to its command in PREFIX/bin, nothing else.
# What is installed: the checkout that this file is in; the wheels beside it, if it comes from an
# offline bundle; otherwise edgespec from PyPI. Running it again repairs or upgrades.
set -eu

engine='llama-cpp-python>=0.3.36,<0.4'
engine_index='https://abetlen.github.io/llama-cpp-python/whl'
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

prefix=${EDGESPEC_PREFIX:-${HOME:-}/.local}
accelerator='' dry_run='' uninstall='' compile='' from=''

usage() {
    cat <<'END'
Usage: sh install.sh [OPTION...]

  --dry-run             show what would be done, and do nothing
  --uninstall           remove what this script installed; models and conversations stay
  --accelerator NAME    cpu, cuda, rocm, metal or vulkan (default: what is found here)
  --compile             compile llama.cpp here, even if there is a prebuilt wheel: for this very
                        processor, and with RPC, which several machines need to work together
  --from WHAT           a wheel, an sdist, a checkout or a requirement (default: see above)
  --prefix DIR          where to install (default: ~/.local)

EDGESPEC_PYTHON names the Python to use; CMAKE_ARGS are added to llama.cpp's own.
END
}

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "error: $*"
    exit 1
}

value_of() { # OPTION REST...: the option's value
    [ $# -ge 2 ] || fail "$1 needs a value"
    printf '%s' "$2"
}

read_options() {
    while [ $# -gt 0 ]; do
        case $1 in
        --dry-run) dry_run=yes ;;
        --uninstall) uninstall=yes ;;
        --compile) compile=yes ;;
        --accelerator | --from | --prefix)
            given=$(value_of "$@")
            case $1 in
            --accelerator) accelerator=$given ;;
            --from) from=$given ;;
            --prefix) prefix=$given ;;
            esac
            shift
            ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) fail "unknown option $1; --help lists them" ;;
        esac
        shift
    done
    case $prefix in
    /*) ;;
    *) fail "the prefix '$prefix' is not an absolute path; set HOME or --prefix" ;;
    esac
    venv=$prefix/lib/edgespec
    mark=$venv/installed-by-install.sh
    link=$prefix/bin/edgespec
}

has() { command -v "$1" >/dev/null 2>&1; }

find_system() {
    system=$(uname -s)
    machine=$(uname -m)
    case $system in
    Linux | Darwin) ;;
    *) fail "this script is for Linux and macOS, not $system; on Windows, use install.ps1" ;;
    esac
}

# Python 3.11 or newer that can make virtual environments; sets `python` and `python_version`.
find_python() {
    check='import sys, venv, ensurepip; sys.version_info >= (3, 11) or sys.exit(1)
print("%d.%d" % sys.version_info[:2])'
    for python in ${EDGESPEC_PYTHON:-python3.13 python3.12 python3.11 python3 python}; do
        if has "$python" && python_version=$("$python" -c "$check" 2>/dev/null); then
            return
        fi
    done
    fail "no Python 3.11 or newer with the module venv was found; install one (Debian, Ubuntu:" \
        "apt install python3-venv; Fedora: dnf install python3; macOS: brew install python)," \
        "or name one in EDGESPEC_PYTHON"
}

# The newest prebuilt wheels that a driver for CUDA $1 runs.
cuda_wheels() {
    awk -v have="$1" 'BEGIN {
        split("11.8 12.1 12.2 12.3 12.4 12.5 13.0 13.2", known, " ")
        for (i = 1; i in known; i++) {
            split(known[i], k, "."); split(have, h, ".")
            if (k[1] + 0 == h[1] + 0 && k[2] + 0 <= h[2] + 0) best = known[i]
        }
        sub(/\./, "", best)
        if (best) print "cu" best
    }'
}

find_accelerator() {
    cuda=''
    if has nvidia-smi; then
        cuda=$(nvidia-smi 2>/dev/null | sed -n 's/.*CUDA Version: *\([0-9.]*\).*/\1/p' | head -n 1)
    fi
    if [ -z "$accelerator" ]; then
        if [ -n "$cuda" ]; then
            accelerator=cuda
        elif [ "$system $machine" = 'Darwin arm64' ]; then
            accelerator=metal
        elif has rocminfo && rocminfo 2>/dev/null | grep -q gfx; then
            accelerator=rocm
        elif has vulkaninfo && vulkaninfo --summary 2>/dev/null |
            grep -Eq 'PHYSICAL_DEVICE_TYPE_(DISCRETE|INTEGRATED)_GPU'; then
            accelerator=vulkan
        else
            accelerator=cpu
        fi
    fi
    accelerator_told="$accelerator${cuda:+ (driver for CUDA $cuda)}"
    case $accelerator in
    cpu) wheels=cpu flags='' ;;
    cuda) wheels=$(cuda_wheels "$cuda") flags='-DGGML_CUDA=ON' ;;
    rocm) wheels=rocm72 flags='-DGGML_HIP=ON' ;;
    metal) wheels=metal flags='-DGGML_METAL=ON' ;;
    vulkan) wheels=vulkan flags='-DGGML_VULKAN=ON' ;;
    *) fail "unknown accelerator '$accelerator': cpu, cuda, rocm, metal or vulkan" ;;
    esac
    # Half of llama.cpp's build is what the Python binding never loads; a checkout knows how to
    # leave it out.
    cmake_args="-DLLAVA_BUILD=OFF -DGGML_RPC=ON${flags:+ $flags}"
    if [ -f "$here/llama_cpp.cmake" ]; then
        # shellcheck disable=SC2089 # The build splits CMAKE_ARGS as a shell would, quotes included.
        cmake_args="$cmake_args '-DCMAKE_PROJECT_llama.cpp_INCLUDE=$here/llama_cpp.cmake'"
    fi
    cmake_args="$cmake_args${CMAKE_ARGS:+ $CMAKE_ARGS}"
    case $python_version in
    3.11 | 3.12) ;;
    *) wheels='' ;; # That is all that llama-cpp-python publishes wheels for.
    esac
}

find_source() {
    offline=''
    if [ -n "$from" ]; then
        source=$from
        if [ -e "$from" ]; then
            source=$(CDPATH='' cd -- "$(dirname -- "$from")" && pwd)/$(basename -- "$from")
        fi
    elif [ -d "$here/wheels" ]; then
        offline=yes source=edgespec
    elif grep -qs '^name = "edgespec"' "$here/../pyproject.toml"; then
        source=$(CDPATH='' cd -- "$here/.." && pwd)
    else
        source=edgespec
    fi
}

tell_engine() {
    compiled="compiled, with CMAKE_ARGS=$cmake_args"
    if [ -n "$offline" ]; then
        accelerator_told='the one that the bundle was made for'
        engine_told="from $here/wheels, without a network"
    elif [ -z "$compile" ] && [ -n "$wheels" ]; then
        engine_told="prebuilt, if $engine_index/$wheels has a wheel that works here;
              otherwise $compiled"
    else
        engine_told=$compiled
    fi
}

show_plan() {
    cat <<END
system        $system $machine
python        $python_version ($(command -v "$python"))
accelerator   $accelerator_told
llama.cpp     $engine_told
edgespec      $source
environment   $venv
command       $link
END
}

quietly() { # COMMAND...: into the log, whose end is shown if it fails
    if ! "$@" >>"$log" 2>&1; then
        tail -n 20 "$log" >&2
        return 1
    fi
}

pip() { "$venv/bin/python" -m pip --disable-pip-version-check --no-input "$@"; }

# Whether llama.cpp loads and, where that was asked for, reaches a GPU ($1) and other machines ($2).
engine_works() {
    "$venv/bin/python" - "$1" "$2" <<'END' >>"$log" 2>&1
import sys

import llama_cpp

gpu, rpc = sys.argv[1:]
if gpu != "cpu" and not llama_cpp.llama_supports_gpu_offload():
    sys.exit("this build of llama.cpp has no GPU")
if rpc and not llama_cpp.llama_supports_rpc():
    sys.exit("this build of llama.cpp has no RPC")
END
}

install_prebuilt() {
    [ -z "$compile" ] && [ -n "$wheels" ] || return 1
    say "looking for a prebuilt llama.cpp in $engine_index/$wheels"
    pip install --retries 1 --timeout 15 --only-binary llama-cpp-python \
        --extra-index-url "$engine_index/$wheels" "$engine" >>"$log" 2>&1 &&
        engine_works "$accelerator" ''
}

install_compiled() {
    say "compiling llama.cpp: minutes, more of them for a GPU (log: $log)"
    CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(getconf _NPROCESSORS_ONLN)}
    CMAKE_ARGS=$cmake_args
    # shellcheck disable=SC2090
    export CMAKE_ARGS CMAKE_BUILD_PARALLEL_LEVEL
    quietly pip install "$engine" && engine_works "$accelerator" rpc && return
    # It was there before, or in pip's cache, which does not know with which flags it was compiled.
    quietly pip install --force-reinstall --no-deps --no-cache-dir "$engine" &&
        quietly engine_works "$accelerator" rpc
}

install_engine() {
    wanted="$accelerator ${compile:-prebuilt} $cmake_args"
    if [ "$(cat "$venv/engine" 2>/dev/null)" = "$wanted" ] && engine_works "$accelerator" ''; then
        say 'llama.cpp is there'
        return
    fi
    install_prebuilt || install_compiled ||
        fail "llama.cpp could not be built: the log's end is above, all of it in $log." \
            "A C++ compiler is needed, and for a GPU its SDK; --accelerator cpu does without one"
    printf '%s\n' "$wanted" >"$venv/engine"
}

check_bundle() {
    say 'checking the bundle'
    if has sha256sum; then sum='sha256sum'; else sum='shasum -a 256'; fi
    (cd "$here" && $sum -c SHA256SUMS >/dev/null) || fail "$here is damaged; get the bundle again"
}

install() {
    if [ -e "$venv" ] && [ ! -e "$mark" ]; then
        fail "$venv is there, but not by this script; move it away or choose another --prefix"
    fi
    [ -z "$offline" ] || check_bundle
    mkdir -p "$venv" "$prefix/bin"
    printf 'link %s\n' "$link" >"$mark"
    log=$venv/install.log
    : >"$log"
    quietly "$python" -m venv "$venv" || fail "no virtual environment could be made in $venv"
    if [ -n "$offline" ]; then
        quietly pip install --no-index --find-links "$here/wheels" --upgrade "$source" ||
            fail "the bundle does not fit this machine or Python $python_version"
    else
        install_engine
        say 'installing edgespec'
        quietly pip install --upgrade "$source" || fail "pip failed: all of its words are in $log"
    fi
    if [ ! -e "$link" ] || [ -L "$link" ]; then
        ln -sf "$venv/bin/edgespec" "$link"
    else
        fail "$link is there and is no link; move it away and run this again"
    fi
    say "$("$link" --version) is installed: $link"
    case :$PATH: in
    *:"$prefix/bin":*) ;;
    *) say "$prefix/bin is not on the PATH; add it, as in: export PATH=\"$prefix/bin:\$PATH\"" ;;
    esac
}

remove() {
    [ -e "$mark" ] || fail "nothing that this script installed is in $venv"
    say "removing $venv and $link; models, settings and conversations stay (edgespec doctor" \
        "tells where they are)"
    [ -z "$dry_run" ] || return 0
    if [ "$(readlink "$link" 2>/dev/null)" = "$venv/bin/edgespec" ]; then
        rm -f "$link"
    fi
    rm -rf "$venv"
}

read_options "$@"
if [ -n "$uninstall" ]; then
    remove
    exit
fi
find_system
find_python
find_source
find_accelerator
tell_engine
show_plan
[ -n "$dry_run" ] || install
