#!/bin/sh
# Makes a frozen vault of what this clone writes: test/old-vaults/format-<F>/cora-<VERSION>.tar. It is made once for each format
# and each release that changes what is written, and never edited: test/faults/old-vaults.test.ts restores every one with the
# newest Cora and with its own restore.sh. Run it as root (a sealed backup), after `npm run build`.
# In the tar: vault/, remote/ (a copy that was shipped), adopted/ (another tool's), and
# expected.tar.gz: expected/<kind>-<id>/, what each snapshot gave back then.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd -P)
if [ "$(id -u)" -ne 0 ]; then
  echo 'freeze-vault.sh: only root can seal a backup: run it with sudo' >&2
  exit 1
fi
# No name of this machine goes into what everybody has.
if [ -z "${FREEZE_INSIDE:-}" ]; then
  FREEZE_INSIDE=1 exec unshare --uts sh -c 'hostname frozen.example && exec sh "$0" "$@"' "$root/scripts/freeze-vault.sh" "$@"
fi

version=$("$root/bin/cora" --version | cut -d' ' -f2)
format=$(sed -n 's/^export const FORMAT = \([0-9]*\);$/\1/p' "$root/src/vault/layout.ts")
target=$root/test/old-vaults/format-$format/cora-$version.tar
if [ -e "$target" ]; then
  echo "freeze-vault.sh: $target is there already, and a frozen vault is never made again" >&2
  exit 1
fi

work=$(mktemp -d)
cleanup() {
  chattr -R -f -ia "$work" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
mkdir "$work/project" "$work/home" "$work/remote" "$work/adopted" "$work/expected"
export HOME="$work/home" CORA_VAULT="$work/vault" CORA_LOG="$work/log" TZ=UTC LC_ALL=C.UTF-8
umask 022
cd "$work/project"
cora() {
  "$root/bin/cora" "$@" >"$work/out" || { echo "freeze-vault.sh: cora $* failed" >&2; exit 1; }
}

# What a project has: text, a file in pieces, a hole, links, odd names, modes, a database.
cat >cora.toml <<TOML
name = "frozen"
[offsite]
remote = "$work/remote"
TOML
mkdir -p src empty
echo 'first' >AI_WORK_LOG.md
echo 'export {};' >src/a.ts
ln src/a.ts 'src/second name'
ln -s src/a.ts link
ln -s /nowhere dangling
printf 'odd\n' >"$(printf 'odd \\ \n\377 name')"
: >nothing
printf '#!/bin/sh\n' >run.sh
chmod 4755 run.sh
truncate -s 3000000 sparse
yes 'a line of a file in pieces' | head -c 1500000 >pieces.txt
touch -d '1969-12-31 23:59:58.123456789Z' nothing
sqlite3 app.db "PRAGMA journal_mode = wal; CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT); INSERT INTO notes (text) VALUES ('one'), ('two');" >/dev/null

cora save -m 'the first'
echo 'second' >>AI_WORK_LOG.md
head -c 70000 /dev/zero | tr '\0' x >>pieces.txt
cora save -m 'it will expire'
sqlite3 app.db "INSERT INTO notes (text) VALUES ('three');"
rm src/a.ts
echo 'new' >src/b.ts
cora backup now -l frozen
echo 'third' >>AI_WORK_LOG.md
cora save -m 'a delta'
echo 'fourth' >>AI_WORK_LOG.md
cora save -m 'the last'
# Two expire: what the others need of them is gathered in packs.
cora prune --keep-last 2 --confirm
cora ship

# Another tool's backup, which the vault only knows of.
tar -C "$work/project" -czf "$work/adopted/cortex-20250101-030000.tar.gz" AI_WORK_LOG.md app.db
cora adopt "$work/adopted"

# What each gives back, by the vault's own script.
for sums in "$work"/vault/2*/SHA256SUMS.txt "$work"/vault/progress/2*/*/*/*/SHA256SUMS.txt; do
  directory=$(dirname "$sums")
  case $directory in
    */progress/*)
      kind=save
      rest=${directory#"$work"/vault/progress/}
      id=$(printf '%s' "$rest" | tr -d / | sed 's/^\(........\)/\1-/')
      ;;
    *)
      kind=backup
      id=$(basename "$directory")
      ;;
  esac
  # Of an id that has both forms the script takes the backup: the same instant.
  env -i /bin/sh "$work/vault/restore.sh" "$id" "$work/expected/$kind-$id" >/dev/null
done

mkdir -p "$(dirname "$target")"
rm -rf "$work/vault/.cache" "$work/vault/.stage"
# Flags do not travel in a tar; times to the nanosecond and names that are no text do.
tar -C "$work" --format=posix --sort=name -S -cf - expected | gzip -9n >"$work/expected.tar.gz"
tar -C "$work" --format=posix --sort=name -cf "$target.new" vault remote adopted expected.tar.gz
mv "$target.new" "$target"
(cd "$root/test/old-vaults" && sha256sum -- format-*/*.tar >SHA256SUMS.txt)
ls -l "$target"
