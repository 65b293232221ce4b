#!/bin/sh
# The save without an engine: where Cora itself cannot start (no Node, a broken install), one plain tar checkpoint in
# progress/ of the same vault. POSIX sh, coreutils, findutils, tar, gzip and flock; sqlite3 where it is there.
# The same lock, stage, single rename and ledger as the engine (docs/format.md, "A checkpoint"): killed at any moment it
# leaves nothing visible or a whole checkpoint. The whole tree at most once in 24 hours, else critical files and databases.
# bin/cora enters it; run by hand it tries bin/cora first. One file of more than 300 lines: it must work alone.
#
# Names are bytes (LC_ALL=C) and never pass through a line: lists are NUL-separated, and find hands names to a second
# run of this script as arguments (CORA_FALLBACK_PART says what to do with them).

set -u -f
unset -v TAR_OPTIONS GZIP CDPATH POSIXLY_CORRECT ENV BASH_ENV TAPE GREP_OPTIONS
[ -n "${PATH:-}" ] || PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
umask 077

NL='
'
TAB=$(printf '\t')
CR=$(printf '\rx')
CR=${CR%x}
# The engine's defaults (src/base/config.ts); a test compares them.
CRITICAL='AI_WORK_LOG.md AI_DISCUSSION_SPACE.md BOOTUP.md MVP_REQUIREMENTS.md CLAUDE.md AGENTS.md .env*'
EXCLUDED='node_modules venv .venv __pycache__'
ARCHIVE=checkpoint.tar.gz
DAY=86400
LOCK_WAIT=30
DATABASE_TIMEOUT=30

TOOLS='base64 cat chmod chown comm cp cut date env find flock grep gzip head id iconv join mkdir mktemp mv od readlink rm sed sha256sum sort'
TOOLS="$TOOLS sqlite3 stat sync tail tar timeout touch tr truncate uname wc xargs"
# A busybox shell takes its own small programs before those of PATH: functions of the same name win over them.
case $(command -v sort) in
  /*) ;;
  *)
    for tool in $TOOLS; do
      IFS=:
      for place in $PATH; do
        case $place in [!/]* | *\'*) continue ;; esac
        [ -x "$place/$tool" ] || continue
        eval "$tool() { '$place/$tool' \"\$@\"; }"
        break
      done
      unset IFS
    done
    ;;
esac

say() { printf '%s\n' "$*" >&2; }

# ---- JSON ----------------------------------------------------------------------------------------------------

is_text() { [ "$1" = "$(printf '%s' "$1" | tr -d '\200-\377')" ] || printf '%s' "$1" | iconv -f UTF-8 -t UTF-8 >/dev/null 2>&1; }

# Sets json to the text as a JSON string. What is not UTF-8 becomes `?`, and text_base64 has it exactly.
json_string() { # TEXT
  json=$1 text_base64=
  case $json in *[!\ -~]*)
    if ! is_text "$json"; then
      text_base64=$(printf '%s' "$json" | base64 | tr -d '\n')
      json=$(printf '%sx' "$json" | tr '\200-\377' '?')
      json=${json%x}
    fi
    json=$(printf '%sx' "$json" | tr '\001-\010\013\014\016-\037\177' '?')
    json=${json%x}
    ;;
  esac
  case $json in *[\\\"]* | *"$TAB"* | *"$NL"* | *"$CR"*)
    left=$json json=
    while [ -n "$left" ]; do
      plain=${left%%[\\\""$TAB$NL$CR"]*}
      json=$json$plain
      left=${left#"$plain"}
      case $left in
        '') ;;
        \\*) json="$json\\\\" ;;
        \"*) json="$json\\\"" ;;
        "$TAB"*) json="$json\\t" ;;
        "$NL"*) json="$json\\n" ;;
        *) json="$json\\r" ;;
      esac
      left=${left#?}
    done
    ;;
  esac
  json="\"$json\""
}

json_or_null() { if [ -n "$1" ]; then json_string "$1"; else json=null; fi; }

# Sets fields to `"path":"...",` and, where it is not UTF-8, `"path_base64":"...",`.
path_fields() { # PATH
  json_string "$1"
  fields="\"path\":$json,"
  [ -z "$text_base64" ] || fields="$fields\"path_base64\":\"$text_base64\","
}

# The text of a string in a JSON file that Cora wrote (one key a line, or all in one line); sets value.
read_string() { # FILE KEY
  value=$(sed -n 's/.*"'"$2"'": *"\(\([^"\\]\|\\.\)*\)".*/\1/p' "$1" | head -n 1)
  case $value in *\\*) value=$(printf '%s' "$value" | sed 's/\\\(["\\/]\)/\1/g') ;; esac
}

# ---- a batch of names, handed over by find -------------------------------------------------------------------

# A list that lacks a line would be a lie: the run ends, whichever process meets the full disk.
no_room() {
  kill -USR1 "$CORA_FALLBACK_PID"
  exit 1
}

problem() { # CODE SEVERITY PATH MESSAGE; appends to problems, one object a line
  path_fields "$3"
  [ -n "$3" ] || fields=
  where=$fields
  json_string "$4"
  printf '{"code":"%s",%s"message":%s,"severity":"%s"}\n' "$1" "$where" "$json" "$2" >>"$work/problems" || no_room
}

same_state() { stat -c '%s %Y %y %z %i' -- "$1" 2>/dev/null; }

copy_idle() { # PATH TARGET; true where nobody had it open: then the file alone is the database
  before=$(same_state "$1")
  cp -- "$1" "$2" 2>/dev/null || return 1
  [ ! -e "$1-wal" ] && [ ! -e "$1-journal" ] && [ "$before" = "$(same_state "$1")" ]
}

# A copy of a database through SQLite, inside one read transaction so that writers cannot restart it.
copy_online() { # PATH TARGET
  command -v sqlite3 >/dev/null || return 1
  rm -f -- "$work/copy" "$work/copy-journal"
  (cd -- "$work" && timeout 600 sqlite3 -batch -bail -readonly "$root/${1#./}" ".timeout ${DATABASE_TIMEOUT}000" BEGIN \
    'SELECT 1 FROM sqlite_master LIMIT 1' '.backup copy' >/dev/null 2>&1 && [ -s copy ]) || return 1
  timeout 60 sqlite3 -batch "$work/copy" 'PRAGMA journal_mode=DELETE' >/dev/null 2>&1
  rm -f -- "$work/copy-wal" "$work/copy-shm"
  mv -f -- "$work/copy" "$2"
}

