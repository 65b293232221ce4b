# Sets __cora_phrase; true where Cora understands every word of it, and it only adds: a save, a backup, the end of a session.
__cora_is_phrase() { # WORD...
  __cora_phrase=
  for __cora_word in "$@"; do
    case $__cora_word in *[[:space:]]*) __cora_word="\"$__cora_word\"" ;; esac
    __cora_phrase=${__cora_phrase:+$__cora_phrase }$__cora_word
  done
  # A mistyped command costs nothing: without one of these words nobody is asked.
  case " $__cora_phrase " in
    *[Ss]av*' '* | *[Bb]ack* | *[Ss]napshot* | *[Cc]heckpoint* | *[Pp]rotect* | *[Aa]rchiv* | *[Kk]eep* | *[Mm]ark*) ;;
    *) return 1 ;;
  esac
  __cora_answer=$("$__cora_program" say --explain --json -- "$__cora_phrase" 2>/dev/null </dev/null) || return 1
  case $__cora_answer in *'"needsConfirmation":false'*) ;; *) return 1 ;; esac
  # "save this and lock notes.md" is more than a save. In a string every quote has a backslash before it.
  case $__cora_answer in *'"also":'*) return 1 ;; esac
  case $__cora_answer in *'"intent":"save"'* | *'"intent":"backup"'* | *'"intent":"end"'*) return 0 ;; esac
  return 1
}
