#compdef vmreqctl
# SPDX-License-Identifier: MIT
# Completion of vmreqctl for zsh.  Candidates come from 'vmreqctl complete', which knows its own verbs and options and
# asks the daemon for symbols and arguments, for less than half a second, and says nothing when there is none.

_vmreqctl() {
  local -a candidates full open
  local candidate
  candidates=("${(@f)$("${words[1]}" complete -- "${(@Q)words[2,CURRENT]}" 2>/dev/null </dev/null)}")
  for candidate in $candidates; do
    case $candidate in
    :files)
      if [[ ${PREFIX} == *@* ]]; then compset -P '*@'; fi
      _files
      ;;
    *=) open+=("$candidate") ;;
    ?*) full+=("$candidate") ;;
    esac
  done
  compadd -a full
  compadd -S '' -a open
}

_vmreqctl "$@"