check_database() { # COPY; sets check and result
  check=none result='not checked: the program sqlite3 is not there'
  command -v sqlite3 >/dev/null || return 0
  check=quick_check
  result=$(timeout 600 sqlite3 -batch -readonly "$1" 'PRAGMA quick_check(1)' 2>&1 | head -n 1)
  [ "$result" = ok ]
}

take_database() { # PATH, which begins with ./
  relative=${1#./}
  target=$work/db/$relative
  mkdir -p -- "${target%/*}" || no_room
  printf '%s\0%s-wal\0%s-shm\0%s-journal\0' "$1" "$1" "$1" "$1" >>"$work/replaced" || no_room
  stored=copy
  mode=unknown
  case $(od -An -v -tx1 -j 18 -N 1 "$1" 2>/dev/null) in *02) mode=wal ;; *01) mode=delete ;; esac
  if [ ! -e "$1-wal" ] && [ ! -e "$1-journal" ] && { copy_idle "$1" "$target" || copy_idle "$1" "$target"; }; then
    [ "$mode" != wal ] || ! command -v sqlite3 >/dev/null || sqlite3 -batch "$target" 'PRAGMA journal_mode=DELETE' >/dev/null 2>&1
    rm -f -- "$target-wal" "$target-shm"
  elif ! copy_online "$1" "$target"; then
    stored=raw
  fi
  if [ "$stored" = copy ] && ! check_database "$target" && [ "$check" = quick_check ]; then
    stored=raw
    problem db_corrupt error "$relative" "The copy fails its check ($result); its bytes are stored as they are"
  elif [ "$stored" = raw ]; then
    problem db_raw error "$relative" 'No consistent copy could be made without the engine; its bytes and those of its -wal are stored as they are'
  fi
  names=$1
  if [ "$stored" = raw ]; then
    check=none result='raw bytes: not a consistent copy'
    rm -f -- "$target"
    cp -- "$1" "$target" 2>/dev/null || {
      problem unreadable error "$relative" 'The database cannot be read; it is not in this checkpoint'
      return
    }
    for one in wal shm journal; do
      [ ! -e "$1-$one" ] || ! cp -p -- "$1-$one" "$target-$one" 2>/dev/null || printf '%s-%s\0' "$1" "$one" >>"$work/databases" || no_room
    done
  fi
  [ "$(id -u)" -ne 0 ] || chown "$(stat -c %u:%g -- "$1")" "$target"
  chmod "$(stat -c %a -- "$1")" "$target"
  touch -r "$1" -- "$target"
  printf '%s\0' "$names" >>"$work/databases" || no_room
  json_string "$relative"
  printf '%s\n' "$json" >>"$work/report_critical" || no_room
  printf '%s %s\n' "$json" "$(stat -c %s -- "$target")" >>"$work/report_critical_sizes" || no_room
  path_fields "$relative"
  where=$fields
  json_string "$result"
  printf '{%s"stored":"%s","journal_mode":"%s","page_size":0,"user_version":0,"application_id":0,"schema_version":0,' "$where" "$stored" "$mode" >>"$work/report_databases" || no_room
  printf '"check":"%s","check_result":%s,"rows":0,"tables":{},"size":%s}\n' "$check" "$json" "$(stat -c %s -- "$target")" >>"$work/report_databases" || no_room
}

SQLITE_HEADER=' 53 51 4c 69 74 65 20 66 6f 72 6d 61 74 20 33 00'

find_databases() { # PATH...; each of 512 bytes and more, so that each gives one line of 16 bytes
  if heads=$(head -q -c 16 -- "$@" 2>/dev/null | od -An -v -tx1) && [ "$(printf '%s\n' "$heads" | wc -l)" -eq $# ]; then
    IFS=$NL
    for line in $(printf '%s\n' "$heads" | grep -n "^$SQLITE_HEADER" | cut -d : -f 1); do
      unset IFS
      eval "found=\${$line}"
      take_database "$found"
    done
    unset IFS
    return
  fi
  # One of them went away or cannot be read: one at a time.
  for one in "$@"; do
    found=$one
    [ "$(head -c 16 -- "$found" 2>/dev/null | od -An -v -tx1)" != "$SQLITE_HEADER" ] || take_database "$found"
  done
}

case ${CORA_FALLBACK_PART:-} in
  databases)
    work=$CORA_FALLBACK_WORK root=$CORA_FALLBACK_ROOT
    find_databases "$@"
    exit 0
    ;;
  critical)
    work=$CORA_FALLBACK_WORK
    for one in "$@"; do
      json_string "${one#./}"
      printf '%s\n' "$json" >>"$work/report_critical" || no_room
      printf '%s %s\n' "$json" "$(stat -c %s -- "$one")" >>"$work/report_critical_sizes" || no_room
      printf '%s\0' "$one" >>"$work/critical" || no_room
    done
    exit 0
    ;;
esac

# ---- how it ends ---------------------------------------------------------------------------------------------

