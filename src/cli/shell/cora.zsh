# Cora for zsh: eval "$(cora shell zsh)" in ~/.zshrc. Completions, and the function cora_prompt; nothing else of
# the shell is changed. With --prompt the segment stands before PROMPT, with --phrases `save our progress` is understood.
__cora_program=@PROGRAM@
__cora_state=@STATE@
zmodload zsh/datetime 2>/dev/null
@PROMPT_SH@
# What there is to complete: kind, command and the rest, parted by tabs.
typeset -ga __cora_rows
__cora_rows=("${(@f)$(<<'CORA_ROWS'
@ROWS@
CORA_ROWS
)}")

# Prints the newest snapshots, newest first, whose id begins with PREFIX. A look at the vault's directories alone.
__cora_list_ids() { # PREFIX
  emulate -L zsh
  local -a found
  found=($__cora_vault/progress/<->/<->/<->/<->-*(N/) $__cora_vault/<->-<->-*(N/))
  found=(${found#$__cora_vault/progress/})
  found=(${found#$__cora_vault/})
  local -a ids
  local each
  for each in $found; do
    case $each in
      (*/*/*/*) each=${each%/*}-${each##*/} each=${each//\//} ;;
    esac
    # What has another form is no snapshot's directory, whoever made it.
    [[ $each == $1* && $each != *[^0-9A-Za-z_.-]* ]] && ids+=($each)
  done
  reply=(${(Ou)ids})
  reply=($reply[1,40])
}

# Sets reply: what an option takes; empty for a switch.
__cora_value_of() { # COMMAND OPTION
  local row
  local -a f
  reply=()
  for row in $__cora_rows; do
    f=("${(@ps:\t:)row}")
    [[ $f[1] == f && ( $f[2] == "${1:-\*}" || $f[2] == '*' ) && $f[3] == "$2" ]] || continue
    [[ $f[4] == - ]] || reply=("$f[4]")
    return 0
  done
  return 1
}

_cora() {
  local row piece command= group= vault= id= kind= i
  local -a f names reply kinds
  local -i args=0
  for ((i = 2; i < CURRENT; i++)); do
    piece=${(Q)words[i]}
    case $piece in
      (--vault) vault=${(Q)words[i+1]}; ((i++)); continue ;;
      (--vault=*) vault=${piece#*=}; continue ;;
      (--) break ;;
      (-*=*) continue ;;
      (-*) __cora_value_of "$command" "$piece" && (( $#reply )) && ((i++)); continue ;;
    esac
    if [[ -z $command && -z $group ]]; then
      for row in $__cora_rows; do
        f=("${(@ps:\t:)row}")
        [[ $f[2] == "$piece" ]] || continue
        [[ $f[1] == c ]] && command=$piece
        [[ $f[1] == g ]] && group=$piece
      done
      [[ -n $command$group ]] || return 1
    elif [[ -z $command ]]; then
      command="$group $piece"
    else
      ((args++))
      ((args == 1)) && id=$piece
    fi
  done

  reply=()
  piece=${(Q)words[CURRENT-1]}
  if ((CURRENT > 2)) && [[ $piece == -* && $piece != *=* ]]; then
    __cora_value_of "$command" "$piece"
  elif [[ $PREFIX == --*=* ]]; then
    __cora_value_of "$command" "${PREFIX%%=*}"
    compset -P '*='
  fi
  if (( $#reply )); then
    case $reply[1] in
      (path) _files ;;
      (choice:*) compadd -- ${=reply[1]#choice:} ;;
    esac
    return
  fi

  names=()
  if [[ $PREFIX == -* ]]; then
    for row in $__cora_rows; do
      f=("${(@ps:\t:)row}")
      [[ $f[1] == f && ( $f[2] == "$command" || $f[2] == '*' ) ]] && names+=("$f[3]:$f[5]")
    done
    _describe -o option names
    return
  fi
  if [[ -z $command ]]; then
    for row in $__cora_rows; do
      f=("${(@ps:\t:)row}")
      if [[ -n $group ]]; then
        [[ $f[1] == w && $f[2] == "$group" ]] && names+=("$f[3]:$f[4]")
      else
        [[ $f[1] == [cg] ]] && names+=("$f[2]:$f[3]")
      fi
    done
    _describe command names
    return
  fi

  for row in $__cora_rows; do
    f=("${(@ps:\t:)row}")
    [[ $f[1] == a && $f[2] == "$command" ]] && kinds=(${=f[3]})
  done
  (( $#kinds )) || return 1
  ((args < $#kinds)) && kind=$kinds[args+1] || kind=$kinds[-1]
  case $kind in
    (id | path)
      __cora_vault=${vault:-${CORA_VAULT-}}
      if [[ -z $__cora_vault ]]; then
        () { emulate -L sh; __cora_find_status "$PWD"; [ -n "$__cora_file" ] && __cora_read_status "$__cora_file" "$__cora_root" || __cora_vault=; }
      fi
      if [[ -n $__cora_vault ]]; then
        if [[ $kind == id && $PREFIX == *:* ]]; then
          id=${(Q)PREFIX%%:*}
          compset -P '*:'
          __cora_paths "$id" "$vault" && return
        elif [[ $kind == id ]]; then
          __cora_list_ids "$PREFIX"
          compadd -V snapshots -- latest $reply && return
        elif [[ -n $id && $id != *:* && $kinds[1] == id ]]; then
          __cora_paths "$id" "$vault" && return
        fi
      fi
      _files
      ;;
    (choice:*) compadd -- ${(s:,:)kind#choice:} ;;
    (command)
      for row in $__cora_rows; do
        f=("${(@ps:\t:)row}")
        [[ $f[1] == [cg] ]] && names+=("$f[2]:$f[3]")
      done
      _describe command names
      ;;
  esac
}

# Paths of a snapshot, one directory deep. Cora itself is asked: listings are compressed.
__cora_paths() { # ID VAULT
  local typed=${(Q)PREFIX} each
  local -a all dirs files
  all=("${(@f)$("$__cora_program" shell paths ${2:+--vault=$2} -- "$1" "$typed" 2>/dev/null)}")
  for each in $all; do
    case $each in
      (*/) dirs+=("$each") ;;
      (?*) files+=("$each") ;;
    esac
  done
  (($#dirs + $#files)) || return 1
  (($#dirs)) && compadd -S '' -- $dirs
  (($#files)) && compadd -- $files
  return 0
}

# compinit may come later than this line; nothing is loaded in its place.
if (( $+functions[compdef] )); then
  compdef _cora cora
elif [[ -o interactive ]]; then
  __cora_register() {
    (( $+functions[compdef] )) && compdef _cora cora
    precmd_functions=(${precmd_functions:#__cora_register})
    unfunction __cora_register
  }
  precmd_functions+=(__cora_register)
fi

# Prints what needs attention; nothing when all is well.
cora_prompt() {
  emulate -L sh
  __cora_segment "$PWD" "$EPOCHSECONDS"
  [ -z "$__cora_text" ] || printf '%s' "$__cora_text"
}
@IF_PROMPT@
# Before each prompt: the segment in front of PROMPT, or PROMPT as it was.
__cora_before=
__cora_look() {
  emulate -L sh
  __cora_segment "$PWD" "$EPOCHSECONDS"
}
__cora_show() {
  __cora_look
  PROMPT=${PROMPT#"$__cora_before"}
  __cora_before=
  if [[ -n $__cora_text ]]; then
    __cora_before="$__cora_text "
    [[ -z ${NO_COLOR-} && ${TERM-} != dumb ]] && __cora_before="%F{$__cora_level}$__cora_text%f "
    PROMPT=$__cora_before$PROMPT
  fi
}
if [[ -o interactive ]]; then
  precmd_functions=(${precmd_functions:#__cora_show} __cora_show)
fi
@END@
@IF_PHRASES@
@PHRASE_SH@
# A line that no program answers to is asked of `cora say`; only what saves or backs up runs.
if [[ -o interactive ]]; then
  if (( $+functions[command_not_found_handler] && ! $+functions[__cora_not_found] )); then
    functions[__cora_not_found]=$functions[command_not_found_handler]
  fi
  command_not_found_handler() {
    # Typed at the prompt: not in a function, a sourced file or a pipe.
    if [[ -o interactive && $#funcstack -eq 1 && -t 0 && -t 1 ]] && (($# >= 2)) && __cora_is_phrase "$@"; then
      "$__cora_program" say -- "$__cora_phrase"
      return
    fi
    if (( $+functions[__cora_not_found] )); then
      __cora_not_found "$@"
    else
      print -ru2 -- "zsh: command not found: $1"
      return 127
    fi
  }
fi
@END@
