// The heavy servers of `npm run test:offsite`: started once before its tests, ended after them. A test file learns from
// CORA_TEST_CEPH and CORA_TEST_SWIFT where they are, or why they are not.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const lab = join(import.meta.dirname, '..', '..', 'lab');
const SCRIPTS = { CORA_TEST_CEPH: 'ceph-rgw.sh', CORA_TEST_SWIFT: 'swift.sh' } as const;

type Ran = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

export async function setup(): Promise<() => Promise<void>> {
  // Given by scripts/test-offsite.sh, which ends the servers also where this process is killed.
  const root = process.env['CORA_TEST_SERVERS'] ?? mkdtempSync(join(tmpdir(), 'cora-offsite-'));
  const teardown = async (): Promise<void> => {
    await Promise.all(Object.values(SCRIPTS).map((script) => run(script, 'down', join(root, script))));
    rmSync(root, { recursive: true, force: true });
  };
  try {
    await Promise.all(
      Object.entries(SCRIPTS).map(async ([name, script]) => {
        const directory = join(root, script);
        const { code, stdout, stderr } = await run(script, 'up', directory);
        if (code !== 0 && code !== 75) throw new Error(`lab/${script} up ended with ${code}: ${stderr}`);
        process.env[name] = JSON.stringify(code === 0 ? { directory, ...parse(stdout) } : { why: stderr.trim() });
      }),
    );
  } catch (error) {
    await teardown();
    throw error;
  }
  return teardown;
}

function run(script: string, command: 'up' | 'down', directory: string): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn('sh', [join(lab, script), command, directory], { stdio: ['ignore', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.on('error', reject);
    // Not `close`: a server that the script left running may keep its end of a pipe.
    child.on('exit', (code) => setTimeout(() => resolve({ code, stdout, stderr }), 50));
  });
}

function parse(lines: string): Record<string, string> {
  const pairs = lines.split('\n').flatMap((line) => {
    const at = line.indexOf('=');
    return at < 0 ? [] : [[line.slice(0, at), line.slice(at + 1)] as const];
  });
  const of = Object.fromEntries(pairs);
  return { endpoint: of['ENDPOINT'] ?? '', accessKey: of['ACCESS_KEY'] ?? '', secretKey: of['SECRET_KEY'] ?? '', ...limitedOf(of) };
}

function limitedOf(of: Readonly<Record<string, string>>): Record<string, string> {
  const [limitedAccessKey, limitedSecretKey] = [of['LIMITED_ACCESS_KEY'], of['LIMITED_SECRET_KEY']];
  return limitedAccessKey === undefined || limitedSecretKey === undefined ? {} : { limitedAccessKey, limitedSecretKey };
}
