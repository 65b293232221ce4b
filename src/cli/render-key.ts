// `cora key` as lines for people and as JSON documents. Pure. A secret is in them only where `--secret` asked for it.

import { recipientLine } from '../actions/key-config.ts';
import type { NewKey } from '../actions/key-new.ts';
import type { ShownKey } from '../actions/key-show.ts';
import type { KeyTest } from '../actions/key-test.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import { type PaperFacts, paperLines, qrLines } from './key-paper.ts';
import { visible } from './render.ts';

type Document = Readonly<Record<string, unknown>>;

/** @param project undefined outside of one */
export function newKeyLines({ path, recipient, config }: NewKey, project: string | undefined): string[] {
  const next =
    config === undefined
      ? [
          `Not used yet: write this below [offsite] of ${project === undefined ? "the project's configuration" : `the configuration of ${visible(project)}`} (docs/keys.md):`,
          `  ${recipientLine(recipient)}`,
        ]
      : [`Written:   ${recipientLine(recipient)}`, `      into ${visible(config.path)}: copies from now on are encrypted for it`];
  return [
    `Identity:  ${visible(path)} (secret; mode 0600)`,
    `Recipient: ${recipient}`,
    ...next,
    '',
    'WITHOUT THIS IDENTITY NOBODY OPENS THE COPIES: not you, not Cora, not the provider. Now, today:',
    `  1. Print it:              cora key show --secret ${visible(path)} | lp`,
    '  2. Keep it elsewhere:     a copy off this machine (a safe, a password manager), where the copies are not',
    '  3. Try it, once shipped:  cora key test',
  ];
}

export function newKeyDocument({ path, recipient, config }: NewKey): Document {
  return { path, recipient, config: config?.path ?? null };
}

export function shownKeyLines(key: ShownKey, facts: PaperFacts, withQr: boolean): string[] {
  const { secrets, recipients, used, path } = key;
  if (secrets !== undefined)
    return secrets.flatMap((secret, index) => [...(index === 0 ? [] : ['']), ...paperLines(secret, recipients[index] ?? '', facts)]);
  return [
    `Identity:  ${visible(path)}`,
    ...recipients.flatMap((recipient) => [
      `Recipient: ${recipient}`,
      ...(facts.project === undefined
        ? []
        : [
            used.includes(recipient)
              ? `           copies of ${visible(facts.project)} are encrypted for it`
              : `           copies of ${visible(facts.project)} are not encrypted for it: ${recipientLine(recipient)} below [offsite] does that`,
          ]),
      ...(withQr ? qrLines(recipient) : []),
    ]),
  ];
}

export function shownKeyDocument({ path, recipients, used, secrets }: ShownKey): Document {
  return { path, recipients, used, ...(secrets === undefined ? {} : { secrets }) };
}

export function keyTestLines(tests: readonly KeyTest[]): string[] {
  return tests.flatMap(({ remote, directory, identity, objects, seconds }) => [
    ...objects.map(
      ({ name, bytes, whole }) =>
        `  ${visible(name)}: ${whole ? `all ${formatBytes(bytes)} opened and compared` : `opened (its first ${formatBytes(bytes)})`}`,
    ),
    `${visible(identity)} opens ${visible(directory)} at ${visible(remote)} (${formatDuration(seconds * 1000)})`,
  ]);
}

export function keyTestDocument(tests: readonly KeyTest[]): Document {
  return {
    tests: tests.map(({ remote, directory, id, identity, objects, recorded, seconds }) => ({
      remote,
      directory,
      snapshot_id: id,
      identity,
      objects,
      recorded,
      seconds: Math.round(seconds * 1000) / 1000,
    })),
  };
}
