#!/bin/bash
# Every network of vision.models against torchvision's numbers (tests/golden/models.txt): minutes of time and up to 8 GiB of
# memory, so not a part of scripts/test.sh, whose specs take the smallest of each family. The last line is "N passed, N failed".
#   scripts/models.sh [NAME_FILTER]
set -uo pipefail
cd "$(dirname "$0")/.."
source scripts/apt.sh
source scripts/build.sh
source scripts/parts.sh

folder=${LAMPAD_BUILD:-build}
install_packages test || stop "packages are missing"
build release "$folder" lampad || stop "the build failed"
exec "$folder/lampad" tests/large/models.lua "$@"
