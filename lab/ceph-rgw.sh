#!/bin/sh
# A real S3 server on loopback for tests and trials: Ceph's RADOS gateway over one monitor and one OSD in memory, all in one
# directory. It checks signatures, knows multipart uploads, versioning, quotas and Object Lock, and enforces them.
#
#   lab/ceph-rgw.sh up DIR     starts it, waits until it answers, prints KEY=VALUE lines (also in DIR/env)
#   lab/ceph-rgw.sh down DIR   ends what DIR/*.pid names, nothing else; DIR itself stays
#   lab/ceph-rgw.sh admin DIR ARGS...   radosgw-admin of that server (users, quotas)
#   lab/ceph-rgw.sh packages   the Debian packages it needs
#
# No root, no systemd, nothing outside DIR. Ends with 75 where Ceph is not installed. Users: `cora`, which makes buckets, and
# `limited`, which owns none. About 130 MB of memory, and what is uploaded.

set -eu
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
unset CEPH_CONF CEPH_ARGS CEPH_KEYRING
command=${1:-}
if [ "$command" = packages ]; then
  echo 'radosgw ceph-mon ceph-osd ceph-common'
  exit 0
fi
[ $# -ge 2 ] || {
  echo 'Usage: ceph-rgw.sh up|down|admin DIR, or ceph-rgw.sh packages' >&2
  exit 2
}
mkdir -p "$2"
dir=$(cd "$2" && pwd -P)
umask 077

# A pid file is trusted only while that process has our directory in its command line.
end() {
  for name in "$@"; do
    [ -s "$dir/$name.pid" ] || continue
    pid=$(cat "$dir/$name.pid")
    if tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$dir/"; then
      kill "$pid" 2>/dev/null || :
      tries=0
      while [ -d "/proc/$pid" ] && [ "$tries" -lt 30 ]; do
        sleep 0.1
        tries=$((tries + 1))
      done
      # What it holds is in memory and worth nothing.
      kill -9 "$pid" 2>/dev/null || :
    fi
    rm -f "$dir/$name.pid"
  done
}

down() {
  end rgw osd mon
}

free_ports() {
  python3 -c 'import socket, sys
held = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in held: s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in held))' "$1"
}

up() {
  for program in ceph-mon ceph-osd radosgw radosgw-admin ceph-authtool monmaptool ceph python3; do
    command -v "$program" >/dev/null || {
      echo "$program is missing: apt-get install $("$0" packages)" >&2
      exit 75
    }
  done
  down
  # What did not come up whole goes down again.
  trap down EXIT
  rm -rf "$dir/run" "$dir/mon" "$dir/osd" "$dir/rgw" "$dir/log" "$dir"/keyring "$dir"/monmap "$dir"/env
  mkdir "$dir/run" "$dir/mon" "$dir/osd" "$dir/rgw" "$dir/log"
  # shellcheck disable=SC2046  # a list of numbers
  set -- $(free_ports 3)
  port=$3
  id=$(cat /proc/sys/kernel/random/uuid)
  conf=$dir/ceph.conf
  # cephx stays on: without it radosgw never gets past its first connection.
  cat >"$conf" <<CONF
[global]
fsid = $id
mon host = [v2:127.0.0.1:$1/0,v1:127.0.0.1:$2/0]
public addr = 127.0.0.1
run dir = $dir/run
admin socket = $dir/run/\$name.asok
log file = $dir/log/\$name.log
keyring = $dir/keyring
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon warn on pool no redundancy = false
# A disk that is nearly full is no matter: nothing of size lies on it.
mon data avail crit = 1
mon allow pool size one = true
[mon.a]
mon data = $dir/mon
pid file = $dir/mon.pid
[osd]
osd data = $dir/osd
osd objectstore = memstore
memstore device bytes = ${CEPH_BYTES:-4294967296}
pid file = $dir/osd.pid
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:$port
rgw data = $dir/rgw
rgw enable usage log = false
# Quotas are looked at for each object, not now and then.
rgw bucket quota ttl = 0
rgw bucket quota soft threshold = 0
rgw user quota bucket sync interval = 1
CONF
  key() {
    ceph-authtool "$dir/keyring" --gen-key -n "$@" >"$dir/log/setup"
  }
  ceph-authtool --create-keyring "$dir/keyring" --gen-key -n mon. --cap mon 'allow *' >"$dir/log/setup"
  key client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
  key osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
  key client.rgw --cap mon 'allow rw' --cap osd 'allow rwx'
  monmaptool --create --clobber --addv a "[v2:127.0.0.1:$1,v1:127.0.0.1:$2]" --fsid "$id" "$dir/monmap" >"$dir/log/setup"
  # The monitor is born with all keys, so that no further command has to tell it.
  ceph-mon -c "$conf" --mkfs -i a --monmap "$dir/monmap" --keyring "$dir/keyring" >"$dir/log/setup" 2>&1
  ceph-mon -c "$conf" -i a
  osd=$(cat /proc/sys/kernel/random/uuid)
  timeout 30 ceph -c "$conf" osd new "$osd" >"$dir/log/setup" 2>&1
  ceph-osd -c "$conf" -i 0 --mkfs --osd-uuid "$osd" >"$dir/log/setup" 2>&1
  ceph-osd -c "$conf" -i 0 >"$dir/log/setup" 2>&1
  secret=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  limited=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  admin user create --uid=cora --display-name=cora --access-key=CORAKEY --secret-key="$secret" >"$dir/log/setup" 2>&1
  admin user create --uid=limited --display-name=limited --access-key=LIMITEDKEY --secret-key="$limited" --max-buckets=-1 >"$dir/log/setup" 2>&1
  radosgw -c "$conf" -n client.rgw --pid-file="$dir/rgw.pid" >"$dir/log/setup" 2>&1
  tries=0
  until python3 -c 'import sys, urllib.request; urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1], timeout=2)' "http://127.0.0.1:$port/" 2>/dev/null; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || {
      echo "radosgw does not answer; see $dir/log" >&2
      exit 1
    }
    sleep 0.2
  done
  cat >"$dir/env" <<ENV
ENDPOINT=http://127.0.0.1:$port
ACCESS_KEY=CORAKEY
SECRET_KEY=$secret
LIMITED_ACCESS_KEY=LIMITEDKEY
LIMITED_SECRET_KEY=$limited
ENV
  trap - EXIT
  cat "$dir/env"
}

admin() {
  timeout 60 radosgw-admin -c "$dir/ceph.conf" "$@"
}

case $command in
up) up ;;
down) down ;;
admin)
  shift 2
  admin "$@"
  ;;
*)
  echo "Unknown: $command" >&2
  exit 2
  ;;
esac
