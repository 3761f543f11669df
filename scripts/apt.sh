# Installs the Debian packages that building and testing need. Sourced by quickstart.sh, test.sh and
# sanitize.sh:   source scripts/apt.sh; install_packages build|test|bench
# Does nothing, and needs no rights, when everything is there. Each package and its licence is
# explained in docs/design/dependencies.md.

build_packages=(
  gcc libc6-dev cmake ninja-build pkg-config   # toolchain
  lua5.4 liblua5.4-dev                         # the language; the code generator runs on lua5.4
  libopenblas-openmp-dev libdnnl-dev libsleef-dev
  zlib1g-dev libjansson-dev                    # .gz data sets, JSON
  libjpeg62-turbo-dev libpng-dev libwebp-dev   # images
  libcurl4-openssl-dev libarchive-dev          # downloads, archives
  libreadline-dev                              # line editing in the executable
  dataset-fashion-mnist                        # 70,000 images for the training script
)
test_packages=(
  git                                          # the linter asks it for the files of the project
  lua-busted lua-check                         # specs, linter
  expect                                       # drives the REPL in a pseudo-terminal
  xz-utils bzip2 zip                           # the ONNX test data, archives for the specs
  liblmdb0 libhdf5-103-1                       # optional data sets
  lua-filesystem lua-luassert lua-say lua-system lua-term
)
bench_packages=(
  valgrind                                     # counts instructions
)

package_installed() {
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# apt-get, as root: directly, or through sudo.
apt_get() {
  if [ "$(id -u)" = 0 ]; then
    DEBIAN_FRONTEND=noninteractive apt-get "$@"
  else
    sudo DEBIAN_FRONTEND=noninteractive apt-get "$@"
  fi
}

# install_packages build|test|bench: "test" and "bench" include what "build" needs.
install_packages() {
  local wanted=("${build_packages[@]}") missing=() package log
  [ "$1" = test ] && wanted+=("${test_packages[@]}")
  [ "$1" = bench ] && wanted+=("${bench_packages[@]}")
  if ! command -v dpkg-query >/dev/null; then
    echo "These commands install their needs with apt, and this is no Debian system."
    echo "Provide these packages yourself: ${wanted[*]}"
    return 0
  fi
  for package in "${wanted[@]}"; do
    package_installed "$package" || missing+=("$package")
  done
  [ ${#missing[@]} = 0 ] && return 0

  echo "Installing ${#missing[@]} Debian packages: ${missing[*]}"
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "error: not root and no sudo here. Run as root:" >&2
      echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
      return 1
    fi
    echo "(through sudo, which may ask for your password)"
  fi
  log=$(mktemp)
  # The package lists may be missing or old: refresh them once, and say why if that fails.
  if ! apt_get update -qq >"$log" 2>&1; then
    cat "$log" >&2
    echo "warning: apt-get update failed; trying with the package lists at hand" >&2
  fi
  if ! apt_get install -y -qq --no-install-recommends "${missing[@]}" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    echo "error: apt-get could not install the packages above. Without a network, install them from" >&2
    echo "a mirror or medium of yours, then run this again: ${missing[*]}" >&2
    return 1
  fi
  rm -f "$log"
}
