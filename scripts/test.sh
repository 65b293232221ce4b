#!/bin/sh
# What `npm test` runs, all of it even after a failure: the tools, the lint steps, every test.
# Closes with what was skipped, by name, and one line of counts. A lint step counts as one test.
# --faults: the tests of test/faults instead (kills, power cuts, full disks, random trees), without the lint steps;
# --page: those of test/page (the page in a real Chromium, hostile clients of cora serve).

cd "$(dirname "$0")/.." || exit 1
# The carried Node comes first, however this script was started.
PATH=$PWD/node_modules/.bin:$PATH
export PATH
if [ ! -x node_modules/.bin/vitest ]; then
  echo 'The test tools are not installed: run npm ci' >&2
  exit 1
fi

config=vitest.config.ts
if [ "${1-}" = --faults ]; then
  config=vitest.faults.config.ts
  shift
elif [ "${1-}" = --page ]; then
  config=vitest.page.config.ts
  shift
fi

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

sh scripts/test-tools.sh >"$work/tools"
grep -v '^skipped: ' "$work/tools"

lint_passed=0
lint_failed=0
lint() {
  printf '\n== %s\n' "$*"
  if "$@"; then
    lint_passed=$((lint_passed + 1))
  else
    lint_failed=$((lint_failed + 1))
    printf 'failed: %s\n' "$*" >>"$work/lint"
  fi
}
: >"$work/lint"
if [ "$config" = vitest.config.ts ]; then
  lint biome check --error-on-warnings .
  lint tsc --noEmit
  lint tsc --noEmit -p web
  lint knip --no-progress
fi

printf '\n== vitest\n'
CORA_TEST_SUMMARY=$work/summary vitest run --config "$config" "$@"
status=$?

printf '\n'
grep '^skipped: ' "$work/tools"
cat "$work/lint"
[ -f "$work/summary" ] || echo 'counts 0 1 0' >"$work/summary"
grep -v '^counts ' "$work/summary"
read -r _ passed failed skipped <<COUNTS
$(grep '^counts ' "$work/summary")
COUNTS
if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
failed=$((failed + lint_failed))
echo "$((passed + lint_passed)) passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
