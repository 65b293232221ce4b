#!/bin/sh
# What `npm run test:offsite` runs: Cora against real servers on loopback (Ceph's and Swift's S3, webdav, sftp, crypt), with real
# faults. Installs the servers where it may (root and apt) and starts none of their services; what is missing is skipped by name.
# Closes as `npm test` does: what was skipped, then one line of counts.

cd "$(dirname "$0")/.." || exit 1
PATH=$PWD/node_modules/.bin:$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH
if [ ! -x node_modules/.bin/vitest ]; then
  echo 'The test tools are not installed: run npm ci' >&2
  exit 1
fi

work=$(mktemp -d) || exit 1
policy=
# shellcheck disable=SC2329  # called by the traps
cleanup() {
  for server in ceph-rgw.sh swift.sh; do
    [ ! -d "$work/servers/$server" ] || sh "lab/$server" down "$work/servers/$server"
  done
  rm -rf "$work"
  [ -z "$policy" ] || rm -f "$policy"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

# program, and the packages that bring it and what it needs beside it
missing=
while read -r program packages; do
  [ -z "$program" ] || command -v "$program" >/dev/null 2>&1 || missing="$missing $packages"
done <<PROGRAMS
rclone rclone
age age
radosgw $(sh lab/ceph-rgw.sh packages)
ceph-mon $(sh lab/ceph-rgw.sh packages)
ceph-osd $(sh lab/ceph-rgw.sh packages)
ceph $(sh lab/ceph-rgw.sh packages)
swift-proxy-server $(sh lab/swift.sh packages)
swift-account-server $(sh lab/swift.sh packages)
swift-container-server $(sh lab/swift.sh packages)
swift-object-server $(sh lab/swift.sh packages)
memcached $(sh lab/swift.sh packages)
PROGRAMS
if [ -n "$missing" ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
  # shellcheck disable=SC2086  # a list of words
  packages=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
  printf 'Installing for the off-site tests: %s\n' "$packages"
  # Debian starts what it installs unless told not to.
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    policy=/usr/sbin/policy-rc.d
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq -o DPkg::Lock::Timeout=300 update >/dev/null 2>&1
  # shellcheck disable=SC2086  # a list of words
  if ! apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $packages >"$work/apt" 2>&1; then
    tail -n 5 "$work/apt"
    # One package that is not to be had must not keep the others away.
    for package in $packages; do
      apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$package" >/dev/null 2>&1
    done
  fi
  [ -z "$policy" ] || rm -f "$policy"
  policy=
fi

mkdir "$work/servers"
CORA_TEST_SERVERS=$work/servers CORA_TEST_SUMMARY=$work/summary vitest run --config vitest.offsite.config.ts "$@"
status=$?

printf '\n'
[ -f "$work/summary" ] || echo 'counts 0 1 0' >"$work/summary"
grep -v '^counts ' "$work/summary"
read -r _ passed failed skipped <<COUNTS
$(grep '^counts ' "$work/summary")
COUNTS
if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
