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

# Debian puts it where only root's PATH leads. No service of the system's is needed or started.
need_pgbouncer() { [ -x /usr/sbin/pgbouncer ] || need_package pgbouncer pgbouncer; }

need_rust() {
  command -v cargo >/dev/null 2>&1 ||
    fail "cargo is missing: install Rust from https://rustup.rs, then run this again"
  need_package cc build-essential
}

# python_folder FOLDER LIST: a virtual environment with exactly what the list (requirements.txt) names, made when the list
# has changed.
python_folder() {
  local folder="$1" list="$2"
  if cmp -s "$list" "$folder/installed"; then return; fi
  need_package python3 python3
  python3 -c 'import ensurepip, venv' 2>/dev/null || install_package python3-venv "python3 -m venv"
  rm -rf "$folder"
  python3 -m venv "$folder" || fail "python3 cannot make a virtual environment in $folder"
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$list" ||
    fail "pip could not install what $list names (its words are above): is the network there?"
  cp "$list" "$folder/installed"
}

# npm_folder FOLDER SOURCE: node_modules with exactly what SOURCE/package-lock.json names, made when that has changed.
npm_folder() {
  local folder="$1" source="$2"
  if cmp -s "$source/package-lock.json" "$folder/installed"; then return; fi
  need_package npm npm
  rm -rf "$folder"
  mkdir -p "$folder"
  cp "$source/package.json" "$source/package-lock.json" "$folder/"
  # A package for a newer Node may run on an older one: whoever uses it finds out.
  npm ci --prefix "$folder" --no-audit --no-fund --ignore-scripts --engine-strict=false --loglevel=error >/dev/null ||
    fail "npm could not install what $source/package-lock.json names (its words are above): is the network there?"
  cp "$source/package-lock.json" "$folder/installed"
}

# build_all: every program and every test, not optimised, in one go. Building a part first would
# compile dependencies with fewer features, and then again for the whole.
build_all() {
  need_rust
  say "building every program and every test"
  cargo build --locked --workspace --all-targets
}

# A step that ends with this could not be tried here: which is said at the end, and is no failure.
skipped_status=77

# step NAME COMMAND...: runs it, and says how long it took. When it fails the run goes on, and fails at its end.
step() {
  local name="$1" started="$SECONDS" outcome status
  shift
  say "$name"
  # In a shell of its own, which ends at the first failure: within an "if" or "||" a function would go on.
  set +e
  (
    set -e
    "$@"
  )
  status=$?
  set -e
  case "$status" in
    0) outcome=ok ;;
    "$skipped_status") outcome=SKIPPED ;;
    *) outcome="FAILED ($status)" && failed_steps+="${failed_steps:+, }$name" ;;
  esac
  printf -v steps '%s%6d s  %-14s %s\n' "$steps" "$((SECONDS - started))" "$name" "$outcome"
  say "$name: $outcome after $((SECONDS - started)) s"
}
steps=""
failed_steps=""

# end_of_steps: how long each step took; ends the script.
end_of_steps() {
  printf '\n%s%6d s  all of it\n' "$steps" "$SECONDS"
  [ -z "$failed_steps" ] || fail "failed: $failed_steps"
  exit 0
}
