#!/bin/sh
# Lists and restores the snapshots of the Cora vault it lies in, without Cora: POSIX sh, coreutils, tar and
# gzip, and zstd for saves (docs/format.md is the format). It is one file of more than 300 lines because it is
# copied into every vault. It never writes into the vault. Names are bytes throughout (LC_ALL=C), and no name is
# ever part of a command line that a program could read as an option.
#
# How a save comes back without a process for each file: the shell writes one tar stream (its own headers, the
# contents by `cat` in batches) and one tar reads it, which knows modes, owners, nanoseconds, holes and links.
# The order is directories (private) and files, hard links, symbolic links: so nothing is ever written through a
# symbolic link. A second tar then gives the directories their modes, owners and times, deepest first.
# A path of more than 4,095 bytes is beyond tar: it is named, the rest comes back, and the end is exit 1.

set -u -f
unset -v TAR_OPTIONS GZIP ZSTD_CLEVEL ZSTD_NBTHREADS CDPATH POSIXLY_CORRECT ENV BASH_ENV TAPE
[ -n "${PATH:-}" ] || PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
umask 077

TOOLS='cat chmod chown comm cut date gzip head id join mkdir mknod mktemp mv paste readlink rm rmdir sha256sum sort split'
TOOLS="$TOOLS tac tail tar touch tr wc yes"
# A busybox shell takes its own small programs before those of PATH: functions of the same name win over them.
case $(command -v sort) in
  /*) ;;
  *)
    for tool in $TOOLS zstd; do
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
for tool in $TOOLS; do
  command -v "$tool" >/dev/null && continue
  printf 'restore.sh: The program %s is missing\n' "$tool" >&2
  exit 1
done

NL='
'
TAB=$(printf '\tx')
TAB=${TAB%x}
CR=$(printf '\rx')
CR=${CR%x}
EMPTY_SHA256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
work=
made_target=
begun=
AGAIN='look at the free space (df -h, df -i), remove DIR and run this again'
tar_options=
force=
want_save=
damaged=

say() { printf '%s\n' "$*" >&2; }

fail() { # CODE SENTENCE [HINT]
  say "restore.sh: $2"
  [ -z "${3:-}" ] || say "  $3"
  exit "$1"
}

# Paths out of a listing keep their escapes (\n, \t, \\); what else a terminal could obey becomes `?`.
show() { tr '\001-\010\013-\037\177' '?' >&2; }

cleanup() {
  trap - EXIT
  trap '' HUP INT TERM
  if [ -n "$work" ]; then
    cd / && rm -rf -- "$work"
  fi
  [ -z "$made_target" ] || rmdir -- "$made_target" 2>/dev/null
}

interrupted() {
  [ -z "$begun" ] || say 'restore.sh: Interrupted: what DIR holds is not complete; remove it before you run this again'
  exit 130
}

usage() {
  cat <<'END'
Usage: restore.sh                      list the snapshots of this vault, oldest first
       restore.sh ID DIR [PATH...]     restore a snapshot, or only these paths of it, into the new directory DIR

ID is what the list shows, a unique beginning of it, or `latest`. DIR must not exist or be empty. PATH is
relative to the project, as in `src/main.c`. Where an id is both a backup and a save, the backup is taken.

  --save    take the save
  --force   go on where the snapshot is damaged; what cannot be restored is left out and named (exit 3)
  --help    this text

A save needs zstd, and for the time of the restore about twice its size in DIR's file system.
Restored by root, files get their owners back; restored by a user, they belong to that user.

Examples:
  sh restore.sh
  sh restore.sh latest /srv/restored
  sh restore.sh 20261121-0315 ./one-file src/main.c

Exit codes: 0 done; 1 failed; 2 wrong usage, unknown id; 3 done, but something is left out; 10 not a vault;
20 refused (DIR is not empty); 21 damage found, nothing was restored; 130 interrupted
END
}

# ---- what the vault holds ------------------------------------------------------------------------------------

# Sets vault to the directory of this script, through symbolic links too.
find_vault() {
  case $0 in
    /*) self=$0 ;;
    *) self=./$0 ;;
  esac
  self=$(readlink -f -- "$self" && echo x) || fail 10 "Cannot find the vault of $0"
  self=${self%"${NL}x"}
  vault=${self%/*}
  [ -f "$vault/VAULT.json" ] || fail 10 "$vault is not a vault: it has no VAULT.json" 'run the restore.sh that lies in the vault'
}

# Sets backups, saves and ids: lists of ids with a space before and after each. The order of ids is the
# ledger's; a snapshot that the ledger does not know comes last.
read_catalog() {
  backups=' ' saves=' ' fallbacks=' ' found=' ' ids=' '
  set +f
  for sums in "$vault"/[0-9]*-*/SHA256SUMS.txt "$vault"/progress/[0-9]*/[0-9]*/[0-9]*/*/SHA256SUMS.txt; do
    [ -f "$sums" ] || continue
    id=${sums#"$vault/"}
    id=${id%/SHA256SUMS.txt}
    case $id in
      progress/*)
        time=${id##*/}
        day=${id%/*}
        month=${day%/*}
        year=${month%/*}
        id=${year##*/}${month##*/}${day##*/}-$time
        case $id in *[!0-9a-z-]*) continue ;; esac
        if [ -f "${sums%/*}/checkpoint.tar.gz" ]; then fallbacks="$fallbacks$id "; else saves="$saves$id "; fi
        ;;
      *)
        case $id in *[!0-9a-z-]*) continue ;; esac
        backups="$backups$id "
        ;;
    esac
    case $found in
      *" $id "*) ;;
      *) found="$found$id " ;;
    esac
  done
  set -f
  IFS=$NL
  if [ -r "$vault/ledger/chain.log" ]; then
    for line in $(cut -d ' ' -f 2,3 <"$vault/ledger/chain.log"); do
      id=${line#* }
      case $line in 'save '* | 'backup '* | 'fallback '*) ;; *) continue ;; esac
      case $ids in *" $id "*) continue ;; esac
      case $found in *" $id "*) ids="$ids$id " ;; esac
    done
  fi
  for id in $(printf '%s\n' "$found" | tr ' ' '\n' | sort); do
    case $ids in
      *" $id "*) ;;
      *) ids="$ids$id " ;;
    esac
  done
  unset IFS
}

