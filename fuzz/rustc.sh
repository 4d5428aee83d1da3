#!/bin/sh
# cargo's RUSTC_WORKSPACE_WRAPPER for fuzzing: coverage counters and overflow checks in the library, and nowhere else, so
# that no dependency is compiled again. The pass is LLVM's; stable rustc can run it.
case " $* " in
    *" --crate-name catalex "*" --crate-type lib "* | *" --crate-type lib "*" --crate-name catalex "*)
        exec "$@" -Coverflow-checks=on -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
            -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
        ;;
    *) exec "$@" ;;
esac
