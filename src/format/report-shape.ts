// Whether a REPORT.json that came from elsewhere is one: types and names that the rest of Cora relies on without looking. A report
// that was made here needs no check; one out of a copy off-site may have been written by anybody (docs/offsite.md).

import * as z from 'zod/mini';

const count = z.int().check(z.nonnegative(), z.maximum(1e15));
const time = z.string().check(z.refine((text) => !Number.isNaN(Date.parse(text))));
/** Joined to a directory of the vault. */
const name = z.string().check(z.regex(/^[A-Za-z0-9_][A-Za-z0-9._-]*$/));
const path = z.string().check(z.refine((text) => !text.includes('\0') && text.split('/').every((part) => part !== '' && part !== '..')));
const timezone = z.string().check(z.maxLength(64));
const ofPath = z.looseObject({ path });

const shape = z.looseObject({
  schema: z.literal(1),
  kind: z.enum(['save', 'backup', 'fallback']),
  type: z.enum(['daily', 'weekly', 'monthly', 'manual', 'auto', 'save', 'fallback']),
  snapshot_id: z.string(),
  vault_id: z.string(),
  sequence: count,
  status: z.enum(['complete', 'partial', 'suspect']),
  project: z.looseObject({ name, root: z.string().check(z.regex(/^\/[^\0]*$/)) }),
  host: z.record(z.string(), z.string()),
  timezone,
  git: z.nullable(
    z.looseObject({
      sha: z.string().check(z.regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})?$/)),
      branch: z.nullable(z.string()),
      remotes: z.array(z.string()),
      bundle: z.optional(z.nullable(z.string().check(z.regex(/^[A-Za-z0-9_][A-Za-z0-9._-]*\.bundle$/)))),
    }),
  ),
  note: z.nullable(z.string()),
  label: z.nullable(z.string()),
  trigger: z.string(),
  backup_start: time,
  backup_end: time,
  keyframe: z.nullable(z.string()),
  exported_from: z.nullable(z.string()),
  databases: z.array(z.looseObject({ path, stored: z.enum(['copy', 'raw']), journal_mode: z.string(), rows: z.number(), size: count })),
  units: z.array(ofPath),
  artefacts: z.optional(z.array(z.looseObject({ name: z.string(), path }))),
  critical: z.array(z.string()),
  large_files: z.array(z.looseObject({ path: z.string(), size: count })),
  capped: z.array(z.looseObject({ path: z.string(), size: count, sha256: z.string() })),
  not_covered: z.array(z.looseObject({ path: z.string(), reason: z.string() })),
  attributes_lost: z.optional(z.array(z.looseObject({ path, names: z.array(z.string()) }))),
  problems: z.array(z.looseObject({ code: z.string(), message: z.string(), severity: z.string() })),
  losses: z.optional(z.array(ofPath)),
});

/** What is wrong with it, as `project.name`; undefined where it is a report. */
export function whyNoReport(value: unknown): string | undefined {
  const result = shape.safeParse(value);
  return result.success ? undefined : (result.error.issues[0]?.path.join('.') ?? '');
}