save_directory() { # ID; sets directory
  day=${1%%-*}
  month=${day%??}
  directory=$vault/progress/${month%??}/${month#????}/${day#??????}/${1#*-}
}

# One line of REPORT.json a number or name that we look for, whatever the JSON's spacing.
report_lines() { # DIRECTORY
  [ ! -r "$1/REPORT.json" ] || tr ',{}' '\n\n\n' <"$1/REPORT.json"
}

list_snapshots() {
  if [ "$ids" = ' ' ]; then
    echo 'This vault holds no snapshot yet'
    return
  fi
  printf '%-28s %-12s %-24s %10s %16s\n' ID KIND TIME FILES BYTES
  for id in $ids; do
    kind=save
    save_directory "$id"
    case $fallbacks in *" $id "*) kind=fallback ;; esac
    case $backups in
      *" $id "*)
        directory=$vault/$id
        case $saves in *" $id "*) kind=backup+save ;; *) kind=backup ;; esac
        ;;
    esac
    day=${id%%-*}
    time=${id#*-}
    time=${time%%-*}
    month=${day#????}
    hour=${time#??}
    stamp="${day%????}-${month%??}-${month#??} ${time%????}:${hour%??}:${time#????} UTC"
    files=- size=- note=
    IFS=$NL
    for line in $(report_lines "$directory"); do
      value=${line##*:}
      value=${value# }
      case $line in
        *'"total_files_processed":'*) files=$value ;;
        *'"total_bytes_processed":'*) size=$value ;;
        *'"status":'*'"partial"'*) note='  incomplete: see MANIFEST.txt' ;;
        *'"status":'*'"suspect"'*) note='  suspect: something was lost, see MANIFEST.txt' ;;
      esac
    done
    unset IFS
    printf '%-28s %-12s %-24s %10s %16s%s\n' "$id" "$kind" "$stamp" "$files" "$size" "$note"
  done
}

# A fallback checkpoint of critical files alone does not stand for the project.
is_whole() { # ID
  save_directory "$1"
  case $(cat -- "$directory/REPORT.json" 2>/dev/null) in *'"scope": "tree"'*) ;; *) return 1 ;; esac
}

# Sets id, kind and directory from what was typed.
choose_snapshot() { # ID
  wanted=$1 matches=
  if [ "$ids" = ' ' ]; then
    fail 2 'This vault holds no snapshot yet'
  fi
  if [ "$wanted" = latest ]; then
    # Snapshots dated in the future come from a clock that was wrong: taken only where there is no other.
    now=$(date -u +%Y%m%d%H%M%S)
    newest=
    for id in $ids; do
      if [ -n "$want_save" ]; then
        case $saves in *" $id "*) ;; *) continue ;; esac
      fi
      case $fallbacks in *" $id "*) is_whole "$id" || continue ;; esac
      newest=$id
      time=${id#*-}
      [ "${id%%-*}${time%%-*}" -gt "$now" ] || matches=$id
    done
    [ -n "$matches" ] || matches=$newest
  else
    case $ids in
      *" $wanted "*) matches=$wanted ;;
      *)
        for id in $ids; do
          case $id in "$wanted"*) matches="$matches $id" ;; esac
        done
        matches=${matches# }
        ;;
    esac
  fi
  case $matches in
    '')
      say "restore.sh: No snapshot $wanted; this vault holds:"
      for id in $ids; do say "  $id"; done
      exit 2
      ;;
    *' '*)
      say "restore.sh: More than one snapshot begins with $wanted:"
      for id in $matches; do say "  $id"; done
      exit 2
      ;;
  esac
  id=$matches kind=save
  save_directory "$id"
  case $fallbacks in *" $id "*) kind=fallback ;; esac
  case $backups in
    *" $id "*)
      if [ -z "$want_save" ]; then
        kind=backup
        directory=$vault/$id
      fi
      ;;
  esac
  if [ "$kind" = save ]; then
    case $saves in *" $id "*) ;; *) fail 2 "There is no save $id, only a backup" 'leave out --save' ;; esac
  fi
}

