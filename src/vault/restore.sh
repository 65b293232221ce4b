#!/bin/sh
# Lists and restores the snapshots of the Cora vault it lies in, without Cora: POSIX sh, coreutils, tar and
# gzip, and zstd for saves (docs/format.md is the format). It is one file of more than 300 lines because it is
# copied into every vault. It never writes into the vault. Names are bytes throughout (LC_ALL=C), and no name is
# ever part of a command line that a program could read as an option.
#
# How a save comes back without a process for each file: the shell writes one tar stream (its own headers, the
# contents by `cat` in batches) and one tar reads it, which knows modes, owners, nanoseconds, holes and links.
# The order is files, hard links, symbolic links, directories deepest first: so nothing is ever written through a
# symbolic link, and a directory's mode and time are set after all that it holds.

set -u -f
unset -v TAR_OPTIONS GZIP ZSTD_CLEVEL ZSTD_NBTHREADS CDPATH POSIXLY_CORRECT ENV BASH_ENV TAPE
[ -n "${PATH:-}" ] || PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
umask 077

NL='
'
TAB=$(printf '\tx')
TAB=${TAB%x}
CR=$(printf '\rx')
CR=${CR%x}
EMPTY_SHA256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
work=
made_target=
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
  backups=' ' saves=' ' found=' ' ids=' '
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
        saves="$saves$id "
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
      case $line in 'save '* | 'backup '*) ;; *) continue ;; esac
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
      esac
    done
    unset IFS
    printf '%-28s %-12s %-24s %10s %16s%s\n' "$id" "$kind" "$stamp" "$files" "$size" "$note"
  done
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
  fi
  target=$(cd -P -- "$target" && pwd -P && echo x) || fail 1 "Cannot enter $1"
  target=${target%"${NL}x"}
  [ -z "$made_target" ] || made_target=$target
  case $target/ in
    "$vault"/*) fail 20 "$1 lies inside the vault" 'name a directory outside' ;;
  esac
  cd -- "$target" || fail 1 "Cannot enter $1"
  trap cleanup EXIT
  trap 'exit 130' HUP INT TERM
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

# ---- a backup ------------------------------------------------------------------------------------------------

restore_backup() { # [PATH...]
  check_sums "$directory"
  archive=
  set +f
  for archive in "$directory"/*-full.tar.gz; do [ -f "$archive" ] && break; done
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
  gzip -dc <"$archive" 2>/dev/null | tar -xpf - --numeric-owner -- "$@"
  status=$?
  # A pipe shows only tar's end. The archive's sum was good, or its damage is known already.
  if [ "$status" -ne 0 ]; then
    if [ -z "$damaged" ]; then
      fail 1 'tar met problems (above): the tree is not complete' 'look at the free space (df -h, df -i), remove DIR and run this again'
    fi
    say 'The archive is damaged: what could be read of it is restored'
  fi
  say_differences
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

# Calls a function for each row of `listing`, its nine fields as arguments. In parts, so that no listing is too long.
each_row() { # FUNCTION
  rm -rf parts
  mkdir parts
  split -a 5 -l 20000 listing parts/ || fail 1 'No space for the listing'
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

# Leaves in `listing` what lies at or below the selected fields (lines of $selected), and the directories above.
select_row() {
  for one in $selected_fields; do
    case $8 in
      "$one" | "$one"/*) ;;
      *)
        [ "$1" = d ] || continue
        case $one/ in "$8"/*) ;; *) continue ;; esac
        printf '%s\n' "$row" >&5
        return
        ;;
    esac
    printf '%s\n' "$row" >&5
    selected_any=1
    if [ "$1" = h ]; then selected_links="$selected_links$NL$9"; fi
    return
  done
}

select_paths() { # PATH...
  selected=
  for path in "$@"; do
    escape_path "$path"
    [ "$field" != . ] || return 0
    selected="$selected$NL$field"
  done
  mv listing everything
  while :; do
    selected_any= selected_links=
    # Splitting at newlines only, once: each_row sets IFS for its rows.
    cp everything listing
    exec 5>chosen
    selected_fields=$selected
    each_selected
    exec 5>&-
    [ -n "$selected_any" ] || fail 1 'Nothing in this snapshot has that path' 'paths are relative to the project, as in src/main.c'
    # A hard link needs the file that holds its content: that one is restored too.
    more=
    IFS=$NL
    for one in $selected_links; do
      case $NL$selected$NL$more$NL in *"$NL$one$NL"*) ;; *) more="$more$NL$one" ;; esac
    done
    unset IFS
    [ -n "$more" ] || break
    selected=$selected$more
  done
  mv chosen listing
  rm -f everything
}

each_selected() {
  IFS=$NL
  each_row select_in_lines
}
select_in_lines() {
  IFS=$NL
  select_row "$@"
}

# Makes objects/: every object the listing needs, taken out of whatever packs hold it, and checked.
fetch_objects() {
  printf -- '-\n%s\n' "$EMPTY_SHA256" | sort >no_object
  cut -f 7 listing | sort -u -T . | comm -23 - no_object >needed
  cp needed remaining
  mkdir objects
  set +f
  # The save's own pack and its keyframe's hold most; then the others, and what clean-up gathered.
  set -- "$directory/objects.tar.zst"
  [ ! -f delta ] || set -- "$@" "$base_directory/objects.tar.zst"
  for pack in "$@" "$vault"/progress/[0-9]*/[0-9]*/[0-9]*/*/objects.tar.zst "$vault"/progress/packs/*.tar.zst; do
    [ -f "$pack" ] || continue
    [ -s remaining ] || break
    { zstd -dcq <"$pack" || say "restore.sh: This pack is damaged: $pack"; } | tar -tf - 2>/dev/null | cut -c 9- | sort -T . >holds
    comm -12 remaining holds >hits
    hits=$(wc -l <hits)
    [ "$hits" -gt 0 ] || continue
    comm -23 remaining hits >still && mv still remaining
    # tar compares each entry with each name on its list: where that is long, all of the pack is taken.
    if [ $((hits * $(wc -l <holds))) -gt 400000000 ] || [ "$hits" -eq "$(wc -l <holds)" ]; then
      zstd -dcq <"$pack" 2>/dev/null | tar -xf - --no-same-owner 2>/dev/null
    else
      paste -d / prefix hits >names
      zstd -dcq <"$pack" 2>/dev/null | tar -xf - --no-same-owner -T names 2>/dev/null
    fi
  done
  set -f
}
