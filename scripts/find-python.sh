#!/bin/sh
# Prints the Python to make .venv with: $PYTHON, else the newest supported one on the PATH, if possible with venv.
set -eu

supported='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))'
for check in "import ensurepip, venv; $supported" "$supported"; do
    for python in ${PYTHON:-python3.14 python3.13 python3.12 python3.11 python3}; do
        if "$python" -c "$check" 2> /dev/null; then
            command -v "$python"
            exit
        fi
    done
done

if [ -n "${PYTHON:-}" ]; then
    echo "PYTHON=$PYTHON is not a Python from 3.11 to 3.14." >&2
else
    echo "Signalpost needs Python 3.11, 3.12, 3.13 or 3.14 on the PATH; PYTHON=/path/to/python3 names one elsewhere." >&2
fi
exit 1
