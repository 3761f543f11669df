#!/bin/bash
# From a fresh clone to a trained network: installs what is missing, builds, trains a small CNN on
# Fashion-MNIST. The last line is "test accuracy: 0.9...". Arguments go to the training script.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/apt.sh

install_packages build
source scripts/build.sh
build release build lampad lampad_lua
exec build/lampad scripts/train_fashion_mnist.lua "$@"
