# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Sourced by daemon/quickstart and tests/run: installs the packages that daemon/packages lists.

# packages_of FILE SECTION: the names under [SECTION], one a line.  Bash alone reads it: nothing is installed yet.
packages_of() {
  local line section=""
  while read -r line || [[ -n $line ]]; do
    line=${line%%#*}
    line=${line%% *}
    case $line in
    "") ;;
    "["*"]") section=${line:1:-1} ;;
    *) if [[ $section == "$2" ]]; then echo "$line"; fi ;;
    esac
  done <"$1"
}

# packages_missing NAME…: those that dpkg does not know as installed.
packages_missing() {
  local name state
  for name in "$@"; do
    state=$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null) || state=""
    if [[ $state != installed ]]; then echo "$name"; fi
  done
}

# packages_install FILE SECTION…: installs what is missing, and does nothing if nothing is.
packages_install() {
  local file=$1 section
  local -a names=() missing=() become=()
  shift
  for section in "$@"; do
    mapfile -t -O "${#names[@]}" names < <(packages_of "$file" "$section")
  done
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "No apt-get here. On this system, install the counterparts of: ${names[*]}" >&2
    return 0
  fi
  mapfile -t missing < <(packages_missing "${names[@]}")
  if ((${#missing[@]} == 0)); then return 0; fi
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
      echo "Missing packages: ${missing[*]}. Install them as root, then run this again." >&2
      return 1
    fi
    become=(sudo)
  fi
  echo "Installing ${#missing[@]} packages: ${missing[*]}"
  "${become[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq </dev/null
  "${become[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
    --no-install-recommends "${missing[@]}" </dev/null >/dev/null
}