started=$(date +%s)
work='' building='' root='' vault='' id='' json_wanted='' quiet='' trigger=manual note='' label='' if_older=''
case $0 in */*) self=$0 ;; *) self=./$0 ;; esac
self=$(readlink -f -- "$self") || { say "cora: cannot find $0"; exit 70; }
home_of_cora=${self%/scripts/save.sh}
REPAIR="repair Cora: run \`npm ci\` in $home_of_cora"
# An installed release (scripts/install.sh) has nothing that npm could repair.
[ ! -L "${home_of_cora%/*}/current" ] || REPAIR='install Cora again: scripts/install.sh in a clone'

cleanup() {
  trap - EXIT
  trap '' HUP INT TERM
  [ -z "$work" ] || rm -rf -- "${work%/work}" "${work%/work}.lock"
  [ -z "$building" ] || rm -rf -- "$building"
}
trap cleanup EXIT
trap 'finish 130 interrupted "Interrupted: nothing half made is listed"' HUP INT TERM
trap 'finish 1 no_space "No space left in $vault" "free space there (df -h, df -i), then run the command again"' USR1
export CORA_FALLBACK_PID=$$

quoted() { # TEXT; for the log: sets json to a string of one line
  json_string "$(printf '%s' "$1" | tr '\n' ' ')"
}

# One line in the run log, the first place that can be written.
log_run() { # EXIT MESSAGE
  level=info
  case $1 in 0 | 75) ;; 3) level=warn ;; *) level=error ;; esac
  line="$(date -u +%Y-%m-%dT%H:%M:%SZ) level=$level command=\"save\""
  quoted "$trigger" && line="$line trigger=$json"
  [ -z "$root" ] || { quoted "$root" && line="$line project=$json"; }
  [ -z "$vault" ] || { quoted "$vault" && line="$line vault=$json"; }
  [ -z "$id" ] || line="$line id=\"$id\""
  quoted "$2" && line="$line message=$json exit=$1 seconds=$(($(date +%s) - started)).0"
  if [ -n "${CORA_LOG+set}" ]; then
    case $CORA_LOG in /*) set -- "$CORA_LOG" ;; *) return 0 ;; esac
  else
    set -- "${state:+$state/cora-backup.log}"
    [ "$(id -u)" -ne 0 ] || set -- /var/log/cora-backup.log "$@"
  fi
  for one in "$@"; do
    [ -n "$one" ] || continue
    mkdir -p -- "${one%/*}" 2>/dev/null
    { printf '%s\n' "$line" >>"$one"; } 2>/dev/null && return 0
  done
  return 0
}

finish() { # EXIT CODE SENTENCE [HINT]; the end without a checkpoint
  say "cora: $3${4:+; $4}${CORA_FALLBACK_REASON:+ (without the engine: $CORA_FALLBACK_REASON; $REPAIR)}"
  log_run "$1" "Without the engine: $3"
  if [ -n "$json_wanted" ]; then
    message=$3 code=$2 exit=$1
    json_or_null "${4:-}"
    hint=$json
    json_string "$message"
    printf '{"schema":1,"command":"save","ok":false,"error":{"code":"%s","message":%s,"hint":%s,"exit_code":%s,"details":{}},"problems":[]}\n' "$code" "$json" "$hint" "$exit"
  fi
  exit "$1"
}

usage() {
  cat <<END
Usage: cora save [-m NOTE]    without the engine: one plain tar checkpoint in the vault's progress/

Cora itself cannot start, so this is scripts/save.sh: the whole project at most once in 24 hours, else critical files
and databases. To get Cora back, $REPAIR

  -m, --message NOTE    a note       --vault DIR    the vault itself
  -l, --label LABEL     a label      --if-older TIME    only when the newest is older
  --trigger WORD   --json   -q, --quiet   --lock-wait TIME

Exit codes: 0 a checkpoint of the whole project; 1 failed; 2 usage; 3 a checkpoint that lacks something (critical files and
databases only, or a file that could not be read); 10 no vault; 11 locked; 75 young enough; 130 interrupted
END
}

seconds_of() { # TIME; sets seconds
  seconds=${1%%[!0-9]*}
  case $1 in
    '' | [!0-9]*) finish 2 usage "Not a duration: $1" 'write it as 60s, 5m, 36h or 2d' ;;
    *ms) seconds=$(((seconds + 999) / 1000)) ;;
    *s) ;;
    *m) seconds=$((seconds * 60)) ;;
    *h) seconds=$((seconds * 3600)) ;;
    *d) seconds=$((seconds * 86400)) ;;
    *) finish 2 usage "Not a duration: $1" 'write it as 60s, 5m, 36h or 2d' ;;
  esac
}

# ---- the command line ----------------------------------------------------------------------------------------

# Run by hand: the engine is better wherever it starts. Its own answer is the answer, unless it could not start.
if [ -z "${CORA_FALLBACK:-}" ]; then
  case "${1:-} " in 'save ') ;; *) set -- save "$@" ;; esac
  if [ -x "$home_of_cora/bin/cora" ]; then
    CORA_FALLBACK=1 "$home_of_cora/bin/cora" "$@"
    code=$?
    case $code in 70 | 126 | 127 | 132 | 134 | 135 | 136 | 139) ;; *) exit $code ;; esac
  fi
fi
export CORA_FALLBACK=1

# The engine's variables of the same names.
explicit=${CORA_VAULT:-} note=${CORA_MESSAGE:-} label=${CORA_LABEL:-} trigger=${CORA_TRIGGER:-manual} if_older=${CORA_IF_OLDER:-} lock_wait=${CORA_LOCK_WAIT:-}
case ${CORA_JSON:-} in '' | 0 | false) ;; *) json_wanted=1 ;; esac
while [ $# -gt 0 ]; do
  option=$1
  shift
  case $option in
    --*=*) value=${option#*=} option=${option%%=*} ;;
    -m?* | -l?*) value=${option#-?} option=${option%"$value"} ;;
    -m | -l | --message | --note | --description | --label | --if-older | --trigger | --vault | --lock-wait | --progress)
      [ $# -gt 0 ] || finish 2 usage "$option needs a value"
      value=$1
      shift
      ;;
  esac
  case $option in
    save | --) ;;
    -m | --message | --note | --description) note=$value ;;
    -l | --label) label=$value ;;
    --if-older) if_older=$value ;;
    --trigger) trigger=$value ;;
    --vault) explicit=$value ;;
    --lock-wait) lock_wait=$value ;;
    --json) json_wanted=1 ;;
    -q | --quiet) quiet=1 ;;
    -v* | --verbose | -y | --yes | --no-color | --progress) ;;
    -h | --help) usage && exit 0 ;;
    # A checkpoint is always made: what only the engine understands does not stop it.
    *) say "cora: without the engine $option is passed over" ;;
  esac
done
case $explicit in '' | /*) ;; *) explicit=$(pwd -P)/$explicit ;; esac
[ -z "$lock_wait" ] || { seconds_of "$lock_wait" && LOCK_WAIT=$seconds; }
if [ -n "$if_older" ]; then seconds_of "$if_older" && if_older=$seconds; fi

for tool in $TOOLS; do
  case $tool in iconv | sqlite3 | timeout) continue ;; esac
  command -v "$tool" >/dev/null || finish 1 tool_missing "The program $tool is missing" 'install it (apt-get install coreutils findutils tar gzip util-linux sed)'
done

case $(tar --version 2>/dev/null) in
  *'GNU tar'*) ;;
  *) finish 1 tool_missing 'This tar is not GNU tar: it cannot take any name and put copies in place of databases' 'apt-get install tar' ;;
esac

# ---- the project, and its vault, found as the engine finds them ------------------------------------------------

uid=$(id -u)
state=
case $uid,${XDG_STATE_HOME:-},${HOME:-} in
  0,*) state=/var/lib/cora ;;
  *,/*,*) state=$XDG_STATE_HOME/cora ;;
  *,*,/*) state=$HOME/.local/state/cora ;;
esac

root=$(pwd -P && echo x) || finish 2 project_refused 'The current directory does not exist any more' 'cd to the project'
root=${root%"${NL}x"}
here=$root
while :; do
  if [ -e "$root/cora.toml" ] || [ -e "$root/.git" ] || [ -L "$root/.git" ]; then break; fi
  if [ -z "$root" ]; then
    root=$here
    break
  fi
  root=${root%/*}
done
if [ -z "$root" ] || [ "$root" = / ] || [ "$root" = "${HOME:-}" ]; then
  refused=${root:-/} root=
  finish 2 project_refused "$refused is not taken for a project: it would save everything in it" 'cd to the directory of one project'
fi

# Plain `name = "..."` and `vault = "..."` lines before the first section; the rest of the configuration is the engine's.
setting() { # FILE KEY; sets value
  value=
  [ -f "$1" ] && [ -r "$1" ] || return 0
  value=$(sed -n '/^[[:space:]]*\[/q; s/^[[:space:]]*'"$2"'[[:space:]]*=[[:space:]]*"\([^"\\]*\)".*/\1/p' "$1" | head -n 1)
}

