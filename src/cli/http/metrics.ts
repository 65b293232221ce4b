// The state as Prometheus text (docs/http.md). Pure. Names and units never change their meaning; what is not known is
// not there, because a 0 would be a figure.

import { VERSION } from '../../base/version.ts';
import type { State } from './state.ts';

type Value = number | boolean | undefined;
type Sample = { readonly labels?: Readonly<Record<string, string>>; readonly value: Value };
type Metric = { readonly name: string; readonly help: string; readonly samples: readonly Sample[] };

const LEVELS = { ok: 0, note: 0, warning: 1, critical: 2 } as const;

/** @param now milliseconds since 1970 */
export function metricsText(state: State, now: number): string {
  return metricsOf(state, now).flatMap(linesOf).join('');
}

function metricsOf({ status, health, promises }: State, now: number): readonly Metric[] {
  const { vault, last_drill: drill } = status;
  const age = (time: number | undefined) => (time === undefined ? undefined : Math.max(0, Math.round((now - time) / 1000)));
  const one = (value: Value): readonly Sample[] => [{ value }];
  const runs = { save: status.last_save, backup: status.last_backup, verify: status.last_verify };
  const trend = health.backups?.at(-1);
  const remotes = status.offsite ?? [];
  return [
    {
      name: 'cora_info',
      help: 'Version of Cora and the project that is looked at.',
      samples: [{ labels: { version: VERSION, project: status.project.name }, value: 1 }],
    },
    { name: 'cora_health_level', help: 'What cora health says: 0 ok, 1 warning, 2 critical.', samples: one(LEVELS[health.health]) },
    {
      name: 'cora_health_check_level',
      help: 'What each of its checks says: 0 ok or a note, 1 warning, 2 critical.',
      samples: [...new Map(health.checks.toSorted((a, b) => LEVELS[a.level] - LEVELS[b.level]).map(({ name, level }) => [name, level]))].map(
        ([name, level]) => ({ labels: { check: name }, value: LEVELS[level] }),
      ),
    },
    {
      name: 'cora_promise_kept',
      help: 'Whether a promise (durable, verified, sealed, offsite, drilled) is kept; absent where nothing of it was ever tried.',
      samples: promises.map(({ name, kept }) => ({ labels: { promise: name }, value: kept })),
    },
    {
      name: 'cora_promise_age_seconds',
      help: 'Age of what a promise stands on.',
      samples: promises.map(({ name, at }) => ({ labels: { promise: name }, value: age(at) })),
    },
    {
      name: 'cora_last_run_age_seconds',
      help: 'Since the last save, backup, verification and drill.',
      samples: [...Object.entries(runs), ['drill', drill] as const].map(([kind, run]) => ({ labels: { kind }, value: age(run?.time) })),
    },
    {
      name: 'cora_last_run_ok',
      help: 'Whether it ended well.',
      samples: [
        ...Object.entries(runs).map(([kind, run]) => ({ labels: { kind }, value: run?.ok })),
        { labels: { kind: 'drill' }, value: drill === null ? undefined : drill.outcome === 'ok' },
      ],
    },
    { name: 'cora_last_backup_bytes', help: 'Bytes of the last backup.', samples: one(trend?.size ?? undefined) },
    {
      name: 'cora_last_backup_duration_seconds',
      help: 'How long the last backup took.',
      samples: one(trend?.duration ?? undefined),
    },
    {
      name: 'cora_last_backup_wal_bytes',
      help: 'Bytes of the write-ahead logs of databases when they were copied.',
      samples: one(trend?.wal_size ?? undefined),
    },
    {
      name: 'cora_snapshots',
      help: 'Snapshots in the vault.',
      samples: Object.entries({ save: status.saves, backup: status.backups, fallback: status.fallbacks }).map(([kind, value]) => ({
        labels: { kind },
        value,
      })),
    },
    { name: 'cora_backups_sealed', help: 'Backups with the immutable flag.', samples: one(status.sealed) },
    { name: 'cora_vault_bytes', help: 'Bytes of the vault.', samples: one(vault.exists ? vault.size : undefined) },
    { name: 'cora_vault_free_bytes', help: "Bytes that the vault's disk has left.", samples: one(vault.exists ? vault.free : undefined) },
    {
      name: 'cora_vault_same_disk',
      help: '1 where the vault lies on the disk of the project.',
      samples: one(vault.exists ? vault.same_disk : undefined),
    },
    { name: 'cora_failed_runs', help: 'Runs that failed since the last success.', samples: one(status.failures.count) },
    { name: 'cora_pushes_without_save', help: 'Pushes without a save in seven days.', samples: one(status.failures.pushes_without_save) },
    { name: 'cora_losses', help: 'Losses that stand.', samples: one(status.losses.length) },
    { name: 'cora_warnings', help: 'Warnings of cora status.', samples: one(status.warnings.length) },
    { name: 'cora_drills', help: 'Restore drills on record.', samples: one(health.drills.count) },
    { name: 'cora_drills_succeeded', help: 'Of them, those that proved a restore.', samples: one(health.drills.succeeded) },
    {
      name: 'cora_remote_copies',
      help: 'Copies at a remote.',
      samples: remotes.map(({ remote, copies }) => ({ labels: { remote }, value: copies })),
    },
    {
      name: 'cora_remote_unshipped',
      help: 'Snapshots that ought to be there and are not.',
      samples: remotes.map(({ remote, unshipped }) => ({ labels: { remote }, value: unshipped })),
    },
  ];
}

function linesOf({ name, help, samples }: Metric): readonly string[] {
  const known = samples.filter(({ value }) => value !== undefined);
  if (known.length === 0) return [];
  const lines = known.map(({ labels, value }) => `${name}${labelText(labels)} ${Number(value)}\n`);
  return [`# HELP ${name} ${help}\n`, `# TYPE ${name} gauge\n`, ...lines];
}

function labelText(labels: Readonly<Record<string, string>> | undefined): string {
  if (labels === undefined) return '';
  const escaped = (text: string) => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
  return `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(',')}}`;
}
