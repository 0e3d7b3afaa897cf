#!/bin/sh
# Sees to it that `make soak` finds libfaketime, which sets the clock of single processes; without, its row F5 says so.
cd "$(dirname "$0")/.."

ls /usr/lib/*/faketime/libfaketimeMT.so.1 > /dev/null 2>&1 && exit
sh scripts/install-system-packages.sh faketime && exit
echo "No libfaketime here: row F5 will fail. To run it: sudo apt-get install faketime"