# ---- where it goes -------------------------------------------------------------------------------------------

# Makes DIR, or sees that it is empty; sets target to its real path and goes there.
open_target() { # DIR
  case $1 in
    '') fail 2 'The directory to restore into has no name' ;;
    /*) target=$1 ;;
    *) target=./$1 ;;
  esac
  if [ -d "$target" ]; then
    set +f
    for name in "$target"/* "$target"/.[!.]* "$target"/..?*; do
      if [ -e "$name" ] || [ -L "$name" ]; then
        fail 20 "$1 is not empty" 'name a directory that does not exist yet'
      fi
    done
    set -f
  elif [ -e "$target" ] || [ -L "$target" ]; then
    fail 20 "$1 exists and is not a directory" 'name a directory that does not exist yet'
  else
    mkdir -p -- "$target" || fail 1 "Cannot make $1"
    made_target=$target
    trap cleanup EXIT
  fi
  target=$(cd -P -- "$target" && pwd -P && echo x) || fail 1 "Cannot enter $1"
  target=${target%"${NL}x"}
  [ -z "$made_target" ] || made_target=$target
  case $target/ in
    "$vault"/*) fail 20 "$1 lies inside the vault" 'name a directory outside' ;;
  esac
  cd -- "$target" || fail 1 "Cannot enter $1"
  trap cleanup EXIT
  trap interrupted HUP INT TERM
}

# One PATH of the command line as a listing writes it; sets field.
escape_path() { # PATH
  field=$1
  while :; do
    case $field in
      ./*) field=${field#./} ;;
      */) field=${field%/} ;;
      *) break ;;
    esac
  done
  case /$field/ in
    // | *//* | */../*) fail 2 "Not a path inside the project: $1" 'paths are relative to the project' ;;
  esac
  case $field in
    *\\* | *"$TAB"* | *"$NL"* | *"$CR"*) ;;
    *) return ;;
  esac
  rest=$field field=
  while [ -n "$rest" ]; do
    byte=${rest%"${rest#?}"}
    rest=${rest#?}
    case $byte in
      \\) field="$field\\\\" ;;
      "$TAB") field="$field\\t" ;;
      "$NL") field="$field\\n" ;;
      "$CR") field="$field\\r" ;;
      *) field=$field$byte ;;
    esac
  done
}

# ---- checks before anything is restored ----------------------------------------------------------------------

check_sums() { # DIRECTORY [ONE FILE]
  if [ $# -eq 1 ]; then
    (cd -- "$1" && sha256sum -c --quiet --strict SHA256SUMS.txt >&2) && return
  else
    IFS=$NL
    line=
    for line in $(cat -- "$1/SHA256SUMS.txt"); do
      case $line in *"  $2") break ;; esac
    done
    unset IFS
    (cd -- "$1" && printf '%s\n' "$line" | sha256sum -c --quiet --strict - >&2) && return
  fi
  say "restore.sh: Damage in $1 (named above)"
  damaged=1
  [ -n "$force" ] || fail 21 'Nothing was restored' 'another snapshot may be whole; --force restores what is left of this one'
}

# What the restored tree is not quite, out of REPORT.json: capped logs, databases that ran in WAL mode.
say_differences() {
  in_capped= capped= wal=0
  IFS=$NL
  for line in $(report_lines "$directory"); do
    case $line in
      *'"capped":'*) in_capped=1 ;;
      *'"not_covered":'*) in_capped= ;;
      *'"path":'*)
        if [ -n "$in_capped" ]; then
          capped=1
          say "  ${line#*\"path\":}.tail"
        fi
        ;;
      *'"journal_mode":'*'"wal"'*) wal=$((wal + 1)) ;;
    esac
  done
  unset IFS
  if [ -n "$capped" ] && [ "$kind" = backup ]; then
    say 'These logs are over the size limit of a backup: only their newest part is here, as .tail files'
    case $saves in *" $id "*) say "  the save holds them whole: restore.sh --save $id DIR" ;; esac
  fi
  [ "$wal" -eq 0 ] || say "$wal SQLite database(s) ran in WAL mode and are restored in journal mode DELETE"
}

# ---- a backup, or a fallback checkpoint ----------------------------------------------------------------------

