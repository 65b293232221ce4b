#!/bin/sh
# Installs Cora from this clone (after npm ci) as a release of its own: <prefix>/<version>, a link <prefix>/current
# to it, <bin>/cora and the manual page. A new release has to prove itself (`cora doctor`: a real save, backup and restore of a probe)
# before a link leads to it; the one before is kept. No network, no npm: what is copied is what was tested.
#
#   scripts/install.sh [--prefix DIR] [--bin DIR]     /opt/cora and /usr/local/bin as root, else below ~/.local
#   scripts/install.sh --remove [--prefix DIR] [--bin DIR]
#
# Removal leaves vaults, backups, seals and what Cora remembers of them alone.

set -u
umask 022
unset CDPATH

say() { printf 'cora: %s\n' "$*"; }
fail() {
  printf 'cora: %s\n' "$*" >&2
  exit 1
}

source_root=$(cd -- "$(dirname -- "$0")/.." && pwd -P) || exit 1
if [ "$(id -u)" -eq 0 ]; then
  prefix=/opt/cora
  bin=/usr/local/bin
else
  : "${HOME:?cora: HOME is not set; name a place with --prefix and --bin}"
  prefix=$HOME/.local/share/cora
  bin=$HOME/.local/bin
fi
remove=
while [ $# -gt 0 ]; do
  case $1 in
    --prefix | --bin)
      [ $# -ge 2 ] || { printf 'cora: %s needs a directory\n' "$1" >&2; exit 2; }
      case $2 in /*) ;; *) printf 'cora: %s needs an absolute path, not %s\n' "$1" "$2" >&2; exit 2 ;; esac
      if [ "$1" = --prefix ]; then prefix=${2%/}; else bin=${2%/}; fi
      shift
      ;;
    --remove) remove=1 ;;
    -h | --help)
      sed -n '2,9s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    *)
      printf 'cora: unknown option %s; --help shows what there is\n' "$1" >&2
      exit 2
      ;;
  esac
  shift
done

# True for a link that we made; anything else in that place is somebody else's.
is_ours() { [ -L "$1" ] && [ "$(readlink -- "$1")" = "$prefix/current/bin/cora" ]; }

# Where man looks for pages of what lies in <bin>; none where that is no bin directory.
case $bin in */bin) manual=${bin%/bin}/share/man/man1/cora.1 ;; *) manual= ;; esac
manual_is_ours() { [ -L "$manual" ] && [ "$(readlink -- "$manual")" = "$prefix/current/man/cora.1" ]; }

# Release directories: those whose package.json says so.
releases() {
  for release in "$prefix"/*/package.json; do
    [ -f "$release" ] || continue
    release=${release%/package.json}
    [ -L "$release" ] || [ ! -f "$release/dist/main.js" ] || printf '%s\n' "${release##*/}"
  done
}

if [ -n "$remove" ]; then
  users=$(grep -ls -- "$prefix/" /etc/systemd/system/cora-*.service "${HOME:-/nonexistent}"/.config/systemd/user/cora-*.service 2>/dev/null)
  [ -z "$users" ] || say "timers still start Cora from here and will fail; cora timers remove (in each project) before this takes them out: $(printf '%s' "$users" | tr '\n' ' ')"
  if is_ours "$bin/cora"; then rm -f -- "$bin/cora"; elif [ -e "$bin/cora" ] || [ -L "$bin/cora" ]; then say "$bin/cora is not ours and stays"; fi
  [ -z "$manual" ] || ! manual_is_ours || rm -f -- "$manual"
  releases | while IFS= read -r name; do rm -rf -- "${prefix:?}/$name"; done
  [ ! -L "$prefix/current" ] || rm -f -- "$prefix/current"
  rm -rf -- "$prefix"/.new-*
  rmdir -- "$prefix" 2>/dev/null
  say "removed from $prefix. Vaults, backups and seals are untouched; git hooks that call Cora let pushes pass and say so"
  exit 0
fi

version=$(sed -n 's/^ *"version": *"\([^"]*\)".*/\1/p' "$source_root/package.json" | head -n 1)
case $version in [0-9]*) ;; *) fail "$source_root/package.json tells no version" ;; esac
[ -f "$source_root/dist/main.js" ] || fail "$source_root is not built: run npm ci there first"
[ -f "$source_root/node_modules/better-sqlite3/package.json" ] || fail "$source_root/node_modules is not complete: run npm ci there first"
if [ -e "$bin/cora" ] || [ -L "$bin/cora" ]; then
  is_ours "$bin/cora" || fail "$bin/cora is there and not ours; move it away, or name another directory with --bin"
