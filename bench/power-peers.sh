#!/bin/sh
# Which copies outlive a power cut in the instant after their program ended with 0? Each program makes a first copy, which is
# synced, and a second one after a change; right after its exit the file system is cut off without a flush (xfs_io shutdown),
# mounted again, and both copies are read back and compared. Prints one table in markdown, with versions.
# usage: power-peers.sh [ROUNDS]        as root; a program that is missing has no row
set -u
rounds=${1:-5}
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d "${TMPDIR:-/dev/shm}/cora-peers-XXXXXX") || exit 1
mount=$work/disk
mkdir "$mount" "$work/home"
export HOME="$work/home" LC_ALL=C TZ=UTC
export RESTIC_PASSWORD=peers RESTIC_CACHE_DIR="$work/home/restic" BORG_BASE_DIR="$work/home/borg" BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes
export BORG_RELOCATED_REPO_ACCESS_IS_OK=yes GIT_AUTHOR_NAME=p GIT_AUTHOR_EMAIL=p@localhost GIT_COMMITTER_NAME=p GIT_COMMITTER_EMAIL=p@localhost
release() {
  umount "$mount" 2>/dev/null || umount -l "$mount" 2>/dev/null
  rm -rf "$work"
}
trap release EXIT
trap 'exit 130' INT TERM HUP

# The source stays outside of the disk that is cut.
src=$work/src
fill() {
  rm -rf "$src" && mkdir -p "$src/deep"
  n=0
  while [ $n -lt 60 ]; do
    echo "file $n" >"$src/deep/f$n.txt"
    n=$((n + 1))
  done
  head -c 1000000 /dev/urandom >"$src/large.bin"
}
change() {
  echo "changed $(date +%N)" >"$src/deep/f1.txt"
  head -c 300000 /dev/urandom >"$src/new.bin"
}
same() { diff -r --exclude=.git --exclude=cora.toml "$1" "$2" >/dev/null 2>&1; }

# NAME_copy N: makes copy N (1 or 2). NAME_back N DIR: brings copy N back into DIR.
cp_copy() { cp -a "$src" "$mount/copy$1"; }
cp_back() { cp -a "$mount/copy$1" "$2"; }
rsync_copy() { rsync -a "$src/" "$mount/copy$1/"; }
rsync_back() { cp -a "$mount/copy$1" "$2"; }
tar_copy() { tar -czf "$mount/copy$1.tar.gz" -C "$src" .; }
tar_back() { mkdir "$2" && tar -xzf "$mount/copy$1.tar.gz" -C "$2"; }
rclone_copy() { rclone copy "$src" "$mount/copy$1"; }
rclone_back() { cp -a "$mount/copy$1" "$2"; }
git_copy() {
  [ -d "$mount/git" ] || git init -q --bare "$mount/git"
  git --git-dir="$mount/git" --work-tree="$src" add -A && git --git-dir="$mount/git" --work-tree="$src" commit -q -m "$1" &&
    git --git-dir="$mount/git" tag "copy$1"
}
git_back() { mkdir "$2" && git --git-dir="$mount/git" archive "copy$1" | tar -x -C "$2"; }
gitall_copy() {
  [ -d "$mount/git" ] || { git init -q --bare "$mount/git" && git --git-dir="$mount/git" config core.fsync all; }
  git_copy "$1"
}
gitall_back() { git_back "$@"; }
restic_copy() {
  [ -d "$mount/restic" ] || restic -q -r "$mount/restic" init
  restic -q -r "$mount/restic" backup --tag "copy$1" "$src"
}
restic_back() { restic -q -r "$mount/restic" restore latest --tag "copy$1" --target "$2.all" && mv "$2.all$src" "$2"; }
restic_after() { restic -q -r "$mount/restic" check || echo "check: $(restic -q -r "$mount/restic" check 2>&1 | grep -o 'unable to create lock\|repository is already locked' | head -1)"; }
borg_copy() {
  [ -d "$mount/borg" ] || borg init -e none "$mount/borg"
  (cd "$src" && borg create "$mount/borg::copy$1" .)
}
borg_back() { mkdir "$2" && (cd "$2" && borg extract "$mount/borg::copy$1"); }
borg_after() { borg check "$mount/borg" || echo 'check: damage'; }
cora() { (cd "$src" && CORA_VAULT="$mount/vault" CORA_LOG= "$here/bin/cora" "$@"); }
cora_copy() { cora backup now --label "copy$1"; }
cora_back() { cora restore "copy$1" --to "$2"; }
cora_after() { cora verify --all --deep || echo 'verify: damage'; }
corasave_copy() { cora save --label "copy$1"; }
corasave_back() { cora restore "copy$1" --to "$2"; }
corasave_after() { cora_after; }

