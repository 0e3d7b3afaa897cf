#!/bin/sh
# Sees to it that the browser tests find Chromium and what Playwright needs to drive it; without, pytest skips those tests.
cd "$(dirname "$0")/.."

command -v chromium > /dev/null && .venv/bin/python -m playwright --version > /dev/null 2>&1 && exit
sh scripts/install-system-packages.sh chromium libatomic1 && exit
echo "No Chromium here: the browser tests will be skipped. To run them: sudo apt-get install chromium libatomic1"
