#!/bin/sh
# Brings .venv up to one layer of requirements/: demo (to run Signalpost) or dev (to work on it). The Makefile runs it.
set -eu
layer=$1
cd "$(dirname "$0")/.."

make_venv() {
    python=$(sh scripts/find-python.sh)
    if ! "$python" -c 'import ensurepip' 2> /dev/null; then
        package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        sh scripts/install-system-packages.sh "$package" || {
            echo "$python cannot make virtual environments yet. Please run: sudo apt-get install $package" >&2
            exit 1
        }
    fi
    "$python" -m venv --clear .venv
}

install() {
    .venv/bin/python -m pip install --disable-pip-version-check --no-input --no-compile "$@"
}

case $layer in
    demo) echo "Setting up .venv for the demo (once, about 20 s)…" ;;
    dev) echo "Setting up .venv with the tools and tests (once, about 40 s)…" ;;
esac

.venv/bin/python -m pip --version > /dev/null 2>&1 || make_venv
log=.venv/set-up.log
if ! {
    install --require-hashes --only-binary :all: --requirement "requirements/$layer.txt" &&
        install --no-deps --no-build-isolation --editable .
} > "$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "Setting up .venv failed; all of it is in $log. Running the same make command again goes on from here." >&2
    exit 1
fi

touch .venv/.demo
[ "$layer" = demo ] || touch .venv/.dev
