#!/bin/sh
# Compiles the pins in requirements/ from pyproject.toml. Pins that still fit stay; UPGRADE=1 takes the newest versions.
# Each file contains the one before it: run.txt (the gateway), demo.txt (with the demo and the build backend), dev.txt.
# The SDKs that tests/sdk drives have pins of their own, which share nothing with these.
set -eu
cd "$(dirname "$0")/.."

.venv/bin/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || {
    echo "The pins are compiled on the oldest supported Python: make clean && make requirements PYTHON=python3.11" >&2
    exit 1
}

# Only the public registry counts: nothing of this machine's pip configuration may reach the pins.
unset PIP_CONSTRAINT PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_NO_INDEX PIP_PRE PIP_TRUSTED_HOST
export PIP_CONFIG_FILE=/dev/null CUSTOM_COMPILE_COMMAND="make requirements"

compile() {
    file=$1
    shift
    echo "Compiling $file"
    .venv/bin/python -m piptools compile --quiet --no-config ${UPGRADE:+--upgrade} --strip-extras --allow-unsafe \
        --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
        --output-file "$file" "$@"
}

compile requirements/run.txt pyproject.toml
compile requirements/demo.txt --extra demo --build-deps-for editable --constraint requirements/run.txt pyproject.toml
compile requirements/dev.txt --extra demo --extra parquet --extra dev --build-deps-for editable \
    --constraint requirements/demo.txt pyproject.toml

for client in analytics-python rudder-sdk-python node; do
    compile "tests/sdk/clients/$client.txt" "tests/sdk/clients/$client.in"
done

echo "Compiling tests/sdk/clients/package-lock.json"
PATH="$PWD/.venv/sdk/node/bin:$PATH"
verb=install
[ -z "${UPGRADE:-}" ] || verb=update
npm "$verb" --prefix tests/sdk/clients --package-lock-only --no-progress --silent
