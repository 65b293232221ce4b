// Which files are taken for secrets by their names, and that they stay here.

import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { fromText } from '../src/base/bytes.ts';
import { findProgram } from '../src/os/run.ts';
import { secretReason } from '../src/source/secrets.ts';
import { Sandbox } from './support/sandbox.ts';

const SECRET = [
  '.env',
  'app/.env.production',
  '.env.local',
  '.envrc',
  'prod.env',
  'certs/server.pem',
  'server.key',
  'SERVER.KEY',
  'store.p12',
  'store.pfx',
  'a.jks',
  'pass.kdbx',
  'id_rsa',
  'keys/id_ed25519',
  '.npmrc',
  '.netrc',
  '.pgpass',
  '.pypirc',
  'credentials',
  'credentials.json',
  'google-credentials.json',
  'config/secrets.yml',
  'my-secret.json',
  'app_secrets.toml',
  'service-account.json',
  'service_account-prod.json',
  '.aws/credentials',
  '.aws/config',
  'home/.ssh/config',
  '.ssh/work_key',
  '.gnupg/secring.gpg',
  'kubeconfig',
  '.kube/config',
  '.htpasswd',
  'prod.tfvars',
  'terraform.tfstate',
  'terraform.tfstate.backup',
  'key.txt',
  'age-key.txt',
  'config/master.key',
  '.git-credentials',
  'rclone.conf',
  '.docker/config.json',
  'secrets/db.txt',
  'api_key.txt',
  '.vault_pass',
  'wp-config.php',
  'default.key',
  'example.pem',
  '.env.default',
];

const HARMLESS = [
  '.env.example',
  '.env.sample',
  '.env.template',
  'app/.env.dist',
  'secrets.example.yml',
  'environment.ts',
  'src/secrets.ts',
  'test/secrets.test.ts',
  'src/secrets/index.ts',
  'docs/secrets.md',
  'src/credentials.ts',
  'src/keys.ts',
  'keyboard.json',
  'package.json',
  'id_rsa.pub',
  '.ssh/known_hosts',
  '.ssh/id_ed25519.pub',
  'monkey.txt',
  'README.md',
  'notes.db',
  'src/token.ts',
  'tokenizer.json',
  'environment.yml',
  'secretary.md',
  'AGENTS.md',
  'credentials.yml.enc',
  'release.tar.gz.asc',
  'secrets.json.age',
];

describe('by its name', () => {
  test.each(SECRET)('%s is taken for a secret', (path) => expect(secretReason(fromText(path))).toBeDefined());
  test.each(HARMLESS)('%s is not', (path) => expect(secretReason(fromText(path))).toBeUndefined());
});

const sandbox = new Sandbox();
afterAll(() => sandbox.remove());

test.skipIf(findProgram('rclone') === undefined)('a backup that holds secrets does not leave in the clear; the refusal names them', async () => {
  const files = ['.env', 'a.txt', 'päth/server.key', '.env.example', 'tab\there/.npmrc'];
  for (const path of files) {
    mkdirSync(dirname(join(sandbox.project, path)), { recursive: true });
    writeFileSync(join(sandbox.project, path), path);
  }
  const remote = join(sandbox.root, 'nas');
  mkdirSync(remote);
  await sandbox.snapshot(['backup', 'now']);
  const run = await sandbox.cora(['ship', '--remote', remote]);
  expect(run.code, run.stderr).toBe(20);
  for (const path of ['.env', 'päth/server.key', 'tab\\x09here/.npmrc']) expect(run.stderr).toContain(path);
  expect(run.stderr).not.toContain('.env.example');
  expect(readdirSync(remote)).toEqual([]);
});
