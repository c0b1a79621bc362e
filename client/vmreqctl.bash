# SPDX-License-Identifier: MIT
# Completion of vmreqctl for bash.  Candidates come from 'vmreqctl complete', which knows its own verbs and options and
# asks the daemon for symbols and arguments, for less than half a second, and says nothing when there is none.

_vmreqctl() {
  local line=${COMP_LINE:0:COMP_POINT} word before candidate
  local -a words candidates=()
  # Words as typed: COMP_WORDS is cut at ':' and '=', which are parts of ours.
  read -ra words <<<"$line"
  if [[ $line == *[[:space:]] ]]; then words+=(""); fi
  word=${words[-1]}
  # bash puts what it gets in the place of what stands behind the last of its own separators.
  before=
  if [[ $word == *[=:]* && $COMP_WORDBREAKS == *[=:]* ]]; then before=${word%"${word##*[=:]}"}; fi

  COMPREPLY=()
  mapfile -t candidates < <("${words[0]}" complete -- "${words[@]:1}" 2>/dev/null </dev/null)
  for candidate in "${candidates[@]}"; do
    if [[ $candidate == :files ]]; then
      compopt -o filenames 2>/dev/null
      local at=
      if [[ ${word#"$before"} == @* ]]; then at=@; fi
      while IFS= read -r candidate; do
        COMPREPLY+=("$at$candidate")
      done < <(compgen -f -- "${word#"$before$at"}")
    else
      COMPREPLY+=("${candidate#"$before"}")
    fi
  done
  if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} == *= ]]; then compopt -o nospace 2>/dev/null; fi
}

complete -F _vmreqctl vmreqctl
