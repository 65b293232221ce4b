// What the history costs: bytes in the vault, what keeping each content once saved, how size and time grow.

import { useMemo } from 'preact/hooks';
import { formatBytes, formatDuration } from '../../src/base/units.ts';
import { get } from '../api.ts';
import { counted, momentOf } from '../format.ts';
import { useLoad } from '../load.ts';
import { Age } from '../parts/badges.tsx';
import { Plot } from '../parts/plot.tsx';
import { ProblemBox, Waiting } from '../parts/problem.tsx';
import { href } from '../route.ts';
import type { Storage, Trends } from '../types.ts';

const seconds = (value: number): string => formatDuration(value * 1000);

export function StorageView() {
  const storage = useLoad('storage', (signal) => get<Storage>('storage', {}, signal));
  const trends = useLoad('trends', (signal) => get<Trends>('trends', {}, signal));
  return (
    <>
      <h1>Storage</h1>
      {storage.error === undefined ? null : <ProblemBox error={storage.error} again={storage.again} />}
      {storage.data === undefined ? storage.loading && <Waiting what="Counting bytes" /> : <Totals storage={storage.data} />}
      <div class="plots">
        {storage.data === undefined ? null : <Growth storage={storage.data} />}
        {trends.data === undefined ? null : <Runs trends={trends.data} />}
      </div>
      {trends.error === undefined ? null : <ProblemBox error={trends.error} again={trends.again} />}
      {trends.data === undefined ? null : <Drills trends={trends.data} />}
      {storage.data === undefined ? null : <Largest storage={storage.data} />}
    </>
  );
}

function Totals({ storage }: { readonly storage: Storage }) {
  const saved = storage.saved_bytes ?? storage.content_bytes - storage.vault_bytes;
  const factor = storage.vault_bytes > 0 ? storage.content_bytes / storage.vault_bytes : 0;
  const part = storage.content_bytes > 0 ? Math.min(1, storage.vault_bytes / storage.content_bytes) : 0;
  const disk = storage.vault_bytes + storage.free_bytes;
  return (
    <section class="card" aria-labelledby="totals">
      <h2 id="totals">
        {formatBytes(storage.vault_bytes)} hold what would be {formatBytes(storage.content_bytes)}
      </h2>
      <p class="lead">
        {saved > 0 && factor >= 1.1
          ? `Keeping each content once, and packed, saved ${formatBytes(saved)}: ${factor.toFixed(1)} times the vault.`
          : 'There is little to share yet.'}
      </p>
      <Bar label="In the vault, of all that the snapshots stand for" part={part} text={`${(part * 100).toFixed(1)} %`} />
      <Bar
        label="Of the disk, the vault's part of what it could take"
        part={disk > 0 ? storage.vault_bytes / disk : 0}
        text={`${formatBytes(storage.free_bytes)} free`}
      />
    </section>
  );
}

function Bar({ label, part, text }: { readonly label: string; readonly part: number; readonly text: string }) {
  return (
    <p class="bar-line">
      <span>
        {label}: <strong>{text}</strong>
      </span>
      <svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
        <rect class="bar-all" width="100" height="4" />
        <rect class="bar-part" width={Math.max(0.6, 100 * part)} height="4" />
      </svg>
    </p>
  );
}

function Growth({ storage }: { readonly storage: Storage }) {
  const times = useMemo(() => storage.days.map(({ day }) => Date.parse(`${day}T12:00:00Z`)), [storage]);
  const total = useMemo(() => [{ label: 'Vault', values: storage.days.map((day) => day.total), shape: 'area' as const }], [storage]);
  const daily = useMemo(() => [{ label: 'Stored that day', values: storage.days.map((day) => day.bytes), shape: 'bars' as const }], [storage]);
  return (
    <>
      <Plot title="Growth" says="bytes in the vault at the end of each day" times={times} lines={total} format={formatBytes} />
      <Plot title="New each day" says="bytes that a day added" times={times} lines={daily} format={formatBytes} />
    </>
  );
}

function Runs({ trends }: { readonly trends: Trends }) {
  const backups = useMemo(
    () => trends.runs.filter(({ kind }) => kind === 'backup').toSorted((a, b) => Date.parse(a.time) - Date.parse(b.time)),
    [trends],
  );
  const times = useMemo(() => backups.map(({ time }) => Date.parse(time)), [backups]);
  const took = useMemo(() => [{ label: 'Duration', values: backups.map((run) => run.total_duration) }], [backups]);
  const sizes = useMemo(
    () => [
      { label: 'Content', values: backups.map((run) => run.total_bytes_processed), shape: 'area' as const },
      { label: 'In the vault', values: backups.map((run) => run.size) },
    ],
    [backups],
  );
  const wal = useMemo(
    () =>
      backups.some((run) => (run.wal_size ?? 0) > 0)
        ? [{ label: 'WAL', values: backups.map((run) => run.wal_size ?? null), shape: 'bars' as const }]
        : [],
    [backups],
  );
  return (
    <>
      <Plot title="Size of a backup" says="what each stands for, and takes" times={times} lines={sizes} format={formatBytes} />
      <Plot title="Time of a backup" says="how long each took" times={times} lines={took} format={seconds} />
      {wal.length === 0 ? null : <Plot title="WAL" says="bytes waiting beside the live databases" times={times} lines={wal} format={formatBytes} />}
    </>
  );
}

function Drills({ trends }: { readonly trends: Trends }) {
  const well = trends.drills.filter(({ ok }) => ok).length;
  return (
    <section class="card" aria-labelledby="drills">
      <h2 id="drills">Restore drills</h2>
      {trends.drills.length === 0 ? (
        <p class="empty">None yet: no restore was ever tried.</p>
      ) : (
        <>
          <p class="lead">
            {well} of {counted(trends.drills.length, 'drill')} brought everything back.
          </p>
          <ul class="drills">
            {trends.drills.map(({ time, ok, seconds: took }) => (
              <li key={time} class={ok ? 'drill-ok' : 'drill-failed'}>
                <span aria-hidden="true">{ok ? '✓' : '✗'}</span> {ok ? 'well' : 'failed'}, <Age time={time} />
                {typeof took === 'number' ? `, ${seconds(took)}` : ''}
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}

function Largest({ storage }: { readonly storage: Storage }) {
  const rows = storage.snapshots.toSorted((a, b) => b.size - a.size).slice(0, 25);
  const highest = Math.max(1, ...rows.map(({ size }) => size));
  return (
    <section class="card" aria-labelledby="largest">
      <h2 id="largest">The largest snapshots</h2>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
      <section class="scroll" aria-labelledby="largest" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">Snapshot</th>
              <th scope="col">Kind</th>
              <th scope="col">Takes</th>
              <th scope="col" class="wide-only">
                <span class="quiet">Beside the largest</span>
              </th>
              <th scope="col">Its alone</th>
              <th scope="col">Shared</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ snapshot_id, time, kinds, size, unique, shared }) => (
              <tr key={snapshot_id}>
                <th scope="row">
                  <a href={href('snapshot', snapshot_id)}>{momentOf(time)}</a>
                </th>
                <td>{kinds.join(', ')}</td>
                <td>{formatBytes(size)}</td>
                <td class="wide-only">
                  <svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
                    <rect class="bar-part" width={(100 * size) / highest} height="4" />
                  </svg>
                </td>
                <td>{typeof unique === 'number' ? formatBytes(unique) : '–'}</td>
                <td>{typeof shared === 'number' ? formatBytes(shared) : '–'}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </section>
  );
}