version() {
  case $1 in
    cp) cp --version | sed -n '1s/.* //p' ;;
    rsync) rsync --version | sed -n '1s/^rsync *version \([^ ]*\).*/\1/p' ;;
    tar) tar --version | sed -n '1s/.* //p' ;;
    rclone) rclone version | sed -n '1s/.* v//p' ;;
    git | gitall) git --version | sed 's/.* //' ;;
    restic) restic version | sed 's/restic \([^ ]*\).*/\1/' ;;
    borg) borg --version | sed 's/.* //' ;;
    cora*) "$here/bin/cora" --version | sed -n '1s/.* //p' ;;
  esac
}
label() {
  case $1 in
    cp) echo 'cp -a' ;; rsync) echo 'rsync -a' ;; tar) echo 'tar -czf' ;; rclone) echo 'rclone copy, local' ;;
    git) echo 'git commit' ;; gitall) echo 'git commit, core.fsync=all' ;; restic) echo 'restic backup' ;; borg) echo 'borg create' ;;
    cora) echo 'cora backup now' ;; corasave) echo 'cora save' ;;
  esac
}

# round TOOL FS OPTIONS: kept, lost or damaged, then what the older copy is, then a remark
round() {
  tool=$1 fs=$2 options=$3 image=$work/image
  rm -f "$image"
  truncate -s 400M "$image"
  case $fs in ext4) mkfs.ext4 -qF "$image" ;; xfs) mkfs.xfs -qf "$image" ;; esac >/dev/null 2>&1
  mount -o "loop$options" "$image" "$mount" || return 1
  fill
  "${tool}_copy" 1 >/dev/null 2>&1 || { echo 'failed - -'; umount "$mount"; return; }
  cp -a "$src" "$work/first"
  sync -f "$mount"
  change
  if "${tool}_copy" 2 >/dev/null 2>&1; then claimed=yes; else claimed=no; fi
  xfs_io -x -c shutdown "$mount"
  umount "$mount" && mount -o "loop$options" "$image" "$mount" || { echo 'unmountable - -'; return; }
  remark=$(command -v "${tool}_after" >/dev/null 2>&1 && "${tool}_after" 2>/dev/null | grep -a '^check: \|^verify: ')
  state=lost old=lost
  "${tool}_back" 2 "$work/back2" >/dev/null 2>&1
  if same "$src" "$work/back2"; then state=kept; elif [ -d "$work/back2" ] && [ -n "$(ls -A "$work/back2" 2>/dev/null)" ]; then state=damaged; fi
  "${tool}_back" 1 "$work/back1" >/dev/null 2>&1
  same "$work/first" "$work/back1" && old=kept
  [ "$claimed" = yes ] || state=unclaimed
  echo "$state $old ${remark:--}"
  umount "$mount"
  rm -rf "$work/first" "$work/back1" "$work/back2" "$work/back1.all" "$work/back2.all" "$work/home"
  mkdir "$work/home"
}

echo '| program | version | ext4 | ext4 noauto_da_alloc | ext4 data=writeback | xfs | the older copy | remark |'
echo '| --- | --- | --- | --- | --- | --- | --- | --- |'
for tool in cp rsync tar rclone git gitall restic borg corasave cora; do
  program=$tool
  case $tool in gitall) program=git ;; cora*) program=$here/bin/cora ;; esac
  command -v "$program" >/dev/null 2>&1 || continue
  row="| \`$(label "$tool")\` | $(version "$tool") |"
  olds=0 of=0 remarks=
  for place in ext4: ext4:,noauto_da_alloc ext4:,data=writeback xfs:; do
    kept=0 damaged=0 n=0
    while [ $n -lt "$rounds" ]; do
      result=$(round "$tool" "${place%%:*}" "${place#*:}") || result='failed - -'
      case $result in kept*) kept=$((kept + 1)) ;; damaged*) damaged=$((damaged + 1)) ;; esac
      case $result in *' kept '*) olds=$((olds + 1)) ;; esac
      case $result in *' -') ;; *check:* | *verify:*) remarks=${result#* * } ;; esac
      [ -z "${PEERS_VERBOSE:-}" ] || echo "$tool $place $result" >&2
      n=$((n + 1)) of=$((of + 1))
    done
    cell="$kept of $rounds"
    [ $damaged -eq 0 ] || cell="$cell ($damaged there and wrong)"
    row="$row $cell |"
  done
  echo "$row $olds of $of kept | $remarks |"
done
