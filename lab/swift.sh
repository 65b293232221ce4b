#!/bin/sh
# A second real S3 server on loopback: OpenStack Swift with its s3api middleware, one copy of everything, all in one directory.
# It checks signatures and knows multipart uploads (as SLO) and versioning; it has no Object Lock, and answers 200 to a request
# for one while it overwrites the object with the request's body: that is why it is here.
#
#   lab/swift.sh up DIR     starts it, waits until it answers, prints KEY=VALUE lines (also in DIR/env)
#   lab/swift.sh down DIR   ends what DIR/*.pid names, nothing else; DIR itself stays
#   lab/swift.sh packages   the Debian packages it needs
#
# No root, no systemd, nothing in /etc/swift. Ends with 75 where Swift is not installed. About 260 MB of memory.

set -eu
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
command=${1:-}
if [ "$command" = packages ]; then
  echo 'swift-proxy swift-account swift-container swift-object memcached'
  exit 0
fi
[ $# -eq 2 ] || {
  echo 'Usage: swift.sh up|down DIR, or swift.sh packages' >&2
  exit 2
}
mkdir -p "$2"
dir=$(cd "$2" && pwd -P)
umask 077
# Debian's own Python has Swift's modules; a newer one in PATH has not.
python=/usr/bin/python3

# A pid file is trusted only while that process has our directory in its command line.
end() {
  for name in "$@"; do
    [ -s "$dir/$name.pid" ] || continue
    pid=$(cat "$dir/$name.pid")
    if tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$dir/"; then
      # A server of Swift is a parent and its worker; the parent ends both.
      kill "$pid" 2>/dev/null || :
      tries=0
      while [ -d "/proc/$pid" ] && [ "$tries" -lt 30 ]; do
        sleep 0.1
        tries=$((tries + 1))
      done
      kill -9 "$pid" 2>/dev/null || :
    fi
    rm -f "$dir/$name.pid"
  done
}

down() {
  end proxy object container account memcached
}

free_ports() {
  $python -c 'import socket, sys
held = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in held: s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in held))' "$1"
}

# Swift reads /etc/swift/swift.conf while its modules load; this makes it read the file in its first argument.
WITH_CONF='import runpy, sys
from swift.common import utils
utils.SWIFT_CONF_FILE = sys.argv[1]
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")'

ring() {
  $python -c "$WITH_CONF" "$dir/swift.conf" "$(command -v swift-ring-builder)" "$@"
}

serve() {
  setsid $python -c "$WITH_CONF" "$dir/swift.conf" "$(command -v "swift-$1-server")" "$dir/$1.conf" </dev/null >"$dir/log/$1" 2>&1 &
  echo $! >"$dir/$1.pid"
}

up() {
  for program in swift-proxy-server swift-account-server swift-container-server swift-object-server swift-ring-builder memcached setsid; do
    command -v "$program" >/dev/null || {
      echo "$program is missing: apt-get install $("$0" packages)" >&2
      exit 75
    }
  done
  down
  # What did not come up whole goes down again.
  trap down EXIT
  rm -rf "$dir/srv" "$dir/log" "$dir"/*.builder "$dir"/*.ring.gz "$dir"/*.conf "$dir/backups" "$dir/env"
  mkdir -p "$dir/srv/d1" "$dir/log"
  # shellcheck disable=SC2046  # a list of numbers
  set -- $(free_ports 5)
  secret=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  user=$(id -un)
  cat >"$dir/swift.conf" <<CONF
[swift-hash]
swift_hash_path_prefix = cora
swift_hash_path_suffix = cora
[storage-policy:0]
name = Policy-0
default = yes
CONF
  # The rings lie where the servers' swift_dir points; each is made from the same one device.
  for entry in "account:$1" "container:$2" "object:$3"; do
    name=${entry%:*}
    (
      cd "$dir"
      ring "$name.builder" create 4 1 1
      ring "$name.builder" add "r1z1-127.0.0.1:${entry#*:}/d1" 1
      ring "$name.builder" rebalance
    ) >"$dir/log/ring-$name" 2>&1 &
    cat >"$dir/$name.conf" <<CONF
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = ${entry#*:}
user = $user
swift_dir = $dir
devices = $dir/srv
mount_check = false
workers = 0
log_level = WARNING
[pipeline:main]
pipeline = $name-server
[app:$name-server]
use = egg:swift#$name
CONF
  done
  wait
  for name in account container object; do
    [ -s "$dir/$name.ring.gz" ] || {
      cat "$dir/log/ring-$name" >&2
      exit 1
    }
  done
  # versioned_writes dies without symlink; slo is what makes multipart uploads whole.
  cat >"$dir/proxy.conf" <<CONF
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $4
user = $user
swift_dir = $dir
workers = 0
log_level = WARNING
[pipeline:main]
pipeline = catch_errors gatekeeper proxy-logging cache listing_formats bulk s3api tempauth symlink slo dlo versioned_writes proxy-logging proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:proxy-logging]
use = egg:swift#proxy_logging
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:$5
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
s3_acl = false
check_bucket_owner = false
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = $secret .admin
[filter:symlink]
use = egg:swift#symlink
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
allow_object_versioning = true
CONF
  # The directory is named in the command line, so that the pid file can be checked against it.
  setsid memcached -u "$user" -l 127.0.0.1 -p "$5" -U 0 -m 16 -P "$dir/memcached.own" </dev/null >"$dir/log/memcached" 2>&1 &
  echo $! >"$dir/memcached.pid"
  for name in account container object proxy; do serve "$name"; done
  tries=0
  # Any answer is one: an unsigned request is refused by design.
  until $python -c 'import sys, urllib.error, urllib.request
try:
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1], timeout=2)
except urllib.error.HTTPError:
    pass' "http://127.0.0.1:$4/" 2>/dev/null; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || {
      echo "Swift does not answer; see $dir/log" >&2
      exit 1
    }
    sleep 0.2
  done
  cat >"$dir/env" <<ENV
ENDPOINT=http://127.0.0.1:$4
ACCESS_KEY=test:tester
SECRET_KEY=$secret
ENV
  trap - EXIT
  cat "$dir/env"
}

case $command in
up) up ;;
down) down ;;
*)
  echo "Unknown: $command" >&2
  exit 2
  ;;
esac