# As the engine makes it: each UTF-16 unit that is not plain becomes `_`.
plain_name() { # TEXT; sets name
  four=$(printf '[\360-\367]...') three=$(printf '[\340-\357]..') two=$(printf '[\300-\337].')
  name=$(printf '%s' "$1" | sed "s/$four/__/g; s/$three/_/g; s/$two/_/g; s/[^A-Za-z0-9._-]/_/g; s/^[.-]\\{1,\\}/_/" | cut -c 1-100)
  [ -n "$name" ] || name=project
}

setting "$root/cora.toml" name
plain_name "${value:-${root##*/}}"
setting "$root/cora.toml" vault
configured=$value
# A repository's file must not send root's writes elsewhere.
[ "$uid" -ne 0 ] || [ ! -e "$root/cora.toml" ] || [ "$(stat -c %u -- "$root/cora.toml")" = 0 ] || configured=
for file in "/etc/cora/$name.toml" "${HOME:-/nonexistent}/.config/cora/$name.toml"; do
  [ -f "$file" ] && [ -r "$file" ] || continue
  setting "$file" vault
  configured=${value:-$configured}
  setting "$file" name
  [ -z "$value" ] || plain_name "$value"
  break
done
case $configured in
  '~/'*)
    [ -n "${HOME:-}" ] || finish 2 config_invalid 'vault begins with ~/ and HOME is not set' 'write the whole path'
    configured=$HOME/${configured#'~/'}
    ;;
esac

json_string "$root"
root_json=$json root_base64=$text_base64

is_own() { # VAULT; true where VAULT.json names this project
  if [ -n "$root_base64" ]; then
    read_string "$1/VAULT.json" root_base64
    [ "$value" = "$root_base64" ]
  else
    grep -q -F -e "\"root\": $root_json" -e "\"root\":$root_json" "$1/VAULT.json"
  fi
}

memory='' expected=
if [ -n "$explicit" ]; then
  vault=$explicit
else
  remembered=
  if [ -n "$state" ]; then
    memory=$(printf '%s' "$root" | sha256sum | cut -c 1-32)
    memory=$state/projects/$memory.json
    if [ -r "$memory" ]; then
      read_string "$memory" vault && remembered=$value
      read_string "$memory" vault_id && expected=$value
    fi
  fi
  vault=${configured:-$remembered}
  [ "$vault" = "$remembered" ] || expected=
  if [ -z "$vault" ]; then
    [ -n "$state" ] || finish 2 usage 'No place for a vault is known: there is no home directory' 'name one with --vault DIR or CORA_VAULT'
    parent=$state
    [ "$uid" -ne 0 ] || parent=/var/backups
    vault=$parent/$name number=1
    while [ -e "$vault" ] && ! { [ -f "$vault/VAULT.json" ] && is_own "$vault"; }; do
      number=$((number + 1))
      vault=$parent/$name-$number
    done
  fi
fi
while :; do
  case $vault in ?*/) vault=${vault%/} ;; *) break ;; esac
done