fi
case $source_root/ in "$prefix"/*) fail "this is the installed release itself; run scripts/install.sh in a clone" ;; esac

mkdir -p -- "$prefix" "$bin" || fail "cannot write to $prefix or $bin"
stage=$(mktemp -d -- "$prefix/.new-XXXXXX") || fail "cannot write to $prefix"
trap 'rm -rf -- "$stage"' EXIT
trap 'exit 130' INT TERM HUP
chmod 755 "$stage"

for part in bin dist hooks scripts systemd package.json LICENSE README.md CHANGELOG.md docs; do
  cp -R -p -- "$source_root/$part" "$stage/" || fail "no space for a new release in $prefix?"
done
[ ! -f "$source_root/man/cora.1" ] || { mkdir -p -- "$stage/man" && cp -p -- "$source_root/man/cora.1" "$stage/man/"; } || exit 1
mkdir -p -- "$stage/node_modules/better-sqlite3/prebuilds"
for part in package.json LICENSE lib; do cp -R -p -- "$source_root/node_modules/better-sqlite3/$part" "$stage/node_modules/better-sqlite3/" || exit 1; done
cp -p -- "$source_root"/node_modules/better-sqlite3/prebuilds/linux*.node "$stage/node_modules/better-sqlite3/prebuilds/" || exit 1
for node in "$source_root"/node_modules/node-linux-*; do
  [ -x "$node/bin/node" ] || continue
  mkdir -p -- "$stage/node_modules/${node##*/}/bin"
  cp -p -- "$node/bin/node" "$stage/node_modules/${node##*/}/bin/" || fail "no space for a new release in $prefix?"
  [ ! -f "$node/LICENSE" ] || cp -p -- "$node/LICENSE" "$stage/node_modules/${node##*/}/"
done
if [ "$(id -u)" -eq 0 ]; then chown -R 0:0 -- "$stage"; fi
chmod -R go+rX-w -- "$stage"
sync -f -- "$stage" 2>/dev/null || sync

say "trying $version: a real save, backup and restore"
proof=$("$stage/bin/cora" doctor 2>&1)
case $? in
  0 | 3) ;;
  *)
    printf '%s\n' "$proof" >&2
    fail "$version did not prove itself, so nothing was changed$([ ! -L "$prefix/current" ] || printf '; %s stays' "$(readlink -- "$prefix/current")")"
    ;;
esac

before=$(readlink -- "$prefix/current" 2>/dev/null)
if [ -e "$prefix/$version" ]; then
  # The same version again: what runs from it now keeps its files until it ends.
  old=$prefix/.new-old-$$
  mv -- "$prefix/$version" "$old" || fail "could not put $version in its place"
  mv -- "$stage" "$prefix/$version" || { mv -- "$old" "$prefix/$version"; fail "could not put $version in its place"; }
  rm -rf -- "$old"
else
  mv -- "$stage" "$prefix/$version" || fail "could not put $version in its place"
fi
trap - EXIT
ln -sfn -- "$version" "$prefix/.new-current" && mv -T -f -- "$prefix/.new-current" "$prefix/current" || fail "could not switch $prefix/current"
is_ours "$bin/cora" || ln -s -- "$prefix/current/bin/cora" "$bin/cora" || fail "could not make $bin/cora"
sync -f -- "$prefix" 2>/dev/null || sync

installed=$("$bin/cora" --version 2>&1)
if [ "$installed" != "cora $version" ]; then
  [ -z "$before" ] || { ln -sfn -- "$before" "$prefix/.new-current" && mv -T -f -- "$prefix/.new-current" "$prefix/current"; }
  fail "$bin/cora answers: $installed${before:+; $before is back in its place}"
fi
if [ -n "$manual" ] && [ -f "$prefix/current/man/cora.1" ] && [ ! -e "$manual" ] && [ ! -L "$manual" ]; then
  mkdir -p -- "${manual%/*}" && ln -s -- "$prefix/current/man/cora.1" "$manual" || say "no manual page in ${manual%/*}"
fi
# The release before stays: what it started may still run, and a person may want it back.
releases | while IFS= read -r name; do
  [ "$name" = "$version" ] || [ "$name" = "$before" ] || rm -rf -- "${prefix:?}/$name"
done
printf '%s\n' "$proof" | tail -n 1
say "$version is installed in $prefix, and $bin/cora leads to it${before:+ (before: $before)}"
case :${PATH:-}: in *:"$bin":*) ;; *) say "$bin is not in PATH" ;; esac
say "completions and a prompt segment: eval \"\$(cora shell bash)\" in ~/.bashrc (zsh, fish: docs/shell.md)"
say "hooks and timers that were set up from elsewhere: cora timers install --all points timers at it, cora hooks install a project's hook"
exit 0
