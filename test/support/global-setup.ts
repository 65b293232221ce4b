// Once before all tests: an environment that is nobody's (no CORA_*, no GIT_*, an empty home,
// so that no test passes thanks to the developer's own settings), and a fresh dist/.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export function setup(): () => void {
  for (const name of Object.keys(process.env)) {
    if (/^(CORA|GIT|XDG|RESTIC|BORG|RCLONE)_/.test(name) && !name.startsWith('CORA_TEST_')) delete process.env[name];
  }
  const home = mkdtempSync(join(tmpdir(), 'cora-home-'));
  process.env['HOME'] = home;

  const root = join(import.meta.dirname, '..', '..');
  const build = spawnSync(process.execPath, [join(root, 'scripts', 'build.mjs')], { encoding: 'utf8' });
  if (build.status !== 0) {
    const message = `The build failed, dist/ is old or missing:\n${build.stderr.slice(0, 2000)}`;
    // One test file run by hand while src is half written may still be worth its result; `npm test` never is.
    if (!process.env['CORA_TEST_SUMMARY']) console.error(message);
    else {
      rmSync(home, { recursive: true, force: true });
      throw new Error(message);
    }
  }
  return () => rmSync(home, { recursive: true, force: true });
}