refuse_inside() { # REAL PATH OF THE VAULT
  case $1/ in "$root"/*) finish 2 project_refused "The vault $1 lies inside the project $root" 'name a vault outside of it with --vault' ;; esac
  case $root/ in "$1"/*) finish 2 project_refused "The project $root lies inside the vault $1" 'name another vault with --vault' ;; esac
}

README='This is a Cora vault: the history of one project, readable without Cora.

  sh restore.sh                lists what is here
  sh restore.sh ID DIR         restores a backup, a save or a checkpoint into the new directory DIR

A directory YYYYMMDD-HHMMSS-... is a backup. By hand:
  cd YYYYMMDD-HHMMSS-...; sha256sum -c SHA256SUMS.txt; tar -xzf NAME-full.tar.gz -C DIR
Saves lie under progress/YYYY/MM/DD/ and need zstd. Do not change or delete files here by hand.'

create_vault() {
  refuse_inside "$(readlink -m -- "$vault" 2>/dev/null || printf '%s' "$vault")"
  mkdir -p -- "${vault%/*}" && mkdir -m 0700 -- "$vault" || finish 1 io "Cannot make the vault $vault" 'name another one with --vault'
  building=$vault
  for one in progress ledger .stage .cache; do mkdir -m 0700 -- "$vault/$one" || finish 1 io "Cannot write into $vault"; done
  printf '%s\n' "$README" >"$vault/README.txt" || finish 1 no_space "Cannot write into $vault"
  for one in "$home_of_cora/src/vault/restore.sh" "$home_of_cora/dist/restore.sh"; do
    [ -f "$one" ] || continue
    cp -- "$one" "$vault/restore.sh" && chmod 0700 "$vault/restore.sh"
  done
  base64_line=
  [ -z "$root_base64" ] || base64_line="  \"root_base64\": \"$root_base64\",$NL"
  new_id=$(cat /proc/sys/kernel/random/uuid)
  printf '{\n  "format": 1,\n  "vault_id": "%s",\n  "name": "%s",\n  "root": %s,\n%s  "created_at": "%s"\n}\n' \
    "$new_id" "$name" "$root_json" "$base64_line" "$(date -u +%Y-%m-%dT%H:%M:%S.000Z)" >"$vault/VAULT.json.new" &&
    sync && mv -- "$vault/VAULT.json.new" "$vault/VAULT.json" || finish 1 no_space "Cannot write into $vault"
  building=
}

if [ ! -e "$vault" ] && [ ! -L "$vault" ] && [ -z "$expected" ]; then
  create_vault
fi
if [ ! -f "$vault/VAULT.json" ]; then
  [ ! -e "$vault" ] || finish 10 vault_missing "$vault has no VAULT.json: it is not a vault, or its disk is not mounted" 'mount the disk, or name another vault with --vault'
  finish 10 vault_missing "There is no vault at $vault, where it was before" 'mount the disk, or name another vault with --vault'
fi
vault=$(readlink -f -- "$vault")
refuse_inside "$vault"
read_string "$vault/VAULT.json" vault_id
vault_id=$value
[ -n "$vault_id" ] || finish 10 vault_missing "$vault/VAULT.json is damaged" 'put the file back from another copy of the vault'
case $(sed -n 's/.*"format": *\([0-9]*\).*/\1/p' "$vault/VAULT.json" | head -n 1) in 1) ;; *) finish 1 vault_version "The vault $vault is of a newer format" "$REPAIR" ;; esac
if [ -n "$expected" ] && [ "$expected" != "$vault_id" ]; then
  finish 10 vault_foreign "The vault at $vault is not the one this project had before" 'mount the right disk, or name the vault with --vault to accept it'
fi
is_own "$vault" || finish 10 vault_foreign "The vault $vault belongs to another project than $root" 'name another vault with --vault'
if [ -n "$memory" ] && [ "$expected" != "$vault_id" ] && [ -z "$root_base64" ]; then
  json_string "$vault"
  # Read-only state directory: the next run looks in the default place again.
  { mkdir -p -- "$state/projects" && printf '{"root":%s,"vault":%s,"vault_id":"%s"}\n' "$root_json" "$json" "$vault_id" >"$memory.new" && mv -f -- "$memory.new" "$memory"; } 2>/dev/null
fi

# ---- lock and stage --------------------------------------------------------------------------------------------

# A redirection that fails would end the shell without a word: it is tried in a subshell first.
(: >>"$vault/.lock") 2>/dev/null || finish 1 read_only "The vault $vault cannot be written" 'look at its owner, and whether its disk is mounted read-only'
exec 9>>"$vault/.lock"
flock -w "$LOCK_WAIT" -x 9 || finish 11 locked "Another Cora is working in this vault ($(head -c 80 "$vault/.lock" | tr '\n' ' '))" 'wait until it ends, or give it more time with --lock-wait 5m'
printf 'pid %s\n' $$ >"$vault/.lock"

for one in .stage ledger progress; do
  [ -d "$vault/$one" ] || mkdir -m 0700 -- "$vault/$one" || finish 1 io "Cannot write into $vault"
done
# What a dead run left; a live one holds its lock.
set +f
for one in "$vault"/.stage/run-??????; do
  [ -d "$one" ] || continue
  if (exec 7>>"$one.lock" && flock -n -x 7) 2>/dev/null; then rm -rf -- "$one" "$one.lock"; fi
done
set -f
work=$(mktemp -d -- "$vault/.stage/run-XXXXXX") || finish 1 no_space "Cannot write into $vault/.stage" 'free space on the disk of the vault (df -h, df -i)'
(: >"$work.lock") || finish 1 no_space "Cannot write into $vault/.stage" 'free space on the disk of the vault (df -h, df -i)'
exec 8>"$work.lock" && flock -n -x 8
snapshot=$work/snapshot
work=$work/work
mkdir -- "$work" "$snapshot" || finish 1 no_space "Cannot write into $vault/.stage" 'free space on the disk of the vault (df -h, df -i)'
for one in problems replaced databases critical report_databases report_critical report_critical_sizes; do
  (: >"$work/$one") || finish 1 no_space "Cannot write into $vault/.stage" 'free space on the disk of the vault (df -h, df -i)'
done

# ---- the ledger ------------------------------------------------------------------------------------------------

chain=$vault/ledger/chain.log
NO_HASH=0000000000000000000000000000000000000000000000000000000000000000

# Sets sequence and previous of the last whole line; a tail that a crash cut is taken off.
read_head() {
  sequence=0 previous=$NO_HASH last_kind='' last_id=
  [ -s "$chain" ] || return 0
  if [ "$(tail -c 1 "$chain" | od -An -tx1)" != ' 0a' ]; then
    whole=$(head -n "$(wc -l <"$chain")" "$chain" | wc -c)
    truncate -s "$whole" -- "$chain" || finish 1 io "The ledger $chain cannot be written"
    [ "$whole" -gt 0 ] || return 0
  fi
  head_line=$(tail -n 1 "$chain")
  previous=$(printf '%s' "$head_line" | sha256sum)
  previous=${previous%% *}
  set -- $head_line
  [ $# -eq 7 ] || finish 21 damaged 'The ledger has a malformed last line' 'cora verify --all'
  sequence=$1 last_kind=$2 last_id=$3
}

append_line() { # KIND ID SUMS_FILE EXTRA
  hash=$(sha256sum <"$3") && printf '%s %s %s %s %s %s %s\n' $((sequence + 1)) "$1" "$2" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
    "$previous" "${hash%% *}" "$4" >>"$chain" && sync
}

directory_of() { # KIND ID; sets directory
  day=${2%%-*}
  month=${day%??}
  directory=$vault/progress/${month%??}/${month#????}/${day#??????}/${2#*-}
  [ "$1" != backup ] || directory=$vault/$2
}

read_head
# A run that died between its rename and its line: the line is written now, as the engine would.
if [ -f "$vault/.stage/intent" ]; then
  read -r kind intended <"$vault/.stage/intent"
  case $kind in save | backup | fallback) ;; *) kind= ;; esac
  case $intended in '' | *[!0-9a-z-]*) kind= ;; esac
  if [ -n "$kind" ] && [ "$kind $intended" != "$last_kind $last_id" ]; then
    directory_of "$kind" "$intended"
    if [ -f "$directory/SHA256SUMS.txt" ] && grep -q "\"previous\": *\"$previous\"" "$directory/REPORT.json" &&
      (cd -- "$directory" && sha256sum -c --quiet --strict SHA256SUMS.txt >/dev/null 2>&1); then
      scope=-
      [ "$kind" != fallback ] || { read_string "$directory/REPORT.json" scope && scope=$value; }
      append_line "$kind" "$intended" "$directory/SHA256SUMS.txt" "$scope"
      read_head
    fi
  fi
