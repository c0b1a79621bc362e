#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# check.sh EXPECTED PROGRAM [ARGUMENT…]: the program ends with 0 and says exactly what the file EXPECTED holds.
set -euo pipefail

expected=$1
shift
status=0
said=$("$@") || status=$?
diff -u --label expected --label said "$expected" - <<<"$said" || status=1
exit "$status"
