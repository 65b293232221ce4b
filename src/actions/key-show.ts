// `cora key show`: what a key file is for, and its secret for the paper key. Nothing is written.

import { readIdentityFile, secretsOf } from '../os/age-keys.ts';
import type { ProjectFacts } from './open-project.ts';

export type ShownKey = {
  readonly path: string;
  readonly recipients: readonly string[];
  /** Those of the recipients that copies of this project are encrypted for now. */
  readonly used: readonly string[];
  /** SECRET; undefined unless it was asked for. */
  readonly secrets: readonly string[] | undefined;
};

/**
 * @param path absolute
 * @throws CoraError not_found, refused, key_wrong
 */
export async function showKey(path: string, project: ProjectFacts | undefined, withSecret: boolean): Promise<ShownKey> {
  const file = await readIdentityFile(path);
  const configured = project?.config.offsite.recipients ?? [];
  return {
    path,
    recipients: file.recipients,
    used: file.recipients.filter((recipient) => configured.includes(recipient)),
    secrets: withSecret ? secretsOf(file) : undefined,
  };
}
