# The prompt segment in POSIX sh, part of what `cora shell bash` and `cora shell zsh` print, and of the script for
# other programs (`cora shell starship`). It reads one small file (docs/shell.md) with builtins alone.

# Sets __cora_root: the nearest directory around DIR that is a project, else DIR itself.
__cora_find_root() { # DIR
  __cora_root=$1
  while [ "$__cora_root" != / ] && [ -n "$__cora_root" ]; do
    if [ -e "$__cora_root/cora.toml" ] || [ -e "$__cora_root/.git" ]; then return 0; fi
    __cora_root=${__cora_root%/*}
  done
  __cora_root=$1
}

# Sets __cora_file: the status of the project around DIR; empty where there is none.
__cora_find_status() { # DIR
  __cora_file=
  __cora_find_root "$1"
  if [ -n "${CORA_VAULT-}" ]; then
    [ ! -f "$CORA_VAULT/.cache/prompt" ] || [ ! -r "$CORA_VAULT/.cache/prompt" ] || __cora_file=$CORA_VAULT/.cache/prompt
    return 0
  fi
  __cora_rest=$__cora_root __cora_key=
  while :; do
    case $__cora_rest in
      */*) __cora_key=$__cora_key${__cora_rest%%/*}% __cora_rest=${__cora_rest#*/} ;;
      *) __cora_key=$__cora_key$__cora_rest && break ;;
    esac
  done
  if [ -f "$__cora_state/prompt/$__cora_key" ] && [ -r "$__cora_state/prompt/$__cora_key" ]; then
    __cora_file=$__cora_state/prompt/$__cora_key
    return 0
  fi
  # Perhaps the way here led over a link: the same directory has another name then.
  for __cora_key in "$__cora_state/prompt/"*; do
    [ -f "$__cora_key" ] && [ -r "$__cora_key" ] || continue
    while IFS= read -r __cora_rest; do
      case $__cora_rest in
        'root '*)
          if [ "${__cora_rest#root }" -ef "$__cora_root" ]; then
            __cora_file=$__cora_key
            return 0
          fi
          break
          ;;
      esac
    done <"$__cora_key"
  done
  return 0
}

# Reads a status into __cora_vault, __cora_saved, __cora_late, __cora_failed and __cora_warn; false where it is not DIR's.
__cora_read_status() { # FILE ROOT
  __cora_vault= __cora_saved=0 __cora_late=0 __cora_failed= __cora_warn= __cora_mine=
  { IFS= read -r __cora_line && [ "$__cora_line" = 'cora-prompt 1' ] || return 1
    while IFS= read -r __cora_line; do
      case $__cora_line in
        'root '*) [ "${__cora_line#root }" -ef "$2" ] && __cora_mine=1 ;;
        'vault '*) __cora_vault=${__cora_line#vault } ;;
        'saved '*) __cora_saved=${__cora_line#saved } ;;
        'late '*) __cora_late=${__cora_line#late } ;;
        'failed '*) __cora_failed=${__cora_line#failed } ;;
        'warn '*) __cora_warn=${__cora_line#warn } ;;
      esac
    done
  } 2>/dev/null <"$1" || return 1
  # Numbers as they are written down; one that begins with 0 would be octal.
  case /$__cora_saved/$__cora_late/ in *[!0-9/]* | */0[0-9]* | *//*) return 1 ;; esac
  [ "${#__cora_saved}" -le 12 ] && [ "${#__cora_late}" -le 12 ] || return 1
  [ -n "$__cora_mine" ]
}

# Sets __cora_text and __cora_level (red, yellow or nothing) for the project around DIR.
__cora_segment() { # DIR NOW
  __cora_text= __cora_level=
  __cora_find_status "$1"
  if [ -z "$__cora_file" ]; then
    # A vault that was named and is not there: a disk that is not mounted.
    if [ -n "${CORA_VAULT-}" ] && [ -e "$__cora_root/cora.toml" ] && [ ! -e "$CORA_VAULT/VAULT.json" ]; then
      __cora_text='vault?' __cora_level=yellow
    fi
    return 0
  fi
  __cora_read_status "$__cora_file" "$__cora_root" || return 0
  case " $__cora_failed " in *' save '*) __cora_text="$__cora_text save!" ;; esac
  case " $__cora_failed " in *' lost '*) __cora_text="$__cora_text lost!" ;; esac
  case " $__cora_failed " in *' verify '*) __cora_text="$__cora_text damage!" ;; esac
  case " $__cora_failed " in *' backup '*) __cora_text="$__cora_text backup!" ;; esac
  case " $__cora_failed " in *' ship '*) __cora_text="$__cora_text ship!" ;; esac
  case " $__cora_failed " in *' drill '*) __cora_text="$__cora_text drill!" ;; esac
  # What health found and nothing above says.
  case $__cora_text/$__cora_failed in /*health*) __cora_text=' health!' ;; esac
  [ -z "$__cora_text" ] || __cora_level=red
  case " $__cora_failed " in
    *' save '*) ;;
    *)
      __cora_age=$(($2 - __cora_saved))
      if [ "$__cora_saved" -gt 0 ] && [ "$__cora_age" -gt "$__cora_late" ]; then
        if [ "$__cora_age" -lt 7200 ]; then
          __cora_age=$((__cora_age / 60))m
        elif [ "$__cora_age" -lt 172800 ]; then
          __cora_age=$((__cora_age / 3600))h
        else
          __cora_age=$((__cora_age / 86400))d
        fi
        __cora_text="$__cora_text save $__cora_age"
      fi
      ;;
  esac
  case " $__cora_warn " in *' drill '*) case $__cora_text in *drill*) ;; *) __cora_text="$__cora_text drill" ;; esac ;; esac
  case " $__cora_warn " in *' space '*) __cora_text="$__cora_text disk" ;; esac
  __cora_text=${__cora_text# }
  [ -z "$__cora_text" ] || __cora_level=${__cora_level:-yellow}
}
