// What ledger/offsite.json holds, and which parts of a given one are what they must be. Pure. Whatever is not is left out, as if it had never been written:
// a copy that nobody can be sure of is compared with its remote again, and sent again where it is not there.

/** What a remote holds against change, as it said itself. */
export type LockState =
  | { readonly state: 'locked'; readonly mode: string /** RFC 3339. */; readonly until: string }
  | { readonly state: 'none' | 'unknown'; readonly why: string };

export type CopyRecord = {
  readonly id: string;
  readonly kind: 'backup' | 'save' | 'fallback';
  /** RFC 3339. */
  readonly shipped_at: string;
  /** Every byte was last compared then. RFC 3339. */
  readonly checked_at: string;
  readonly bytes: number;
  readonly files: number;
  readonly encryption: 'age' | 'none';
  /** sha256 of its COMPLETE.json. */
  readonly marker_sha256: string;
  readonly lock?: LockState;
};

export type RemoteRecord = {
  readonly env: string;
  /** By the kind and id of the snapshot, as `backup 20261121-...`. */
  readonly copies: Readonly<Record<string, CopyRecord>>;
  /** The last try; RFC 3339. `error` is null where nothing was left to do. */
  readonly last_try?: string;
  readonly error?: string | null;
  /** What to do about it. */
  readonly hint?: string | null;
  /** The encrypted copy was really opened (cora key test, cora drill --offsite). */
  readonly opened_at?: string;
  /** Where on this machine it leads (a disk behind an alias); undefined where it leads elsewhere. */
  readonly directory?: string;
  /** Keys of copies that `cora ship --prune` took away: they are not sent again by themselves. */
  readonly retired?: readonly string[];
};

export type OffsiteRecord = { readonly schema: 1; readonly remotes: Readonly<Record<string, RemoteRecord>> };

/** What stands in the file, and what is wrong with it: undefined where it is sound or not there. */
export type OffsiteReading = { readonly record: OffsiteRecord; readonly damaged: string | undefined };
type Fields = Readonly<Record<string, unknown>>;

/** @param value what the file holds */
export function soundParts(value: unknown): OffsiteReading {
  const given = isObject(value) ? value['remotes'] : undefined;
  if (!isObject(given)) return { record: { schema: 1, remotes: {} }, damaged: 'it has no remotes' };
  const wrong: string[] = [];
  const remotes: Record<string, RemoteRecord> = {};
  for (const [name, remote] of Object.entries(given)) {
    if (!isObject(remote) || typeof remote['env'] !== 'string' || !isObject(remote['copies'])) {
      wrong.push(`remotes.${name}`);
      continue;
    }
    const copies: Record<string, CopyRecord> = {};
    for (const [key, copy] of Object.entries(remote['copies'])) {
      if (isCopy(copy)) copies[key] = copy;
      else wrong.push(`remotes.${name}.copies.${key}`);
    }
    const rest = Object.entries(remote).filter(([key, field]) => {
      const isSound = OPTIONAL[key]?.(field) ?? true;
      if (!isSound) wrong.push(`remotes.${name}.${key}`);
      return isSound;
    });
    remotes[name] = { ...(Object.fromEntries(rest) as unknown as RemoteRecord), copies };
  }
  const [first, ...others] = wrong;
  const more = others.length === 0 ? '' : ` and ${others.length} more`;
  return { record: { schema: 1, remotes }, damaged: first === undefined ? undefined : `${first}${more} is not what it must be` };
}

const OPTIONAL: Readonly<Record<string, (field: unknown) => boolean>> = {
  last_try: isTime,
  opened_at: isTime,
  error: isTextOrNull,
  hint: isTextOrNull,
  directory: isText,
  retired: (field) => Array.isArray(field) && field.every(isText),
};

function isCopy(value: unknown): value is CopyRecord {
  if (!isObject(value)) return false;
  const { id, kind, shipped_at: shipped, checked_at: checked, bytes, files, encryption, marker_sha256: marker, lock } = value;
  return (
    isText(id) &&
    (kind === 'backup' || kind === 'save' || kind === 'fallback') &&
    isTime(shipped) &&
    isTime(checked) &&
    isCount(bytes) &&
    isCount(files) &&
    (encryption === 'age' || encryption === 'none') &&
    isText(marker) &&
    (lock === undefined || isLock(lock))
  );
}

function isLock(value: unknown): value is LockState {
  if (!isObject(value)) return false;
  const { state, mode, until, why } = value;
  return state === 'locked' ? isText(mode) && isTime(until) : (state === 'none' || state === 'unknown') && isText(why);
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isTextOrNull(value: unknown): boolean {
  return value === null || isText(value);
}

function isTime(value: unknown): boolean {
  return isText(value) && !Number.isNaN(Date.parse(value));
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}
