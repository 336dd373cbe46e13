# Shared by the other scripts: messages, and installation of packages that a fresh Debian or Ubuntu lacks.
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

# need_package PROGRAM PACKAGE: installs a Debian package unless the program exists.
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
    "${as_root[@]}" apt-get -qq update >/dev/null || fail "'apt-get update' failed; check the network connection"
    apt_lists_are_fresh=1
  fi
  # RUNLEVEL=1 keeps a package from starting its server.
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq install -y --no-install-recommends "$1" \
    >/dev/null || fail "'apt-get install $1' failed"
}

# need_postgres: the server and psql. Debian keeps the server out of PATH. No system cluster is needed or started.
need_postgres() {
  local program
  for program in /usr/lib/postgresql/*/bin/postgres "$(command -v postgres || true)"; do
    if [ -x "$program" ] && command -v psql >/dev/null 2>&1; then return; fi
  done
  install_package postgresql "postgres and psql"
}

# need_pgbouncer: Debian installs it outside the PATH of normal users. No system service is needed or started.
need_pgbouncer() { [ -x /usr/sbin/pgbouncer ] || need_package pgbouncer pgbouncer; }

# need_chromium: a browser, its driver, and a font, without which it ends. Ubuntu's package of that name is another one, but its
# machines for CI have Chrome.
need_chromium() {
  local browser="" name
  for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1 && command -v chromedriver >/dev/null 2>&1; then browser="$name"; fi
  done
  [ -n "$browser" ] || install_package chromium-driver "chromium and chromedriver"
  [ -n "$(find /usr/share/fonts -name '*.[ot]tf' -print -quit 2>/dev/null)" ] || install_package fonts-dejavu-core "a font for it"
}

need_rust() {
  command -v cargo >/dev/null 2>&1 ||
    fail "cargo is missing: install Rust from https://rustup.rs, then run this again"
  need_package cc build-essential
}

# python_folder FOLDER LIST: a virtual environment with exactly the packages of LIST (a requirements.txt), recreated when
# LIST has changed.
python_folder() {
  local folder="$1" list="$2"
  if cmp -s "$list" "$folder/installed"; then return; fi
  need_package python3 python3
  python3 -c 'import ensurepip, venv' 2>/dev/null || install_package python3-venv "python3 -m venv"
  rm -rf "$folder"
  python3 -m venv "$folder" || fail "python3 cannot create a virtual environment in $folder"
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$list" ||
    fail "pip could not install the packages of $list (see its output above); check the network connection"
  cp "$list" "$folder/installed"
}

# npm_folder FOLDER SOURCE: node_modules with exactly the packages of SOURCE/package-lock.json, recreated when it has
# changed.
npm_folder() {
  local folder="$1" source="$2"
  if cmp -s "$source/package-lock.json" "$folder/installed"; then return; fi
  need_package npm npm
  rm -rf "$folder"
  mkdir -p "$folder"
  cp "$source/package.json" "$source/package-lock.json" "$folder/"
  # engine-strict=false: a package for a newer Node may still run on an older one.
  npm ci --prefix "$folder" --no-audit --no-fund --ignore-scripts --engine-strict=false --loglevel=error >/dev/null ||
    fail "npm could not install the packages of $source/package-lock.json (see its output above); check the network connection"
  cp "$source/package-lock.json" "$folder/installed"
}

# build_all: builds all programs and tests, unoptimised, in one command. Building a part first would compile the
# dependencies with fewer features, and then a second time for the rest.
build_all() {
  need_rust
  say "building all programs and tests"
  cargo build --locked --workspace --all-targets
}

# A step that exits with this status cannot run here. It is reported as skipped and does not fail the run.
skipped_status=77

# step NAME COMMAND...: runs a step and records how long it took. When it fails, the run continues and fails at the end.
step() {
  local name="$1" started="$SECONDS" outcome status
  shift
  say "$name"
  # In a subshell with "set -e": within an "if" or "||" a function would continue after a failure.
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

# end_of_steps: prints how long each step took, and exits.
end_of_steps() {
  printf '\n%s%6d s  total\n' "$steps" "$SECONDS"
  [ -z "$failed_steps" ] || fail "failed: $failed_steps"
  exit 0
}
