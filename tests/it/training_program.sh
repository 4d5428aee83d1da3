#!/bin/sh
# Stands in for catalex-train: prints the search path of libraries and the arguments.
echo "$LD_LIBRARY_PATH|$*"
exit 7
