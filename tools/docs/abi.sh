#!/bin/sh
# Prints the reference of the plugin ABI as Markdown, from the public headers.
set -eu
cat <<'TEXT'
# The plugin ABI: every declaration

Written by `tools/docs/abi.sh` from `include/interloop/`, in the order in which a plugin meets them.
[The plugin ABI](../abi.md) has the rules that are the same for all, and [writing plugins](../writing_plugins.md)
shows them at work.

TEXT
for name in plugin params setup pass tensor batch rng status abi model dataset environment detector; do
    LC_ALL=C awk -v name="$name.h" -f tools/docs/headers.awk "include/interloop/$name.h"
done