fi

# When the newest line of a kind was written, as YYYYMMDDHHMMSS; sets stamp, empty where there is none.
newest_line() { # PATTERN OF KIND AND MORE
  stamp=
  [ -s "$chain" ] || return 0
  stamp=$(grep -E "$1" "$chain" | tail -n 1 | cut -d ' ' -f 4 | tr -d 'TZ:-' | cut -c 1-14)
}

stamp_before() { date -u -d "@$((started - $1))" +%Y%m%d%H%M%S; }

if [ -n "$if_older" ]; then
  newest_line '^[0-9]+ (save|unchanged|fallback) '
  if [ -n "$stamp" ] && [ "$stamp" -ge "$(stamp_before "$if_older")" ] && [ "$stamp" -le "$(stamp_before 0)" ]; then
    id=$(grep -E '^[0-9]+ (save|unchanged|fallback) ' "$chain" | tail -n 1 | cut -d ' ' -f 3)
    log_run 75 'Without the engine: the newest save is young enough'
    directory_of save "$id"
    if [ -n "$json_wanted" ]; then
      json_string "$directory"
      printf '{"schema":1,"command":"save","ok":true,"result":{"outcome":"recent","changed":false,"snapshot_id":"%s","path":%s},"problems":[]}\n' "$id" "$json"
    elif [ -z "$quiet" ]; then
      printf 'The newest save is young enough: %s\n' "$id"
    fi
    exit 75
  fi
fi

newest_line '^[0-9]+ fallback .* tree$'
scope=tree why=
if [ -n "$stamp" ] && [ "$stamp" -gt "$(stamp_before $DAY)" ] && [ "$stamp" -le "$(stamp_before 0)" ]; then
  scope=critical why='a checkpoint of the whole project was made less than 24 hours ago'
fi

# ---- what is there ---------------------------------------------------------------------------------------------

