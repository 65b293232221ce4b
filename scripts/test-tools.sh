#!/bin/sh
# The programs that tests compare Cora with. Installs what is missing where that is allowed (root
# and apt); names what stays missing, because the tests that want it are then skipped, not failed.
# Tests ask for a program themselves and skip with its name; this list only explains and installs.

# program, Debian package, what needs it
TOOLS='
git git git/ bundles and everything about a work tree
zstd zstd restore.sh of a save
bsdtar libarchive-tools archives compared with bsdtar
busybox busybox-static archives compared with busybox
sqlite3 sqlite3 databases read by the sqlite3 program
strace strace injected faults and counted system calls
getfattr attr extended attributes
getfacl acl access control lists
setcap libcap2-bin capabilities that a backup names
pigz pigz archives compared with pigz
mkfs.ext4 e2fsprogs power cuts and full disks on ext4
chattr e2fsprogs immutable files
rsync rsync attacks on sealed backups
setpriv util-linux runs as an ordinary user
git-lfs git-lfs the push hook beside git-lfs
pre-commit pre-commit the push hook beside pre-commit
mkfs.xfs xfsprogs power cuts on xfs
mkfs.btrfs btrfs-progs block replays on btrfs
fusermount3 fuse3 block replays
python3 python3-fusepy block replays
faketime faketime clocks that jump
flock util-linux the vault lock
systemd-nspawn systemd-container timers under a real systemd
systemd-analyze systemd unit files checked by systemd
psql postgresql a PostgreSQL server dumped and restored by a command artefact
rclone rclone copies off-site
age age encrypted copies
dash dash restore.sh under a plain POSIX shell
tmux tmux completions, prompt and phrases in a real terminal
zsh zsh completions, prompt and phrases of zsh
fish fish completions, prompt and phrases of fish
man man-db the manual page
promtool prometheus the metrics of cora serve, as Prometheus reads them
chromium chromium the page of cora serve in a real browser
'

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
missing_packages() {
  printf '%s' "$TOOLS" | while read -r tool package _; do
    [ -z "$tool" ] || command -v "$tool" >/dev/null 2>&1 || printf '%s\n' "$package"
  done | sort -u
}

packages=$(missing_packages)
if [ -n "$packages" ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
  # No daemon is to start that a package brings along (invoke-rc.d(8)).
  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
  printf 'Installing for the tests: %s\n' "$(printf '%s' "$packages" | tr '\n' ' ')"
  apt-get -qq -o DPkg::Lock::Timeout=300 update >/dev/null 2>&1
  # shellcheck disable=SC2086  # a list of words
  if ! apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $packages >/dev/null 2>&1; then
    # One package that is not to be had must not keep the others away.
    for package in $packages; do
      apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$package" >/dev/null 2>&1
    done
  fi
fi

# The lines a caller repeats at the end.
printf '%s' "$TOOLS" | while read -r tool package tests; do
  [ -z "$tool" ] || command -v "$tool" >/dev/null 2>&1 || printf 'skipped: %s is missing (package %s): tests need it for %s\n' "$tool" "$package" "$tests"
done
exit 0
