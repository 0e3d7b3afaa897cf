#!/bin/sh
# Installs the SDKs that tests/sdk drives into .venv/sdk, each as its users would: Python clients whose dependencies
# contradict each other get an environment each; Node.js and npm come as a wheel, so that neither root nor Debian is needed.
# What is there already, from the same pins, stays. Without these, pytest skips the tests of tests/sdk (a failure in CI).
set -eu
cd "$(dirname "$0")/.."
pins=tests/sdk/clients
sdk=.venv/sdk
log=$sdk/set-up.log

install_python() {
    cmp --quiet "$pins/$1.txt" "$sdk/$1/installed.txt" ||
        { .venv/bin/python -m venv --clear --without-pip "$sdk/$1" &&
            .venv/bin/python -m pip --python "$sdk/$1/bin/python" install --disable-pip-version-check --no-input \
                --no-compile --require-hashes --only-binary :all: --requirement "$pins/$1.txt" &&
            cp "$pins/$1.txt" "$sdk/$1/installed.txt"; }
}

install_javascript() {
    cmp --quiet "$pins/package-lock.json" "$sdk/javascript/installed.json" ||
        { rm -rf "$sdk/javascript" &&
            mkdir "$sdk/javascript" &&
            cp "$pins/package.json" "$pins/package-lock.json" "$pins/.npmrc" "$sdk/javascript" &&
            (cd "$sdk/javascript" && PATH="$OLDPWD/$sdk/node/bin:$PATH" npm ci --no-progress) &&
            cp "$pins/package-lock.json" "$sdk/javascript/installed.json"; }
}

mkdir -p "$sdk"
echo "Installing the SDKs that the tests drive into $sdk (once, about 15 s)…"
if { install_python analytics-python && install_python rudder-sdk-python && install_python node && install_javascript; } \
    > "$log" 2>&1 < /dev/null; then
    touch .venv/.sdk
else
    tail -n 5 "$log" >&2
    echo "The tests of tests/sdk will be skipped; all of it is in $log. To try again: make sdk-clients" >&2
fi
