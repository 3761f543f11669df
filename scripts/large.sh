#!/bin/bash
# Tensors of more than 2^31 elements (tests/large/large.lua): minutes of time and 8 GiB of memory, so not a part
# of scripts/test.sh. The last line is "N passed, N failed".   scripts/large.sh [NAME_FILTER]
set -uo pipefail
cd "$(dirname "$0")/.."
source scripts/apt.sh
source scripts/build.sh
source scripts/parts.sh

folder=${LAMPAD_BUILD:-build}
install_packages test || stop "packages are missing"
build release "$folder" lampad || stop "the build failed"
exec "$folder/lampad" tests/large/large.lua "$@"
