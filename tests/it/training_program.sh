#!/bin/sh
# Replaces catalex-train in tests: prints the library search path and the arguments.
echo "$LD_LIBRARY_PATH|$*"
exit 7
