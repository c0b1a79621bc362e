#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# libvmreq alone: configures and builds daemon/base and daemon/vm where pkg-config finds no other library, installs
# into a staging folder, and compiles, links and runs the examples against what lies there, as an embedder does.
#
#   install.sh SOURCE          environment: CMAKE, GENERATOR, CC, VERSION (each with a default)
set -euo pipefail

source_dir=$(cd "$1" && pwd)
cmake=${CMAKE:-cmake}
cc=${CC:-cc}
work=$(mktemp -d -t libvmreq-XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

die() {
  echo "install.sh: $*" >&2
  exit 1
}

# run WHAT COMMAND…: its output is of interest only if it fails.
run() {
  local what=$1
  shift
  "$@" >"$work/log" 2>&1 || {
    cat "$work/log" >&2
    die "$what: failed"
  }
}

unset PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR DESTDIR CFLAGS LDFLAGS LD_LIBRARY_PATH
# The tests need cmocka: if this system has it, it is the only library that pkg-config finds below.
mkdir "$work/nothing"
tests=OFF
cmocka=$(pkg-config --variable=pcfiledir cmocka 2>/dev/null) || cmocka=
if [[ -n $cmocka ]]; then
  cp "$cmocka/cmocka.pc" "$work/nothing"
  tests=ON
fi
export PKG_CONFIG_LIBDIR=$work/nothing

echo "== configure and build, with nothing but libc"
for library in libuv msgpack-c msgpack libsystemd inih jansson; do
  if pkg-config --exists "$library"; then die "pkg-config finds $library: this proves nothing"; fi
done
# -O0: the work of the optimiser is not what is tested here.
run configure "$cmake" -G "${GENERATOR:-Ninja}" -S "$source_dir" -B "$work/build" -DCMAKE_C_COMPILER="$cc" \
  -DCMAKE_BUILD_TYPE=Debug -DVMREQ_ENGINE_ONLY=ON -DVMREQ_TESTS=$tests -DCMAKE_INSTALL_PREFIX=/opt/vmreq \
  -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
run build "$cmake" --build "$work/build" --parallel 2
if grep -F '"file":' "$work/build/compile_commands.json" | grep -vE '/(daemon/(base|vm)|tests)/[^"]*"'; then
  die "an engine-only build compiles more than the engine"
fi

if [[ $tests == ON ]]; then
  # All are built.  These few are run: the others run as part of whatever build this one belongs to.
  echo "== unit tests"
  run "unit tests" "${cmake%cmake}ctest" --test-dir "$work/build" --parallel 2 --output-on-failure \
    --no-tests=error --tests-regex '^unit/vm/test-(api|broadcast|call|cancel|deadline|rendezvous)$'
fi

echo "== install"
stage=$work/stage
DESTDIR=$stage run install "$cmake" --install "$work/build"
(cd "$stage/opt/vmreq" && find . ! -type d | sort) >"$work/installed"
version=${VERSION:-$(sed -n 's/^Version: //p' "$stage/opt/vmreq/lib/pkgconfig/vmreq.pc")}
sort >"$work/expected" <<LIST
./include/vmreq.h
./lib/libvmreq.a
./lib/libvmreq.so
./lib/libvmreq.so.0
./lib/libvmreq.so.$version
./lib/pkgconfig/vmreq.pc
./share/man/man3/vmreq.3.gz
LIST
diff -u --label expected --label installed "$work/expected" "$work/installed" || die "not what is to be installed"
libraries=$(readelf -d "$stage/opt/vmreq/lib/libvmreq.so.0" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p')
# The dynamic linker itself is there for thread-local storage.
needed=$(sed '/^ld-linux/d' <<<"$libraries")
[[ $needed == libc.so.6 ]] || die "libvmreq.so.0 needs: ${needed//$'\n'/ }"
readelf -d "$stage/opt/vmreq/lib/libvmreq.so.0" | grep -qF 'soname: [libvmreq.so.0]' || die "another soname"

export PKG_CONFIG_LIBDIR=$stage/opt/vmreq/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$stage
[[ $(pkg-config --modversion vmreq) == "$version" ]] || die "vmreq.pc has another version than $version"

# compile HOW EXAMPLE FLAG…: away from the source tree, so that the only vmreq.h is the installed one.
compile() {
  local how=$1 example=$2
  shift 2
  run "$example, $how" "$cc" -std=c11 -Wall -Wextra -Werror -O1 -o "$work/$example-$how" \
    "$work/$example.c" "$@"
}
for example in embed own-emts; do
  cp "$source_dir/tests/examples/$example.c" "$work"
  read -ra shared < <(pkg-config --cflags --libs vmreq)
  read -ra static < <(pkg-config --static --cflags --libs vmreq)
  compile shared "$example" "${shared[@]}" -pthread
  compile static "$example" -static "${static[@]}"
  if readelf -d "$work/$example-static" | grep -qF NEEDED; then die "$example: not static"; fi
  for how in shared static; do
    echo "== $example, $how"
    LD_LIBRARY_PATH=$stage/opt/vmreq/lib timeout 30 \
      bash "$source_dir/tests/examples/check.sh" "$source_dir/tests/examples/$example.expected" \
      "$work/$example-$how" || die "$example, $how: another answer"
  done
done
echo "Ran 4 tests in ${SECONDS}s"
