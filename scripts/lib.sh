# Shared by the scripts beside it: words for people, and installing what a fresh Debian or Ubuntu lacks.
# shellcheck shell=bash

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }

fail() {
  printf '\033[1;31merror:\033[0m %s\n' "$*" >&2
  exit 1
}

# as_root COMMAND...
as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# need_package PROGRAM PACKAGE: installs a Debian package unless the program is there.
need_package() { command -v "$1" >/dev/null 2>&1 || install_package "$2" "$1"; }

# install_package PACKAGE WHAT_FOR
install_package() {
  command -v apt-get >/dev/null 2>&1 || fail "$2 is missing: install it with your package manager, then run this again"
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || fail "$2 is missing: run 'apt-get install $1' as root, then run this again"
    as_root=(sudo)
  fi
  say "installing $1 (for $2)"
  if [ -z "${apt_lists_are_fresh:-}" ]; then
    "${as_root[@]}" apt-get -qq update >/dev/null || fail "'apt-get update' failed: is the network there?"
    apt_lists_are_fresh=1
  fi
  # A package may start a server of its own by default; we only want the program.
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq install -y --no-install-recommends "$1" \
    >/dev/null || fail "'apt-get install $1' failed"
}

# The server's programs and psql; Debian keeps the former out of PATH. No cluster of the system's is needed or started.
need_postgres() {
  local program
  for program in /usr/lib/postgresql/*/bin/postgres "$(command -v postgres || true)"; do
    if [ -x "$program" ] && command -v psql >/dev/null 2>&1; then return; fi
  done
  install_package postgresql "postgres and psql"
}

need_rust() {
  command -v cargo >/dev/null 2>&1 ||
    fail "cargo is missing: install Rust from https://rustup.rs, then run this again"
  need_package cc build-essential
}

# need_s3_server TARGET_FOLDER: a server that speaks S3, for tests. It stays as it is once it is there.
need_s3_server() {
  local venv="$1/s3-venv"
  [ -x "$venv/bin/moto_server" ] && return 0
  need_package python3 python3
  python3 -c 'import ensurepip, venv' 2>/dev/null || install_package python3-venv "python3 -m venv"
  say "installing moto, an S3 server for the tests"
  rm -rf "$venv"
  python3 -m venv "$venv" || fail "python3 cannot make a virtual environment in $venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'moto[s3]' flask flask-cors ||
    fail "pip could not install moto (its words are above): is the network there?"
}
