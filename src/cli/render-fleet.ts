// What is known of copies off-site, as lines for people and as JSON documents (docs/json.md): the rule 3-2-1-1-0 and the state of
// each remote, of this project and of all that lie at a remote. Pure.

import type { FleetProject, FleetRemote } from '../actions/fleet.ts';
import type { RemoteHeads } from '../actions/offsite-chain.ts';
import type { OffsiteStatus, RemotePlace, RemoteState } from '../actions/offsite-status.ts';
import type { Rule, RulePart } from '../actions/three-two-one.ts';
import { formatAge, formatBytes } from '../base/units.ts';
import { table } from './columns.ts';
import { counted, visible } from './render.ts';

type Document = Readonly<Record<string, unknown>>;

/** Both parts of `cora status` that are about copies; null without a vault. */
export type Offsite = { readonly status: OffsiteStatus; readonly rule: Rule };

export function offsiteLines({ status, rule }: Offsite, now: number): string[] {
  return [...status.remotes.map((state) => `Off-site  ${remoteText(state, now)}`), ...ruleLines(rule, now)];
}

const PLACES: Readonly<Record<RemotePlace, string>> = {
  remote: '',
  network: ' (mounted from another machine)',
  disk: ' (another disk)',
  same_disk: ' (the SAME disk)',
  missing: ' (NOT there)',
};

function remoteText(state: RemoteState, now: number): string {
  const { newest, newestTime, unshipped, unshippedSince, lastTry, error } = state;
  const parts = [`${visible(state.remote)}${PLACES[state.place]}, env ${visible(state.env)}`];
  if (newest === undefined || newestTime === undefined) parts.push('no copy');
  else {
    parts.push(
      `newest copy ${formatAge(now - newestTime)} (${newest.id})`,
      `${counted(state.copies, 'copy', 'copies')}, ${formatBytes(state.bytes)}`,
    );
    parts.push(newest.encryption === 'age' ? 'encrypted' : 'in the clear', lockText(newest.lock, now));
  }
  if (unshipped > 0) parts.push(`${unshipped} unshipped since ${unshippedSince === undefined ? 'ever' : formatAge(now - unshippedSince)}`);
  if (error !== undefined) parts.push(`last try${lastTry === undefined ? '' : ` ${formatAge(now - lastTry)}`} FAILED`);
  if (!state.configured) parts.push('not configured');
  return parts.filter((part) => part !== '').join(', ');
}

function lockText(lock: NonNullable<RemoteState['newest']>['lock'], now: number): string {
  if (lock === undefined) return '';
  if (lock.state === 'locked' && Date.parse(lock.until) <= now) return 'its lock has ended';
  return lock.state === 'locked' ? `locked until ${lock.until.slice(0, 10)}` : lock.state === 'none' ? 'can be deleted there' : '';
}

const TITLES: Readonly<Record<RulePart['name'], string>> = {
  copies: 'copies',
  media: 'media',
  offsite: 'off-site',
  immutable: 'immutable',
  errors: 'errors',
};

function ruleLines({ met, parts }: Rule, now: number): string[] {
  const missing = parts.filter((part) => !part.met).map(({ name }) => TITLES[name]);
  return [
    `3-2-1-1-0 ${met ? 'met' : `NOT met: ${missing.join(', ')}`}`,
    ...parts.map((part) => {
      const of = part.of.map(({ what, time, until }) => {
        const age = time === undefined ? '' : ` ${formatAge(now - time)}`;
        return `${visible(what)}${age}${until === undefined ? '' : ` until ${new Date(until).toISOString().slice(0, 10)}`}`;
      });
      const count = part.have === undefined ? 'unknown, no restore was ever proven' : `${part.have} of ${part.want}`;
      return `  ${TITLES[part.name].padEnd(10)}${part.met ? '' : '! '}${count}${of.length === 0 ? '' : `: ${of.join(', ')}`}${part.next === undefined ? '' : `. ${part.next}`}`;
    }),
  ];
}

export function ruleDocument({ met, parts }: Rule): Document {
  const entries = parts.map(({ name, have, want, met: isMet, of, next }) => [
    name,
    {
      have: have ?? null,
      want,
      met: isMet,
      of: of.map(({ what, time, until }) => ({ what, time: rfc3339(time), ...(until === undefined ? {} : { until: rfc3339(until) }) })),
      next: next ?? null,
    },
  ]);
  return { met, ...Object.fromEntries(entries) };
}