restore_backup() { # [PATH...]
  check_sums "$directory"
  archive=
  set +f
  for archive in "$directory"/*-full.tar.gz "$directory/checkpoint.tar.gz"; do [ -f "$archive" ] && break; done
  set -f
  [ -f "$archive" ] || fail 21 "The backup has no archive: $directory"
  count=$#
  while [ "$count" -gt 0 ]; do
    path=$1
    escape_path "$path"
    while :; do
      case $path in
        ./*) path=${path#./} ;;
        */) path=${path%/} ;;
        *) break ;;
      esac
    done
    shift
    set -- "$@" "./$path"
    count=$((count - 1))
  done
  begun=1
  if ! tar -xzpf - --numeric-owner $tar_options -- "$@" <"$archive"; then
    [ -n "$damaged" ] || fail 1 'tar met problems (above): the tree is not complete' "$AGAIN"
    say 'What could be read of the archive is restored'
  fi
}

# ---- a save: its listing and its objects ---------------------------------------------------------------------

unpack_listing() { # ZST FILE, HEADER WORD, OUTPUT; sets header to the first line
  zstd -dcq <"$1" >"$3.all" || {
    damaged=1
    [ -n "$force" ] || fail 21 "A listing does not unpack: $1"
  }
  header=$(head -n 1 "$3.all")
  case $header in
    "$2 1" | "$2 1 "*) ;;
    "$2 "*) fail 1 "A listing is of a newer format: $1" 'use the restore.sh of the newest snapshot, or Cora' ;;
    *) fail 21 "Not a listing: $1" ;;
  esac
  tail -n +2 "$3.all" | sort -t "$TAB" -k 8,8 -T . >"$3"
  rm -f -- "$3.all"
}

# Makes `listing`: the rows of the save, in the order of their path fields. Removed rows may be left in it.
read_listing() {
  keyframe=$directory/FILES.tsv.zst
  if [ -f "$directory/DELTA.tsv.zst" ]; then
    unpack_listing "$directory/DELTA.tsv.zst" '#cora-delta' delta
    base=${header##* }
    case $base in *[!0-9a-z-]*) fail 21 'The listing names no keyframe' ;; esac
    from=$directory
    save_directory "$base"
    base_directory=$directory
    directory=$from
    keyframe=$base_directory/FILES.tsv.zst
    if [ -f "$keyframe" ]; then
      check_sums "$base_directory" FILES.tsv.zst
    else
      keyframe=$vault/progress/packs/$base.FILES.tsv.zst
    fi
  fi
  [ -f "$keyframe" ] || fail 21 "The listing is missing: $keyframe"
  unpack_listing "$keyframe" '#cora-files' listing
  [ -f delta ] || return
  join -t "$TAB" -1 8 -2 8 -v 1 -o 1.1,1.2,1.3,1.4,1.5,1.6,1.7,1.8,1.9 listing delta >kept &&
    sort -m -t "$TAB" -k 8,8 -T . kept delta >listing || fail 1 'The listing could not be put together'
  rm -f kept
}

