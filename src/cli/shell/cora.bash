# Cora for bash: eval "$(cora shell bash)" in ~/.bashrc. Completions, and the function cora_prompt; nothing else of
# the shell is changed. With --prompt the segment stands before PS1, with --phrases `save our progress` is understood.
__cora_program=@PROGRAM@
__cora_state=@STATE@
@PROMPT_SH@
# What there is to complete: kind, command and the rest, parted by tabs.
mapfile -t __cora_rows <<'CORA_ROWS'
@ROWS@
CORA_ROWS

# Sets __cora_ids: the newest snapshots whose id begins with PREFIX. A look at the vault's directories alone, from
# the newest day on, until there are enough. Names with other characters are no snapshots: bash puts them into the line as they are.
__cora_list_ids() { # PREFIX
  local dir id months days saves m d n LC_ALL=C most=40
  local -a found=()
  months=("$__cora_vault"/progress/[0-9]*/[0-9]*)
  for ((m = ${#months[@]} - 1; m >= 0 && ${#found[@]} < most; m--)); do
    days=("${months[m]}"/[0-9]*)
    for ((d = ${#days[@]} - 1; d >= 0 && ${#found[@]} < most; d--)); do
      id=${days[d]#"$__cora_vault"/progress/}
      id=${id//\//}
      # Another day than what was typed; without any file the pattern itself is left.
      [[ $1 == "$id"* || $id == "$1"* ]] || continue
      saves=("${days[d]}"/[0-9]*-*)
      for ((n = ${#saves[@]} - 1; n >= 0; n--)); do
        dir=$id-${saves[n]##*/}
        [[ $dir == "$1"* && $dir != *[!0-9A-Za-z_.-]* ]] && found+=("$dir")
      done
    done
  done
  n=0
  saves=("$__cora_vault"/[0-9]*-[0-9]*-*)
  for ((d = ${#saves[@]} - 1; d >= 0 && n < most; d--)); do
    id=${saves[d]##*/}
    [[ $id == "$1"* && $id != *[!0-9A-Za-z_.-]* ]] && found+=("$id") && ((n++))
  done
  __cora_ids=("${found[@]:0:most}")
  [[ latest == "$1"* ]] && __cora_ids+=(latest)
  return 0
}

_cora() {
  local IFS=$' \t\n' rest=${COMP_LINE:0:COMP_POINT} piece raw cur prefix row i
  local -a words=() f=()
  COMPREPLY=()
  # bash parts words at ":" and "=" too; here they are one again.
  for ((i = 0; i <= COMP_CWORD; i++)); do
    piece=${COMP_WORDS[i]}
    if ((i == 0)) || [[ $rest == [[:blank:]]* ]]; then words+=("$piece"); else words[${#words[@]} - 1]+=$piece; fi
    rest=${rest#"${rest%%[![:blank:]]*}"}
    rest=${rest#"$piece"}
  done
  raw=${words[${#words[@]} - 1]}
  # What bash puts its answer in the place of; the part of the word before it is ours to leave out.
  prefix=${raw%"$2"}
  cur=${raw//\\/}
  cur=${cur#[\"\']}
  prefix=${prefix//\\/}
  prefix=${prefix#[\"\']}

  # The command, of one word or two, and where its arguments are.
  local command= group= vault= value= first=() args=0 id=
  for ((i = 1; i < ${#words[@]} - 1; i++)); do
    piece=${words[i]}
    case $piece in
      --vault) vault=${words[i + 1]-} && ((i++)) && continue ;;
      --vault=*) vault=${piece#*=} && continue ;;
      --) break ;;
      -*=* | --) continue ;;
      -*)
        __cora_value_of "$command" "$piece" && [[ -n $value ]] && ((i++))
        continue
        ;;
    esac
    if [[ -z $command && -z $group ]]; then
      __cora_has c "$piece" && command=$piece
      __cora_has g "$piece" && group=$piece
      [[ -n $command$group ]] || return 0
    elif [[ -n $group && -z $command ]]; then
      command="$group $piece"
    else
      ((args++))
      ((args == 1)) && id=$piece
    fi
  done

  # The value of an option.
  piece=${words[${#words[@]} - 2]}
  if ((${#words[@]} > 2)) && [[ $piece == -* && $piece != *=* ]]; then
    __cora_value_of "$command" "$piece"
  elif [[ $cur == --*=* ]]; then
    __cora_value_of "$command" "${cur%%=*}"
    piece=${cur%%=*}
    cur=${cur#*=}
    prefix=
  fi
  if [[ -n $value ]]; then
    case $value in
      path) ;;
      choice:*)
        IFS=' ' read -r -a f <<<"${value#choice:}"
        __cora_offer "$cur" '' "${f[@]}"
        ;;
      *) compopt +o default +o bashdefault 2>/dev/null ;;
    esac
    return 0
  fi

  if [[ $cur == -* ]]; then
    for row in "${__cora_rows[@]}"; do
      [[ $row == f$'\t'"${command:-*}"$'\t'* || $row == f$'\t*\t'* ]] || continue
      IFS=$'\t' read -r -a f <<<"$row"
      [[ ${f[2]} == "$cur"* ]] && COMPREPLY+=("${f[2]}")
    done
    return 0
  fi
  if [[ -z $command ]]; then
    for row in "${__cora_rows[@]}"; do
      if [[ -n $group ]]; then [[ $row == w$'\t'"$group"$'\t'* ]] || continue; else [[ $row == [cg]$'\t'* ]] || continue; fi
      IFS=$'\t' read -r -a f <<<"$row"
      [[ -n $group ]] && f[1]=${f[2]}
      [[ ${f[1]} == "$cur"* && " ${COMPREPLY[*]} " != *" ${f[1]} "* ]] && COMPREPLY+=("${f[1]}")
    done
    return 0
  fi

  # An argument.
  local kind=
  for row in "${__cora_rows[@]}"; do
    [[ $row == a$'\t'"$command"$'\t'* ]] || continue
    IFS=' ' read -r -a f <<<"${row##*$'\t'}"
    kind=${f[args < ${#f[@]} ? args : ${#f[@]} - 1]}
  done
  case $kind in
    id | path)
      if [[ -n $vault ]]; then
        __cora_vault=${vault//\\/}
      else
        __cora_find_status "$PWD"
        __cora_vault=${CORA_VAULT-}
        if [[ -z $__cora_vault ]]; then
          [[ -n $__cora_file ]] && __cora_read_status "$__cora_file" "$__cora_root" || return 0
        fi
      fi
      if [[ $kind == id && $cur == *:* ]]; then
        __cora_paths "${cur%%:*}" "${cur#*:}" "${cur%%:*}:"
      elif [[ $kind == id ]]; then
        __cora_list_ids "$cur"
        __cora_offer "$cur" "$prefix" "${__cora_ids[@]}"
      elif [[ -n $id && $id != *:* && ${f[0]} == id ]]; then
        __cora_paths "$id" "$cur" ''
      fi
      ;;
    choice:*)
      IFS=, read -r -a f <<<"${kind#choice:}"
      __cora_offer "$cur" '' "${f[@]}"
      ;;
    command)
      for row in "${__cora_rows[@]}"; do
        [[ $row == [cg]$'\t'* ]] || continue
        IFS=$'\t' read -r -a f <<<"$row"
        __cora_offer "$cur" '' "${f[1]}"
      done
      ;;
    '') compopt +o default +o bashdefault 2>/dev/null ;;
  esac
  return 0
}

# True where the table knows WORD as this kind of row.
__cora_has() { # KIND WORD
  local row
  for row in "${__cora_rows[@]}"; do [[ $row == "$1"$'\t'"$2"$'\t'* ]] && return 0; done
  return 1
}

# Sets value: what an option takes; empty for a switch.
__cora_value_of() { # COMMAND OPTION
  local row f
  value=
  for row in "${__cora_rows[@]}"; do
    [[ $row == f$'\t'"${1:-*}"$'\t'"$2"$'\t'* || $row == f$'\t*\t'"$2"$'\t'* ]] || continue
    IFS=$'\t' read -r -a f <<<"$row"
    [[ ${f[3]} == - ]] || value=${f[3]}
    return 0
  done
  return 1
}

# Adds words that begin with CUR, without the part that bash keeps.
__cora_offer() { # CUR PREFIX WORD...
  local cur=$1 prefix=$2 word
  shift 2
  for word; do [[ $word == "$cur"* ]] && COMPREPLY+=("${word#"$prefix"}"); done
  return 0
}

# Adds paths of a snapshot, one directory deep. Cora itself is asked: listings are compressed.
__cora_paths() { # ID PATH HEAD
  local path
  while IFS= read -r path; do COMPREPLY+=("${3:+$3}$path"); done < <("$__cora_program" shell paths ${vault:+--vault="$__cora_vault"} -- "$1" "$2" 2>/dev/null)
  ((${#COMPREPLY[@]} > 0)) || return 0
  if [[ -n $prefix ]]; then for path in "${!COMPREPLY[@]}"; do COMPREPLY[path]=${COMPREPLY[path]#"$prefix"}; done; fi
  compopt -o filenames 2>/dev/null
  if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} == */ ]]; then compopt -o nospace 2>/dev/null; fi
}

complete -o default -F _cora cora

# Prints what needs attention; nothing when all is well.
cora_prompt() {
  local __cora_now
  printf -v __cora_now '%(%s)T' -1
  __cora_segment "$PWD" "$__cora_now"
  [[ -z $__cora_text ]] || printf '%s' "$__cora_text"
}
@IF_PROMPT@
# Before each prompt: the segment in front of PS1, or PS1 as it was.
__cora_before=
__cora_show() {
  local status=$? now
  printf -v now '%(%s)T' -1
  __cora_segment "$PWD" "$now"
  PS1=${PS1#"$__cora_before"}
  __cora_before=
  if [[ -n $__cora_text ]]; then
    __cora_before="$__cora_text "
    if [[ -z ${NO_COLOR-} && ${TERM-} != dumb ]]; then
      if [[ $__cora_level == red ]]; then __cora_before='\[\e[31m\]'"$__cora_text"'\[\e[0m\] '; else __cora_before='\[\e[33m\]'"$__cora_text"'\[\e[0m\] '; fi
    fi
    PS1=$__cora_before$PS1
  fi
  return "$status"
}
if [[ $- == *i* ]]; then
  if [[ ${PROMPT_COMMAND@a} == *a* ]]; then
    [[ " ${PROMPT_COMMAND[*]} " == *' __cora_show '* ]] || PROMPT_COMMAND+=(__cora_show)
  elif [[ ${PROMPT_COMMAND-} != *__cora_show* ]]; then
    PROMPT_COMMAND=${PROMPT_COMMAND:+$PROMPT_COMMAND$'\n'}__cora_show
  fi
fi
@END@
@IF_PHRASES@
@PHRASE_SH@
# A line that no program answers to is asked of `cora say`; only what saves or backs up runs.
if [[ $- == *i* ]]; then
  if declare -F command_not_found_handle >/dev/null && ! declare -F __cora_not_found >/dev/null; then
    eval "__cora_not_found$(declare -f command_not_found_handle | { IFS= read -r _; printf ' ()\n'; cat; })"
  fi
  command_not_found_handle() {
    # Typed at the prompt: not in a function, a sourced file or a pipe.
    if [[ $- == *i* && ${#FUNCNAME[@]} -eq 1 && -t 0 && -t 1 ]] && (($# >= 2)) && __cora_is_phrase "$@"; then
      "$__cora_program" say -- "$__cora_phrase"
      return
    fi
    if declare -F __cora_not_found >/dev/null; then
      __cora_not_found "$@"
    else
      printf '%s: %s: command not found\n' "${0##*/}" "$1" >&2
      return 127
    fi
  }
fi
@END@