export function remotesDocument({ remotes }: OffsiteStatus): Document[] {
  return remotes.map(({ newest, newestTime, unshippedSince, lastTry, openedAt, ...state }) => ({
    remote: state.remote,
    env: state.env,
    configured: state.configured,
    place: state.place,
    copies: state.copies,
    size: state.bytes,
    newest:
      newest === undefined
        ? null
        : {
            snapshot_id: newest.id,
            kind: newest.kind,
            time: rfc3339(newestTime),
            shipped_at: newest.shipped_at,
            checked_at: newest.checked_at,
            size: newest.bytes,
            encryption: newest.encryption,
            lock: newest.lock ?? null,
          },
    current: state.current,
    unshipped: state.unshipped,
    unshipped_since: rfc3339(unshippedSince),
    last_try: rfc3339(lastTry),
    error: state.error ?? null,
    opened_at: rfc3339(openedAt),
  }));
}

function rfc3339(time: number | undefined): string | null {
  return time === undefined ? null : new Date(time).toISOString();
}

const ENCRYPTION = { age: 'encrypted', none: 'in the clear', mixed: 'partly encrypted' } as const;

/** One line a project; the oldest newest copy is what needs a look. */
export function fleetLines(remotes: readonly FleetRemote[], now: number): string[] {
  return remotes.flatMap(({ remote, projects, damaged, error }) => {
    // The only remote's failure is the run's, which is said on stderr.
    if (error !== undefined) return remotes.length === 1 ? [] : [`FAILED ${visible(remote)}: ${visible(error.message)}`];
    const rows = projects.map(({ env, project, host, newest, newestTime, copies, bytes, encryption }) => [
      visible(env),
      visible(project),
      visible(host),
      formatAge(now - newestTime),
      `${newest.snapshot_id}${newest.status === 'complete' ? '' : ` (${newest.status === 'suspect' ? 'SUSPECT' : 'INCOMPLETE'})`}`,
      String(copies),
      formatBytes(bytes),
      ENCRYPTION[encryption],
    ]);
    const total = projects.reduce((sum, { bytes }) => sum + bytes, 0);
    return [
      `${visible(remote)}: ${counted(projects.length, 'project')}, ${formatBytes(total)}`,
      ...(rows.length === 0 ? [] : table([['ENV', 'PROJECT', 'HOST', 'AGE', 'NEWEST', 'COPIES', 'SIZE', ''], ...rows], new Set([5, 6]))),
      ...sharedEnvs(projects),
      ...damaged.map(({ directory, reason }) => `NO COPY ${visible(directory)}: ${visible(reason)}`),
    ];
  });
}

/** An env belongs to one vault; ship refuses a second one, and yet a person may have copied it there. */
function sharedEnvs(projects: readonly FleetProject[]): string[] {
  const seen = new Map<string, number>();
  for (const { env } of projects) seen.set(env, (seen.get(env) ?? 0) + 1);
  return [...seen].filter(([, vaults]) => vaults > 1).map(([env, vaults]) => `warning: ${visible(env)} holds copies of ${vaults} vaults`);
}

export function fleetDocument(remotes: readonly FleetRemote[], now: number): Document {
  return {
    remotes: remotes.map(({ remote, projects, damaged, error }) => ({
      remote,
      projects: projects.map(({ newest, newestTime, vaultId, bytes, ...project }) => ({
        env: project.env,
        project: project.project,
        host: project.host,
        vault_id: vaultId,
        copies: project.copies,
        size: bytes,
        encryption: project.encryption,
        newest: {
          snapshot_id: newest.snapshot_id,
          kind: newest.kind,
          status: newest.status,
          time: rfc3339(newestTime),
          shipped_at: newest.shipped_at,
          age_seconds: Math.round((now - newestTime) / 1000),
        },
      })),
      damaged,
      error: error === undefined ? null : { code: error.code, message: error.message, hint: error.hint ?? null },
    })),
  };
}

/** What `verify --chain --offsite` found: the heads that travelled with the copies. */
export function headsLines(heads: readonly RemoteHeads[]): string[] {
  return heads.flatMap(({ remote, compared, older, newest, damaged, error }) => {
    if (error !== undefined) return [`UNKNOWN ledger at ${visible(remote)}: ${visible(error.message)}`];
    const before = older === 0 ? '' : `; ${counted(older, 'copy', 'copies')} of before it was rebuilt`;
    if (damaged.length === 0)
      return [
        `OK ledger at ${visible(remote)}: ${counted(compared, 'copy agrees', 'copies agree')}${newest === undefined ? '' : `, up to line ${newest}`}${before}`,
      ];
    return damaged.map(({ path, reason }) => `BROKEN ledger at ${visible(remote)}: ${visible(path)}: ${visible(reason)}`);
  });
}

export function headsDocument(heads: readonly RemoteHeads[]): Document[] {
  return heads.map(({ remote, compared, older, newest, damaged, error }) => ({
    remote,
    compared,
    older,
    newest: newest ?? null,
    damaged: damaged.map(({ path, file, reason }) => ({ path, file, reason })),
    error: error === undefined ? null : { code: error.code, message: error.message, hint: error.hint ?? null },
  }));
}
