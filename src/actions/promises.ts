// The five promises for one project: durable, verified, sealed, off-site, drilled; whether each is kept, how old that is,
// and what to do where it is not. Pure. What nobody knows is undefined, never claimed.

import { formatAge } from '../base/units.ts';

export type PromiseName = 'durable' | 'verified' | 'sealed' | 'offsite' | 'drilled';

export type KeptPromise = {
  readonly name: PromiseName;
  /** Undefined where it was never tried, or nothing of it is set up. */
  readonly kept: boolean | undefined;
  /** Milliseconds since 1970: of what it stands on. */
  readonly at: number | undefined;
  /** The snapshot that it stands on. */
  readonly id: string | undefined;
  /** One sentence, no final dot. */
  readonly text: string;
  /** The command to type, where it is not kept. */
  readonly next: string | undefined;
};

/** What is known of the newest good backup; of the newest one where none is good. */
export type NewestBackup = {
  readonly id: string;
  readonly time: number;
  readonly isGood: boolean;
  /** No other backup, good or not, came after it. */
  readonly isNewest: boolean;
  readonly isSealed: boolean;
};

/** A run that the ledger tells of; times in milliseconds since 1970. */
type Run = { readonly id: string; readonly time: number; readonly ok: boolean };

export type PromiseFacts = {
  readonly lastSave: Run | undefined;
  readonly lastBackup: Run | undefined;
  readonly lastVerify: Run | undefined;
  readonly lastDrill: (Run & { readonly whole: boolean }) | undefined;
  readonly newestBackup: NewestBackup | undefined;
  /** As `offsiteStatus` has them. */
  readonly remotes: readonly {
    readonly place: string;
    readonly current: boolean;
    readonly newest: { readonly id: string; readonly time: number } | undefined;
  }[];
  /** Something critical is lost: until that is looked at, every save and backup is suspect. */
  readonly isLost: boolean;
  /** This user may make files immutable. */
  readonly maySeal: boolean;
  /** Milliseconds: what is older is not durable any more (health.max_age). */
  readonly maxAge: number;
  readonly now: number;
};

/** Always five, in this order. */
export function promisesOf(facts: PromiseFacts): readonly KeptPromise[] {
  return [durable(facts), verified(facts), sealed(facts), offsite(facts), drilled(facts)];
}

function durable({ lastSave, lastBackup, isLost, maxAge, now }: PromiseFacts): KeptPromise {
  const remedy = isLost ? 'cora lost' : 'cora save';
  const good = [lastSave, lastBackup].flatMap((run) => (run?.ok === true ? run : []));
  const newest = good.toSorted((a, b) => b.time - a.time)[0];
  if (newest === undefined) {
    const text = lastSave === undefined && lastBackup === undefined ? 'Nothing is saved yet' : 'The last save and the last backup are not good';
    return { name: 'durable', kept: false, at: undefined, id: undefined, text, next: remedy };
  }
  const kept = now - newest.time <= maxAge;
  const text = `The last good snapshot is from ${formatAge(now - newest.time)}`;
  return { name: 'durable', kept, at: newest.time, id: newest.id, text, next: kept ? undefined : remedy };
}

/** A backup is read back, every byte of it, before it is claimed: that is a verification as good as a later one. */
function verified({ lastVerify, newestBackup, now }: PromiseFacts): KeptPromise {
  const isFresher = newestBackup?.isGood === true && lastVerify?.ok !== false && newestBackup.time > (lastVerify?.time ?? 0);
  if (newestBackup !== undefined && isFresher) {
    const { id, time } = newestBackup;
    const text = `${id} was read back when it was made, ${formatAge(now - time)}, and was whole`;
    return { name: 'verified', kept: true, at: time, id, text, next: undefined };
  }
  if (lastVerify === undefined)
    return { name: 'verified', kept: undefined, at: undefined, id: undefined, text: 'Nothing was read back since it was made', next: 'cora verify' };
  const { id, time, ok } = lastVerify;
  const text = `${id} was read back ${formatAge(now - time)}, ${ok ? 'and is whole' : 'and is DAMAGED'}`;
  return { name: 'verified', kept: ok, at: time, id, text, next: ok ? undefined : `cora verify ${id} --deep` };
}

function sealed({ newestBackup, isLost, maySeal, now }: PromiseFacts): KeptPromise {
  const none = { name: 'sealed', at: undefined, id: undefined, next: isLost ? 'cora lost' : 'cora backup now' } as const;
  if (newestBackup === undefined) return { ...none, kept: undefined, text: 'There is no backup that could be sealed' };
  if (!newestBackup.isGood) return { ...none, kept: false, text: 'No backup is good' };
  const { id, time, isNewest, isSealed } = newestBackup;
  const text = `The newest ${isNewest ? '' : 'good '}backup (${formatAge(now - time)}) ${isSealed ? 'can be changed by nobody' : 'can be changed and deleted'}`;
  return {
    name: 'sealed',
    kept: isSealed,
    at: time,
    id,
    text,
    next: isSealed ? undefined : maySeal ? 'cora protect' : 'sudo cora timers install --seal "$(id -un)"',
  };
}

function offsite({ remotes, now }: PromiseFacts): KeptPromise {
  const away = remotes.filter(({ place }) => place !== 'same_disk');
  const none = { name: 'offsite', at: undefined, id: undefined } as const;
  if (away.length === 0) {
    const next = 'write offsite.remote into the configuration, then cora ship';
    return { ...none, kept: undefined, text: 'No copy leaves this machine', next };
  }
  const newest = away.flatMap((remote) => remote.newest ?? []).toSorted((a, b) => b.time - a.time)[0];
  if (newest === undefined) return { ...none, kept: false, text: 'No copy was sent yet', next: 'cora ship' };
  const kept = away.some(({ current, place }) => current && place !== 'missing');
  const text = `The newest copy off this disk is of ${formatAge(now - newest.time)}`;
  return { name: 'offsite', kept, at: newest.time, id: newest.id, text, next: kept ? undefined : 'cora ship' };
}

function drilled({ lastDrill, now }: PromiseFacts): KeptPromise {
  if (lastDrill === undefined)
    return { name: 'drilled', kept: undefined, at: undefined, id: undefined, text: 'No restore was proven yet', next: 'cora drill' };
  const { id, time, ok: kept, whole } = lastDrill;
  const text = `${whole ? 'A restore' : 'A restore of a sample'} of ${id} ${kept ? 'was proven' : 'was tried and NOT proven'} ${formatAge(now - time)}`;
  return { name: 'drilled', kept, at: time, id, text, next: kept ? undefined : `cora drill ${id}` };
}
