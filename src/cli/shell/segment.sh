#!/bin/sh
# What needs attention, for starship, tmux and assistants' status lines; nothing when all is well. It reads the same
# small file as the prompts of the shells (docs/shell.md), and starts neither Node nor git.
#   segment.sh [--color | --claude] [DIR]     --claude: the directory is in the JSON on standard input
. "${0%/*}/prompt.sh"
if [ "$(id -u)" -eq 0 ]; then
  __cora_state=/var/lib/cora
else
  case ${XDG_STATE_HOME-} in /*) __cora_state=$XDG_STATE_HOME/cora ;; *) __cora_state=${HOME-}/.local/state/cora ;; esac
fi
color=
case ${1-} in
  --color) color=1 && shift ;;
  --claude)
    shift
    color=1 json=
    while IFS= read -r line || [ -n "$line" ]; do json=$json$line; done
    case $json in
      *'"current_dir"'*) json=${json#*\"current_dir\"} ;;
      *'"cwd"'*) json=${json#*\"cwd\"} ;;
      *) json= ;;
    esac
    json=${json#*\"}
    json=${json%%\"*}
    # An escape in the name: the directory that we were started in is as good.
    case $json in *\\*) ;; /*) set -- "$json" ;; esac
    ;;
esac
__cora_segment "${1:-$PWD}" "$(date +%s)"
[ -n "$__cora_text" ] || exit 0
[ -z "${NO_COLOR-}" ] || color=
case $color$__cora_level in
  1red) printf '\033[31m%s\033[0m\n' "$__cora_text" ;;
  1yellow) printf '\033[33m%s\033[0m\n' "$__cora_text" ;;
  *) printf '%s\n' "$__cora_text" ;;
esac