# Calls a function for each row of a file, with its nine fields as arguments and the whole in $row. The file is
# taken in parts, so that none is too long for a shell. IFS is a TAB during the call.
each_row() { # FUNCTION FILE
  rm -rf parts
  mkdir parts
  split -a 5 -l 20000 "$2" parts/ || fail 1 'No space for the listing'
  set +f
  for part in parts/*; do
    set -f
    [ -f "$part" ] || continue
    IFS=$NL
    for row in $(cat "$part"); do
      IFS=$TAB
      "$1" $row
    done
  done
  set -f
  unset IFS
}

# Copies to descriptor 5 the rows at or below a selected field, and those of the directories above.
select_row() {
  [ "$1" != - ] || return 0
  IFS=$NL
  for one in $selected; do
    case $8 in
      "$one" | "$one"/*)
        selected_any=1
        [ "$1" != h ] || wanted_links="$wanted_links$NL$9"
        ;;
      *)
        [ "$1" = d ] || continue
        case $one/ in "$8"/*) ;; *) continue ;; esac
        ;;
    esac
    printf '%s\n' "$row" >&5
    return
  done
}

# Leaves in `listing` only what the paths name. A hard link brings the file that holds its content with it.
select_paths() { # PATH...
  selected=
  for path in "$@"; do
    escape_path "$path"
    [ "$field" != . ] || return 0
    selected="$selected$NL$field"
  done
  while :; do
    selected_any= wanted_links=
    exec 5>chosen
    each_row select_row listing
    exec 5>&-
    [ -n "$selected_any" ] || fail 1 'Nothing in this snapshot has that path' 'paths are relative to the project, as in src/main.c'
    more=
    IFS=$NL
    for one in $wanted_links; do
      covered=
      for two in $selected$more; do
        case $one in "$two" | "$two"/*) covered=1 ;; esac
      done
      [ -n "$covered" ] || more="$more$NL$one"
    done
    unset IFS
    [ -n "$more" ] || break
    selected=$selected$more
  done
  mv chosen listing
}

# Makes objects/: every object the listing needs, taken out of whatever packs hold it, and checked.
fetch_objects() {
  printf -- '-\n%s\n' "$EMPTY_SHA256" | sort >no_object
  # Only these types have objects: the hash of a hard link may be that of a cut file as a whole.
  printf '+\nS\nf\n' >types
  sort -t "$TAB" -k 1,1 -T . listing | join -t "$TAB" -o 2.7 types - | sort -u -T . | comm -23 - no_object >needed
  cat needed >remaining
  mkdir objects
  set +f
  # The save's own pack and its keyframe's hold most; then the others, and what clean-up gathered.
  set -- "$directory/objects.tar.zst"
  [ ! -f delta ] || set -- "$@" "$base_directory/objects.tar.zst"
  for pack in "$@" "$vault"/progress/[0-9]*/[0-9]*/[0-9]*/*/objects.tar.zst "$vault"/progress/packs/*.tar.zst; do
    [ -f "$pack" ] || continue
    [ -s remaining ] || break
    { zstd -dcq <"$pack" || say "restore.sh: This pack is damaged: $pack"; } | tar -tf - 2>/dev/null | cut -c 9- | sort -T . >holds
    comm -12 remaining holds >found_here
    hits=$(wc -l <found_here)
    [ "$hits" -gt 0 ] || continue
    comm -23 remaining found_here >still && mv still remaining
    # tar compares each entry with each name on its list: where that is long, all of the pack is taken.
    if [ $((hits * $(wc -l <holds))) -gt 400000000 ] || [ "$hits" -eq "$(wc -l <holds)" ]; then
      set --
    else
      yes objects | head -n "$hits" | paste -d / - found_here >names
      set -- -T names
    fi
    # Damage shows when the objects are checked; a full disk must not be taken for damage.
    zstd -dcq <"$pack" 2>/dev/null | tar -xf - --no-same-owner "$@" 2>errors ||
      case $(head -c 4000 errors) in
        '' | *'No space'* | *uota* | *'too large'*)
          head -n 5 errors | show
          fail 1 'The objects could not be unpacked' "$AGAIN"
          ;;
      esac
  done
  set -f
}

# Checks every needed object against its name. What is missing or wrong ends the restore, or with --force leaves
# `lost_paths` (one a line) and a restore without those files.
check_objects() {
  lost_paths=
  [ -s needed ] || return 0
  if (cd objects && paste -d '  ' ../needed /dev/null ../needed | sha256sum -c --quiet - >../failed 2>/dev/null); then
    return
  fi
  [ -s failed ] || fail 1 'sha256sum could not check the objects' "$AGAIN"
  cut -c 1-64 failed | sort -T . >bad
  IFS=$NL
  for one in $(cat bad); do [ ! -e "objects/$one" ] || rm -rf "objects/$one"; done
  unset IFS
  sort -t "$TAB" -k 7,7 -T . listing >by_hash
  join -t "$TAB" -1 1 -2 7 -o 2.6,2.1,0,2.8 bad by_hash | sort -n -T . >users
  zero_size=
  : >lost
  IFS=$NL
  for row in $(cat users); do
    IFS=$TAB
    lost_row $row
  done
  unset IFS
  [ -s lost ] || return 0
  lost_paths=$NL$(sort -u -T . lost)$NL
  say 'restore.sh: Damaged or missing in this snapshot:'
  sort -u -T . lost | head -n 200 | show
  [ -n "$force" ] || fail 21 'Nothing was restored' '--force restores everything but these; another snapshot may have them whole'
  damaged=1
}

lost_row() { # SIZE TYPE SHA256 PATH
  [ ! -e "objects/$3" ] || return 0
  if [ "$2" = + ]; then
    # A piece of zeros needs no object: it can be made.
    zero_hash "$1"
    if [ "$zero_sha" = "$3" ]; then
      head -c "$1" /dev/zero >"objects/$3"
      return
    fi
    printf '%s\n' "${4%//*}" >>lost
  else
    printf '%s\n' "$4" >>lost
  fi
}

zero_hash() { # SIZE; sets zero_sha
  [ "$1" != "$zero_size" ] || return 0
  zero_size=$1
  zero_sha=$(head -c "$1" /dev/zero | sha256sum)
  zero_sha=${zero_sha%% *}
}

# ---- a save: the tar stream ----------------------------------------------------------------------------------

nul() { # COUNT; that many NUL bytes for a printf format
  left=$1
  while [ "$left" -gt 0 ]; do
    printf '\\000'
    left=$((left - 1))
  done
}

# Formats of the two headers of an entry. Everything but mode, size, type and device is in pax records, so that a
# header's checksum is a constant and the sum of a few digits. 4068 is the sum of all bytes that never change.
make_formats() {
  pax_header="cora$(nul 96)0000000\\0000000000\\0000000000\\000%011o\\00000000000000\\000%06o\\000 x$(nul 100)ustar\\00000$(nul 64)0000000\\0000000000\\000$(nul 167)"
  entry_header="cora$(nul 96)000%s\\0000000000\\0000000000\\000%011o\\00000000000000\\000%06o\\000 %s$(nul 100)ustar\\00000$(nul 64)%07o\\000%07o\\000$(nul 167)"
  last_mode= last_owner= depth=0 cut= args= files=0 held= names=0
}

bad_listing() {
  say 'restore.sh: The listing is damaged at this row:'
  printf '%s\n' "$row" | show
  echo 21 >code
  exit 21
}

octal_sum() { # NUMBER; adds the sum of its octal digits to sum
  left=$1
  while [ "$left" -gt 0 ]; do
    sum=$((sum + (left & 7)))
    left=$((left >> 3))
  done
}

# Bytes of an escaped field when it is written with %b; sets length. Refuses escapes that a listing never has.
field_length() { # FIELD
  length=${#1}
  case $1 in
    *\\*)
      rest=$1
      while :; do
        case $rest in
          *\\*) ;;
          *) break ;;
        esac
        rest=${rest#*\\}
        case $rest in
          [\\tnr]*) ;;
          *) bad_listing ;;
        esac
        rest=${rest#?}
        length=$((length - 1))
      done
      ;;
  esac
}

# A pax record is "<its own length> key=value\n".
record_size() { # BYTES OF KEY, VALUE, SPACE, = AND NEWLINE; sets size
  if [ "$1" -le 8 ]; then size=$(($1 + 1))
  elif [ "$1" -le 97 ]; then size=$(($1 + 2))
  elif [ "$1" -le 996 ]; then size=$(($1 + 3))
  elif [ "$1" -le 9995 ]; then size=$(($1 + 4))
  else size=$(($1 + 5)); fi
}

# Writes the headers of one entry to descriptor 4.
emit() { # TYPE MODE UID GID MTIME SIZE PATH LINK [RECORDS] [KEY OF THE PATH] [MAJOR MINOR]
  case $2$3$4$6 in *[!0-9]*) bad_listing ;; esac
  case ${5#-} in *[!0-9.]* | '') bad_listing ;; esac
  case /$7/ in *//* | */../* | */./*) bad_listing ;; esac
  if [ "$2" != "$last_mode" ]; then
    case $2 in [0-7][0-7][0-7][0-7]) ;; *) bad_listing ;; esac
    sum=0
    octal_sum "$((0$2))"
    last_mode=$2 mode_sum=$sum
  fi
  if [ "$3,$4" != "$last_owner" ]; then
    record_size $((${#3} + 6))
    owner="$size uid=$3$NL"
    record_size $((${#4} + 6))
    owner="$owner$size gid=$4$NL"
    last_owner=$3,$4
  fi
  record_size $((${#5} + 8))
  records="$owner$size mtime=$5$NL${9:-}"
  key=${10:-path}
  field_length "$7"
  record_size $((length + ${#key} + 5))
  path_size=$size link_size= link_key= link=
  total=$((${#records} + path_size))
  case $1 in
    1 | 2)
      link=$8 link_key=' linkpath='
      [ "$1" = 2 ] || link_key=' linkpath=./'
      field_length "$link"
      record_size $((length + ${#link_key} + 1))
      link_size=$size
      total=$((total + link_size))
      link=$link\\n
      ;;
  esac
  major=${11:-0} minor=${12:-0} entry_size=$6
  if [ "$entry_size" -gt 8589934591 ]; then
    record_size $((${#6} + 7))
    records="$records$size size=$6$NL"
    total=$((total + size))
    entry_size=0
  fi
  sum=4188
  octal_sum "$total"
  pax_sum=$sum
  case $1 in 0) code=48 ;; 1) code=49 ;; 2) code=50 ;; 3) code=51 ;; 4) code=52 ;; 5) code=53 ;; 6) code=54 ;; esac
  sum=$((4068 + code + mode_sum))
  octal_sum "$entry_size"
  octal_sum "$major"
  octal_sum "$minor"
  printf "$pax_header%s%s %s=./%b\\n%s%s%b%$(((512 - total % 512) % 512))s$entry_header" \
    "$total" "$pax_sum" "$records" "$path_size" "$key" "$7" "$link_size" "$link_key" "$link" '' \
    "$2" "$entry_size" "$sum" "$1" "$major" "$minor" >&4
  held=1
}

# The stream so far is the files named in args (headers in h/, contents in objects/), then what descriptor 4 holds.
add_content() { # FILE
  if [ -n "$held" ]; then
    args="$args${TAB}h/$names"
    names=$((names + 1))
    exec 4>"h/$names"
    held=
  fi
  args="$args$TAB$1"
  files=$((files + 1))
  [ "$files" -lt 400 ] || flush
}

pad_content() { # SIZE
  if [ $(($1 % 512)) -ne 0 ]; then
    printf "%$((512 - $1 % 512))s" '' >&4
    held=1
  fi
}

flush() {
  [ -z "$held" ] || args="$args${TAB}h/$names"
  exec 4>&-
  if [ -n "$args" ]; then
    # Unquoted: IFS is a TAB here, and these names hold nothing else.
    cat $args || exit 1
  fi
  args= files=0 names=0 held=
  exec 4>h/0
}

build_row() {
  [ $# -eq 9 ] || bad_listing
  case $1 in
    f | S)
      if [ -n "$lost_paths" ]; then
        case $lost_paths in *"$NL$8$NL"*) return ;; esac
      fi
      if [ "$7" != - ] || [ "$6" = 0 ]; then
        emit 0 "$2" "$3" "$4" "$5" "$6" "$8" -
        if [ "$6" != 0 ]; then
          case $7 in *[!0-9a-f]*) bad_listing ;; esac
          add_content "objects/$7"
          pad_content "$6"
        fi
      else
        # Its pieces come later: names that begin with this one and go on with a byte below "/" lie between.
        # They lie nested, so that the last one put on the stack is the first one needed.
        depth=$((depth + 1))
        eval "stack_$depth=\$row"
      fi
      ;;
    +) piece_row "$6" "$7" "$8" ;;
    d)
      printf '%s\n' "$row" >&5
      [ "$8" = . ] || emit 5 0700 "$my_uid" "$my_gid" "$5" 0 "$8" -
      ;;
    h) printf '%s\n' "$row" >&6 ;;
    l) printf '%s\n' "$row" >&7 ;;
    p) emit 6 "$2" "$3" "$4" "$5" 0 "$8" - ;;
    c | b)
      case $9 in
        *[!0-9,]* | *,*,* | ,* | *, | 0?*,* | *,0?*) bad_listing ;;
        *,*) ;;
        *) bad_listing ;;
      esac
      if [ -z "$can_mknod" ]; then
        printf '%s\n' "$8" >>devices
      elif [ "$1" = c ]; then
        emit 3 "$2" "$3" "$4" "$5" 0 "$8" - '' path "${9%,*}" "${9#*,}"
      else
        emit 4 "$2" "$3" "$4" "$5" 0 "$8" - '' path "${9%,*}" "${9#*,}"
      fi
      ;;
    s) printf '%s\n' "$8" >>sockets ;;
    -) ;;
    *) bad_listing ;;
  esac
}

take_cut_fields() {
  cut_type=$1 cut_mode=$2 cut_uid=$3 cut_gid=$4 cut_mtime=$5 cut_size=$6 cut_path=$8
  case $6 in *[!0-9]*) bad_listing ;; esac
}

piece_row() { # SIZE SHA256 KEY
  case $1$2 in *[!0-9a-f]*) bad_listing ;; esac
  case $1 in *[!0-9]*) bad_listing ;; esac
  if [ "$cut" != "${3%//*}" ]; then
    if [ -n "$lost_paths" ]; then
      case $lost_paths in *"$NL${3%//*}$NL"*) return ;; esac
    fi
    [ -z "$cut" ] && [ "$depth" -gt 0 ] || bad_listing
    eval "one=\$stack_$depth"
    depth=$((depth - 1))
    take_cut_fields $one
    cut=${3%//*} pieces=0 reached=0
    [ "$cut" = "$cut_path" ] || bad_listing
    if [ "$cut_type" = S ]; then
      zero_size= segments=0 start= data=0 map_size=0
      exec 8>map 9>map_objects
    else
      emit 0 "$cut_mode" "$cut_uid" "$cut_gid" "$cut_mtime" "$cut_size" "$cut_path" -
    fi
  fi
  one=${3##*//}
  case $one in *[!0-9]* | '') bad_listing ;; esac
  [ $((1$one - 100000000)) -eq "$pieces" ] || bad_listing
  pieces=$((pieces + 1))
  if [ "$cut_type" = f ]; then
    add_content "objects/$2"
  else
    zero_hash "$1"
    if [ "$2" = "$zero_sha" ]; then
      end_segment
    else
      [ -n "$start" ] || start=$reached
      data=$((data + $1))
      printf '%s\n' "$2" >&9
    fi
  fi
  reached=$((reached + $1))
  [ "$reached" -ge "$cut_size" ] || return 0
  [ "$reached" -eq "$cut_size" ] || bad_listing
  if [ "$cut_type" = f ]; then
    pad_content "$cut_size"
  else
    end_sparse
  fi
  cut=
}

