#!/bin/sh
# Installs what Interloop needs and this machine lacks, and says nothing when nothing is missing.
# Debian and its descendants; elsewhere it names what to install by hand. `wheel` asks for what the
# Python package needs in addition.
set -eu

missing=

# need PACKAGE COMMAND...: the package is missing unless the command succeeds.
need() {
    package=$1
    shift
    if ! "$@" >/dev/null 2>&1; then
        missing="$missing $package"
    fi
}

has_command() { command -v "$1"; }
has_library() { pkg-config --exists "$1"; }
has_compiler() { has_command "${CC:-cc}" || has_command gcc; }
# A shared library that the program opens at run time; ldconfig is not on every user's path.
has_shared() { PATH="$PATH:/sbin:/usr/sbin" ldconfig -p | grep -q "$1"; }

need gcc has_compiler
need libc6-dev test -e /usr/include/stdlib.h
need make has_command make
need binutils has_command objcopy
need pkg-config has_command pkg-config
need libyaml-dev has_library yaml-0.1
need libjansson-dev has_library jansson
need libsodium-dev has_library libsodium
need zlib1g-dev has_library zlib
need libpcre2-dev has_library libpcre2-8
need libutf8proc-dev has_library libutf8proc
need check has_library check
need libopenblas0-pthread has_shared 'libopenblas\.so\.0'
if [ "${1:-}" = wheel ]; then
    has_python_headers() {
        test -e "$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h"
    }
    need python3 has_command python3
    need python3-dev has_python_headers
fi
need wordnet-base test -e /usr/share/wordnet/data.noun
# What one job alone needs is asked for by it: WITH=chromium.
if [ "${WITH:-}" = chromium ]; then
    need chromium has_command chromium
fi

if [ -z "$missing" ]; then
    exit 0
fi

if ! has_command apt-get >/dev/null; then
    echo "tools/deps.sh: no apt-get here; please install (Debian's names):$missing" >&2
    exit 1
fi
as_root=
if [ "$(id -u)" -ne 0 ]; then
    as_root=sudo
    if ! has_command sudo >/dev/null; then
        echo "tools/deps.sh: run as root: apt-get install$missing" >&2
        exit 1
    fi
fi

echo "installing:$missing" >&2
# Lists that cannot be renewed may still do; what really fails is the install.
$as_root apt-get -qq update || echo "tools/deps.sh: apt-get update failed, going on" >&2
# shellcheck disable=SC2086 # a list of package names, to be split
$as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq install -y --no-install-recommends $missing >&2
