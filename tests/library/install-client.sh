#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# libvmreqclient as a program gets it: installs it from a build into a staging folder, compiles, links and runs the
# example against what lies there, shared and static, against a real daemon.
#
#   install-client.sh SOURCE BUILD          environment: CMAKE, CC, VERSION (each with a default)
set -euo pipefail

source_dir=$(cd "$1" && pwd)
build=$(cd "$2" && pwd)
cmake=${CMAKE:-cmake}
cc=${CC:-cc}
work=$(mktemp -d -t libvmreqclient-XXXXXX)
daemon=
finish() {
  if [[ -n $daemon ]]; then
    kill "$daemon" 2>/dev/null || true
    wait "$daemon" || true
  fi
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

die() {
  echo "install-client.sh: $*" >&2
  exit 1
}

run() {
  local what=$1
  shift
  "$@" >"$work/log" 2>&1 || {
    cat "$work/log" >&2
    die "$what: failed"
  }
}

unset PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR DESTDIR CFLAGS LDFLAGS LD_LIBRARY_PATH
echo "== install"
stage=$work/stage
for component in libvmreqclient libvmreqclient-dev; do
  DESTDIR=$stage run install "$cmake" --install "$build" --component "$component"
done
pc=$(find "$stage" -name vmreqclient.pc)
[[ -n $pc ]] || die "no vmreqclient.pc"
libdir=${pc%/pkgconfig/vmreqclient.pc}
version=${VERSION:-$(sed -n 's/^Version: //p' "$pc")}
(cd "$stage" && find . ! -type d ! -path '*/share/doc/*' | sed 's|.*/||; s|\.gz$||' | sort) >"$work/installed"
sort >"$work/expected" <<LIST
libvmreqclient.a
libvmreqclient.so
libvmreqclient.so.0
libvmreqclient.so.$version
vmreq-client.h
vmreqclient.3
vmreqclient.pc
LIST
diff -u --label expected --label installed "$work/expected" "$work/installed" || die "not what is to be installed"
needed=$(readelf -d "$libdir/libvmreqclient.so.0" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p')
[[ $needed == libc.so.6 ]] || die "libvmreqclient.so.0 needs: ${needed//$'\n'/ }"
readelf -d "$libdir/libvmreqclient.so.0" | grep -qF 'soname: [libvmreqclient.so.0]' || die "another soname"

export PKG_CONFIG_LIBDIR=$libdir/pkgconfig PKG_CONFIG_SYSROOT_DIR=$stage
[[ $(pkg-config --modversion vmreqclient) == "$version" ]] || die "vmreqclient.pc has another version than $version"

echo "== compile"
cp "$source_dir/tests/examples/calls.c" "$work"
read -ra shared < <(pkg-config --cflags --libs vmreqclient)
for how in shared static; do
  flags=("${shared[@]}")
  if [[ $how == static ]]; then flags=(-static "${flags[@]}"); fi
  run "calls, $how" "$cc" -std=c11 -Wall -Wextra -Werror -O1 -o "$work/calls-$how" "$work/calls.c" "${flags[@]}"
done
if readelf -d "$work/calls-static" | grep -qF NEEDED; then die "not static"; fi

# "ready: …" is the daemon's word that it listens; the pipe's end would be that it died.
mkfifo "$work/said"
setpriv --pdeathsig KILL "$build/vmreqd" --name calls --cpus 2 --socket "$work/s" --module-dir "$build/modules" \
  --module debug >"$work/said" 2>&1 &
daemon=$!
exec 3<"$work/said"
while read -r line <&3; do
  echo "$line" >>"$work/daemon.log"
  case $line in *ready*) break ;; esac
done
grep -q ready "$work/daemon.log" || { cat "$work/daemon.log" >&2; die "no daemon"; }
cat <&3 >>"$work/daemon.log" &

for how in shared static; do
  echo "== calls, $how"
  LD_LIBRARY_PATH=$libdir timeout 30 bash "$source_dir/tests/examples/check.sh" \
    "$source_dir/tests/examples/calls.expected" "$work/calls-$how" "$work/s" || die "calls, $how: another answer"
done
echo "Ran 2 tests in ${SECONDS}s"