# A sparse file is GNU tar's sparse format 1.0: a map (how many segments, then where each begins and how long it is).
end_segment() {
  [ -n "$start" ] || return 0
  map_line "$start" $((reached - start))
  start=
}

map_line() { # OFFSET SIZE
  printf '%s\n%s\n' "$1" "$2" >&8
  map_size=$((map_size + ${#1} + ${#2} + 2))
  segments=$((segments + 1))
}

end_sparse() {
  if [ -n "$start" ]; then
    end_segment
  else
    map_line "$reached" 0
  fi
  exec 8>&- 9>&-
  map_size=$((map_size + ${#segments} + 1))
  whole_map=$(((map_size + 511) / 512 * 512))
  record_size $((${#cut_size} + 22))
  emit 0 "$cut_mode" "$cut_uid" "$cut_gid" "$cut_mtime" $((whole_map + data)) "$cut_path" - \
    "22 GNU.sparse.major=1${NL}22 GNU.sparse.minor=0$NL$size GNU.sparse.realsize=$cut_size$NL" GNU.sparse.name
  printf '%s\n' "$segments" >&4
  add_content map
  pad_content "$map_size"
  while read -r one; do add_content "objects/$one"; done <map_objects
  pad_content "$data"
  # The map is a file of one name: it must be in the stream before the next one is made.
  flush
}

hard_row() {
  if [ -n "$lost_paths" ]; then
    case $lost_paths in *"$NL$9$NL"*) printf '%s\n' "$8" | show; return ;; esac
  fi
  case /$9/ in *//* | */../* | */./*) bad_listing ;; esac
  emit 1 "$2" "$3" "$4" "$5" 0 "$8" "$9"
}

link_row() { emit 2 "$2" "$3" "$4" "$5" 0 "$8" "$9"; }

directory_row() {
  if [ "$8" = . ]; then
    printf '%s %s:%s %s\n' "$2" "$3" "$4" "$5" >root
  else
    emit 5 "$2" "$3" "$4" "$5" 0 "$8" -
  fi
}

write_stream() {
  exec 4>h/0 5>directories 6>hard_links 7>links
  each_row build_row listing
  row='(the end: a file has no pieces)'
  [ "$depth" -eq 0 ] && [ -z "$cut" ] || bad_listing
  IFS=$TAB
  flush
  exec 4>&1 5>&- 6>&- 7>&-
  each_row hard_row hard_links
  each_row link_row links
  head -c 1024 /dev/zero
  : >complete
}

# After the first tar has ended: GNU tar makes some symbolic links last of all, which changes their directories' times.
write_directories() {
  exec 4>&1
  tac directories >directories_up
  each_row directory_row directories_up
  head -c 1024 /dev/zero
  : >complete_directories
}

restore_save() { # [PATH...]
  command -v zstd >/dev/null || fail 1 'A save needs the program zstd' 'install it: apt-get install zstd'
  check_sums "$directory"
  work=$(mktemp -d -- "$target/.cora-restore.XXXXXX" && echo x) || fail 1 "Cannot write into $target"
  work=${work%"${NL}x"}
  cd -- "$work" || fail 1 "Cannot enter $work"
  read_listing
  [ $# -eq 0 ] || select_paths "$@"
  fetch_objects
  check_objects
  can_mknod=
  my_uid=$(id -u) my_gid=$(id -g)
  if [ "$my_uid" -eq 0 ] && mknod probe c 1 3 2>/dev/null; then can_mknod=1; fi
  mkdir h
  make_formats
  begun=1
  write_stream | tar -xpf - --numeric-owner $tar_options -C ..
  status=$?
  [ ! -f code ] || fail "$(cat code)" 'The listing is damaged: the tree is not complete'
  if [ "$status" -eq 0 ] && [ -f complete ]; then
    write_directories | tar -xpf - --numeric-owner $tar_options -C ..
    status=$?
  fi
  [ "$status" -eq 0 ] && [ -f complete_directories ] ||
    fail 1 'The restore met problems (above): the tree is not complete' "$AGAIN"
  if [ -f sockets ]; then say "$(wc -l <sockets) socket(s) skipped: their programs make them again"; fi
  if [ -f devices ]; then
    say 'Devices left out (only root can make them):'
    show <devices
  fi
  if [ -f root ] && [ $# -eq 0 ]; then read -r mode owner mtime <root; else mode=; fi
  cd -- "$target" && rm -rf -- "$work" && work=
  [ -z "$mode" ] || finish_root
}

# DIR itself gets what the project's directory had, last, because making files in it changed its time.
finish_root() {
  if [ "$my_uid" -eq 0 ]; then chown -- "$owner" .; fi
  chmod -- "$mode" . && touch -d "@$mtime" -- . || say 'The mode and time of DIR itself could not be set'
}

# ---- the command line ----------------------------------------------------------------------------------------

options=1
count=$#
while [ "$count" -gt 0 ]; do
  one=$1
  shift
  count=$((count - 1))
  case $options$one in
    1--) options= ;;
    1--force) force=1 ;;
    1--save) want_save=1 ;;
    1--help | 1-h)
      usage
      exit 0
      ;;
    1-?*) fail 2 "Unknown option $one" 'restore.sh --help lists them' ;;
    *) set -- "$@" "$one" ;;
  esac
done

find_vault
read_catalog
case $# in
  0)
    list_snapshots
    exit 0
    ;;
  1) fail 2 'A directory to restore into is missing' 'restore.sh ID DIR, or --help' ;;
esac
choose_snapshot "$1"
typed=$2
shift 2
for path in "$@"; do escape_path "$path"; done
case $(tar --version 2>/dev/null) in *'GNU tar'*) tar_options=--warning=no-timestamp ;; esac
open_target "$typed"
if [ "$kind" != save ]; then restore_backup "$@"; else restore_save "$@"; fi
say_differences
begun= made_target=
if [ -n "$damaged" ]; then
  say "$id ($kind) is restored without what is damaged: $target"
  exit 3
fi
printf '%s\n' "Restored $id ($kind) into $target"
exit 0