cd -- "$root" || finish 1 io "Cannot enter $root"
commit=nogit
read_commit() { # the commit of HEAD from git's files: git itself may not be there, or refuse another owner's repository
  git=$root/.git
  if [ -f "$git" ]; then
    git=$(sed -n 's/^gitdir: //p' "$git" | head -n 1)
    case $git in /*) ;; *) git=$root/$git ;; esac
  fi
  [ -r "$git/HEAD" ] || return 0
  common=$git
  if [ -r "$git/commondir" ]; then
    common=$(head -n 1 "$git/commondir")
    case $common in /*) ;; *) common=$git/$common ;; esac
  fi
  ref=$(head -n 1 "$git/HEAD")
  case $ref in
    'ref: '*)
      ref=${ref#ref: }
      if [ -r "$common/$ref" ]; then sha=$(head -n 1 "$common/$ref")
      elif [ -r "$common/packed-refs" ]; then sha=$(sed -n "s|^\\([0-9a-f]*\\) $(printf '%s' "$ref" | sed 's/[].[*^$|\\]/\\&/g')\$|\\1|p" "$common/packed-refs" | head -n 1)
      else sha=; fi
      ;;
    *) sha=$ref ;;
  esac
  case $sha in
    *[!0-9a-f]* | '') ;;
    ???????*) commit=$(printf '%s' "$sha" | cut -c 1-7) ;;
  esac
}
read_commit

prune=
for one in $EXCLUDED; do prune="$prune -o -type d -name $one"; done
prune="( -name .git -o -name .cora-restore$prune ) -prune -o"

walk() { # EXPRESSION; unquoted lists of words, no globbing (set -f)
  find . -xdev $prune "$@" 2>>"$work/find_errors"
}

export CORA_FALLBACK_WORK="$work" CORA_FALLBACK_ROOT="$root"
walk -type f -size +511c -exec env CORA_FALLBACK_PART=databases sh "$self" {} +
sort -z "$work/databases" -o "$work/databases"

named=
for one in $CRITICAL; do named="$named -o -iname $one -o -ipath */$one/*"; done
walk -type f '(' ${named# -o } ')' -exec env CORA_FALLBACK_PART=critical sh "$self" {} +

take_list() { # tree or critical; leaves `list`, NUL-separated and sorted, without what the database copies stand for
  if [ "$1" = tree ]; then walk ! -type s -print0 >"$work/all"; else cat "$work/critical" >"$work/all"; fi
  tr '\0\n' '\n\0' <"$work/all" | sort >"$work/all_lines"
  tr '\0\n' '\n\0' <"$work/replaced" | sort >"$work/replaced_lines"
  comm -23 "$work/all_lines" "$work/replaced_lines" | tr '\0\n' '\n\0' >"$work/list"
}

# Sets files and size (bytes of regular files), copies of databases included.
measure() { # tree or critical
  take_list "$1"
  set -- $({ xargs -0 stat -c '%s %F' -- <"$work/list" 2>/dev/null; cd "$work/db" 2>/dev/null && find . -type f -exec stat -c '%s %F' {} +; } |
    while read -r one type; do case $type in 'regular '*) echo "$one" ;; esac; done | { files=0 size=0; while read -r one; do files=$((files + 1)) size=$((size + one)); done; echo "$files $size"; })
  files=$1 size=$2
}

has_room() { # BYTES; less than twice as much free is too little
  set -- "$1" $(stat -f -c '%a %S' -- "$vault")
  [ $(($2 * $3)) -ge $(($1 * 2 + 1048576)) ]
}

# An empty project with a history is an unmounted disk, not a change (the engine refuses it as well).
if [ "$sequence" -gt 0 ] && [ "$(walk -print | head -n 2 | wc -l)" -le 1 ]; then
  finish 20 refused "The project $root is empty now and has a history" 'mount its disk or restore it; a new file in it makes it a project again'
fi

measure $scope
if [ $scope = tree ] && ! has_room "$size"; then
  scope=critical why="there is not twice its size ($size bytes) free on the disk of the vault"
  measure critical
fi
has_room "$size" || finish 1 no_space "Not enough space for a checkpoint: $size bytes, and less than twice as much is free at $vault" 'free space there, then run the command again'

# ---- the archive -----------------------------------------------------------------------------------------------

archive() {
  [ ! -s "$work/databases" ] || set -- -C "$work/db" --null -T "$work/databases"
  tar -cf - --format=gnu --numeric-owner --no-recursion --null -T "$work/list" "$@"
}
{
  archive 2>"$work/tar_errors"
  echo $? >"$work/tar_status"
} | gzip -1 >"$snapshot/$ARCHIVE" || finish 1 no_space "The archive could not be written into $vault" 'look at the free space (df -h, df -i)'

while read -r line; do
  line=${line#tar: }
  case $line in
    'Exiting with failure status'* | *'socket ignored'* | *'Removing leading'* | *'file is unchanged'*) ;;
    *': File removed before we read it' | *': Cannot stat: No such file or directory')
      path=${line%%: *}
      problem vanished warning "${path#./}" 'It went away while the checkpoint was made'
      ;;
    *': file changed as we read it')
      path=${line%%: *}
      [ -d "$path" ] || problem unstable error "${path#./}" 'It changed while it was read'
      ;;
    *': Cannot open: '* | *': Read error'* | *': File shrank by'*)
      path=${line%%: *}
      problem unreadable error "${path#./}" "It could not be read whole (${line#*: })"
      ;;
    *) problem archive error '' "$line" ;;
  esac
done <"$work/tar_errors"
[ "$(cat "$work/tar_status")" -le 1 ] || grep -q '"error"' "$work/problems" || problem archive error '' "tar ended with $(cat "$work/tar_status")"
if [ -s "$work/find_errors" ]; then
  while read -r line; do
    case $line in *'No such file or directory'*) continue ;; esac
    problem unreadable error '' "${line#find: }"
  done <<END
$(sort -u "$work/find_errors")
END
fi
gzip -t "$snapshot/$ARCHIVE" && tar -tvzf "$snapshot/$ARCHIVE" >"$work/contents" 2>/dev/null ||
  finish 1 validation_failed 'The archive cannot be read back' "check the vault's disk (smartctl, dmesg)"

# What is really in it; a listing of tar has one line an entry, whatever its name.
files=0 size=0
while read -r type _ bytes _; do
  case $type in
    -*) files=$((files + 1)) size=$((size + bytes)) ;;
    h*) files=$((files + 1)) ;;
  esac
done <"$work/contents"

# ---- what is gone since the last good snapshot (the engine's next save looks closer) ------------------------------

sizes_of() { # REPORT.json; a path as JSON, a TAB and its size, a line each critical file
  sed -n '/^  "critical_sizes": {/,/^  }/s/^ *\("\([^"\]\|\\.\)*"\): *\([0-9]*\),*$/\1'"$TAB"'\3/p' "$1" | sort -t "$TAB" -k 1,1
}

find_losses() {
  good=
  for line in $({ grep -E '^[0-9]+ (save|fallback) ' "$chain" || :; } 2>/dev/null | tail -n 50 | cut -d ' ' -f 3 | sed '1!G;h;$!d'); do
    directory_of save "$line"
    [ -r "$directory/REPORT.json" ] && ! grep -q '^  "status": "suspect"' "$directory/REPORT.json" || continue
    good=$line
    break
  done
  [ -n "$good" ] || return 0
  sizes_of "$directory/REPORT.json" >"$work/sizes_before" || no_room
  sed 's/ \([0-9]*\)$/'"$TAB"'\1/' "$work/report_critical_sizes" | sort -u -t "$TAB" -k 1,1 >"$work/sizes_now" || no_room
  join -t "$TAB" -a 1 -o 0,1.2,2.2 "$work/sizes_before" "$work/sizes_now" >"$work/sizes" || no_room
  while IFS=$TAB read -r path before now; do
    kind=
    if [ -z "$now" ]; then
      # Critical by the project's own configuration, which is not read here: is it there?
      one=${path#\"} one=${one%\"}
      case $one in *\\*) continue ;; esac
      [ ! -f "$one" ] || now=$(stat -c %s -- "$one")
    fi
    if [ -z "$now" ]; then kind=gone
    elif [ "$before" -gt 0 ] && [ "$now" -eq 0 ]; then kind=emptied
    elif [ $((now * 2)) -le "$before" ] && ! grep -q -F "\"path\":$path," "$work/report_databases"; then kind=shrunk; fi
    [ -n "$kind" ] || continue
    printf '{"path":%s,"kind":"%s","before":%s,"after":%s,"last_good":"%s"}\n' "$path" $kind "$before" "${now:-0}" "$good" >>"$work/losses" || no_room
    printf '{"code":"lost","path":%s,"message":"%s since %s: it had %s bytes and has %s","severity":"error"}\n' "$path" $kind "$good" "$before" "${now:-0}" >>"$work/problems" || no_room
  done <"$work/sizes"
}
: >"$work/losses" || no_room
[ ! -s "$chain" ] || find_losses

# ---- report, manifest, sums --------------------------------------------------------------------------------------

number=1
while :; do
  id=$(date -u -d "@$started" +%Y%m%d-%H%M%S)-$commit
  [ $number -eq 1 ] || id=$id-$number
  directory_of save "$id"
  [ -e "$directory" ] || [ -e "$vault/$id" ] || break
  number=$((number + 1))
done

joined() { # FILE; its lines with commas between
  sed '$!s/$/,/' "$1"
}

status=complete
[ $scope = tree ] || status=partial
! grep -q '"severity":"error"' "$work/problems" || status=partial
[ ! -s "$work/losses" ] || status=suspect
[ $scope = tree ] || problem fallback_scope error '' "Critical files and databases only: $why"
reason=${CORA_FALLBACK_REASON:-the engine could not start}
begun=$(date -u -d "@$started" +%Y-%m-%dT%H:%M:%S.000Z)
ended=$(date -u +%Y-%m-%dT%H:%M:%S.000Z)
packed=$(stat -c %s -- "$snapshot/$ARCHIVE")
json_or_null "$note" && note_json=$json
json_or_null "$label" && label_json=$json
json_string "$trigger" && trigger_json=$json
json_string "$reason" && reason_json=$json
json_string "$(uname -n)" && host_json=$json
git_json=null
[ $commit = nogit ] || git_json="{\"sha\": \"$sha\", \"branch\": null, \"detached\": false, \"remotes\": []}"
version=$(sed -n 's/^  "version": "\([^"]*\)".*/\1/p' "$home_of_cora/package.json" 2>/dev/null | head -n 1)

{
  cat <<END
{
  "schema": 1,
  "kind": "fallback",
  "type": "fallback",
  "scope": "$scope",
  "snapshot_id": "$id",
  "sequence": $((sequence + 1)),
  "previous": "$previous",
  "status": "$status",
  "vault_id": "$vault_id",
  "project": {"name": "$name", "root": $root_json},
  "host": {"hostname": $host_json, "os": "$(uname -s)", "kernel": "$(uname -r)", "arch": "$(uname -m)", "node": "none", "cora": "${version:-unknown}"},
  "timezone": "$(date +%Z)",
  "git": $git_json,
  "note": $note_json,
  "label": $label_json,
  "trigger": $trigger_json,
  "reason": $reason_json,
  "backup_start": "$begun",
  "backup_end": "$ended",
  "keyframe": null,
  "exported_from": null,
  "files_new": 0,
  "files_changed": 0,
  "files_unmodified": 0,
  "files_removed": 0,
  "dirs": 0,
  "links": 0,
  "specials": 0,
  "data_added": $size,
  "data_added_packed": $packed,
  "total_files_processed": $files,
  "total_bytes_processed": $size,
  "total_duration": $(($(date +%s) - started)),
  "databases": [
END
  joined "$work/report_databases"
  printf '  ],\n  "units": [],\n  "critical": [\n'
  joined "$work/report_critical"
  printf '  ],\n  "critical_sizes": {\n'
  sed 's/ \([0-9]*\)$/: \1/; $!s/$/,/' "$work/report_critical_sizes"
  printf '  },\n  "losses": [\n'
  joined "$work/losses"
  printf '  ],\n  "large_files": [],\n  "capped": [],\n  "not_covered": [],\n  "problems": [\n'
  joined "$work/problems"
  printf '  ]\n}\n'
} >"$snapshot/REPORT.json" || finish 1 no_space "Cannot write into $vault"

whole_words='the whole project'
[ $scope = tree ] || whole_words='critical files and databases only'
{
  printf 'Cora fallback checkpoint %s\n\nMade without the engine (%s): one plain tar archive, no deduplication.\n\n' "$id" "$reason"
  printf 'Project   %s (%s)\nTime      %s to %s\n' "$name" "$root" "$begun" "$ended"
  printf 'Scope     %s%s\nStatus    %s\nFiles     %s (%s bytes)\n' "$whole_words" "${why:+: $why}" "$([ $status = complete ] && echo complete || { [ $status = suspect ] && echo 'SUSPECT: something critical was lost, see below' || echo 'INCOMPLETE: see below'; })" "$files" "$size"
  printf '\nRestore: sh restore.sh %s DIR    (in the vault), or: mkdir DIR && tar -xzpf %s -C DIR\nCheck:   sha256sum -c SHA256SUMS.txt\n' "$id" "$ARCHIVE"
  if [ -s "$work/problems" ]; then
    printf '\nProblems\n'
    sed 's/^/  /' "$work/problems"
  fi
} >"$snapshot/MANIFEST.txt" &&
  (cd -- "$snapshot" && sha256sum MANIFEST.txt REPORT.json "$ARCHIVE" >"$work/sums" && mv -- "$work/sums" SHA256SUMS.txt) ||
  finish 1 no_space "Cannot write into $vault"
sync -f "$snapshot" 2>/dev/null || sync
(cd -- "$snapshot" && sha256sum -c --quiet --strict SHA256SUMS.txt >&2) || finish 1 validation_failed 'The disk does not hold what was written' "check the vault's disk (smartctl, dmesg)"

# ---- the commit: one rename, then the ledger's line -----------------------------------------------------------------

outcome=saved
newest_line '^[0-9]+ fallback '
if [ -n "$stamp" ] && [ -z "$note$label" ]; then
  last=$(grep -E '^[0-9]+ fallback ' "$chain" | tail -n 1 | cut -d ' ' -f 3)
  directory_of save "$last"
  new_sum=$(sha256sum <"$snapshot/$ARCHIVE")
  if [ -r "$directory/SHA256SUMS.txt" ] && grep -q "^${new_sum%% *}  $ARCHIVE\$" "$directory/SHA256SUMS.txt"; then
    outcome=unchanged id=$last
  fi
fi
if [ $outcome = saved ]; then
  directory_of save "$id"
  mkdir -p -m 0700 -- "${directory%/*}" || finish 1 no_space "Cannot write into $vault"
  printf 'fallback %s\n' "$id" >"$vault/.stage/intent.new" && mv -f -- "$vault/.stage/intent.new" "$vault/.stage/intent" && sync -f "$vault/.stage" 2>/dev/null
  # mv would move into a directory that is there; nobody else makes one under the lock.
  [ ! -e "$directory" ] && mv -- "$snapshot" "$directory" || finish 1 io "The checkpoint could not be put into $directory"
  sync -f "${directory%/*}" 2>/dev/null || sync
  append_line fallback "$id" "$directory/SHA256SUMS.txt" $scope || finish 1 no_space "The ledger $chain cannot be written" 'the checkpoint is there; the next run writes its line'
fi

code=0
[ $status = complete ] || code=3
summary="$whole_words, $files files, $size bytes"
[ $outcome = saved ] || summary="nothing changed since $id"
log_run $code "Saved without the engine ($reason): $summary"
if [ -n "$json_wanted" ]; then
  changed=false
  [ $outcome != saved ] || changed=true
  json_string "$directory"
  printf '{"schema":1,"command":"save","ok":true,"result":{"outcome":"%s","changed":%s,"snapshot_id":"%s","path":%s,"age_seconds":0,"kind":"fallback","scope":"%s","status":"%s","total_files_processed":%s,"total_bytes_processed":%s},"problems":[%s]}\n' \
    $outcome $changed "$id" "$json" $scope $status "$files" "$size" "$(joined "$work/problems" | tr -d '\n')"
elif [ -z "$quiet" ]; then
  printf 'Fallback checkpoint %s: %s\n' "$id" "$summary"
fi
say "cora: $reason: this is a plain tar checkpoint made without the engine ($whole_words${why:+, because $why}); $REPAIR"
[ $code -eq 0 ] || [ ! -s "$work/problems" ] || say "cora: what is missing: $directory/MANIFEST.txt"
exit $code
