// The part of a configuration file that adds phrases to `cora say`: `[phrases]`. Only what reads or adds: no phrase
// of a file restores, protects or ends anything. Belongs to config-file.ts.

import * as z from 'zod/mini';

const PHRASES = 'must be a list of phrases such as ["stash the goods"]';
const phrases = z.optional(z.array(z.string({ error: PHRASES }).check(z.regex(/^[^\n\r\0]{3,200}$/, { error: PHRASES })), { error: PHRASES }));

export const phrasesSchema = z.strictObject(
  { save: phrases, backup: phrases, verify: phrases, list: phrases, size: phrases, last: phrases, health: phrases, lost: phrases },
  { error: (issue) => (issue.code === 'invalid_type' ? 'must be a table' : undefined) },
);
