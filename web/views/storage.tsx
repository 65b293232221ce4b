// What the history costs: bytes in the vault, what keeping each content once saved, how size and time grow.

import { useMemo } from 'preact/hooks';
import { formatBytes, formatDuration } from '../../src/base/units.ts';
import { get } from '../api.ts';
import { counted, grouped, momentOf } from '../format.ts';
import { useLoad, whenReady } from '../load.ts';
import { Age } from '../parts/badges.tsx';
import { Plot } from '../parts/plot.tsx';
import { ProblemBox, Waiting } from '../parts/problem.tsx';
import { href } from '../route.ts';
import type { Storage, Trends } from '../types.ts';

const POINTS = 400;

const seconds = (value: number): string => formatDuration(value * 1000);

export function StorageView() {
  const storage = useLoad('storage', (signal) => whenReady(() => get<Storage>('storage', { sort: 'size', limit: 25 }, signal), signal));
  const trends = useLoad('trends', (signal) => trendsOf(signal));
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

/** Of backups; of saves where there are no two backups yet. */
async function trendsOf(signal: AbortSignal): Promise<Trends> {
  const backups = await get<Trends>('trends', { kind: 'backup', points: POINTS }, signal);
  return backups.points.length > 1 ? backups : get<Trends>('trends', { points: POINTS }, signal);
}

function Totals({ storage }: { readonly storage: Storage }) {
  const { vault_bytes, free_bytes, content_bytes, saved_bytes, dedup_ratio, compression_ratio } = storage;
  const disk = vault_bytes + free_bytes;
  const part = content_bytes > 0 ? Math.min(1, vault_bytes / content_bytes) : 0;
  return (
    <section class="card" aria-labelledby="totals">
      <h2 id="totals">
        {vault_bytes < content_bytes
          ? `${formatBytes(vault_bytes)} hold what would be ${formatBytes(content_bytes)}`
          : `The vault takes ${formatBytes(vault_bytes)}`}
      </h2>
      <p class="lead">
        {saved_bytes === null || saved_bytes === 0 ? 'There is little to share yet.' : `Keeping each content once saved ${formatBytes(saved_bytes)}`}
        {saved_bytes === null || saved_bytes === 0 || dedup_ratio === null
          ? ''
          : `: a byte that is kept stands for ${dedup_ratio < 100 ? dedup_ratio.toFixed(1) : grouped(Math.round(dedup_ratio))}`}
        {saved_bytes === null || saved_bytes === 0 ? '' : '.'}
        {compression_ratio === null || compression_ratio < 1.05 ? '' : ` Packing makes it ${compression_ratio.toFixed(1)} times smaller again.`}
      </p>
      {part < 1 ? (
        <Bar label="In the vault, of all that the snapshots stand for" part={part} text={`${(part * 100).toFixed(part < 0.1 ? 1 : 0)} %`} />
      ) : null}
      <Bar
        label="Of the disk, the vault's part of what it could take"
        part={disk > 0 ? vault_bytes / disk : 0}
        text={`${formatBytes(free_bytes)} free`}
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
  const times = useMemo(() => storage.growth.map(({ day }) => Date.parse(`${day}T12:00:00Z`)), [storage]);
  const total = useMemo(() => [{ label: 'Vault', values: storage.growth.map((day) => day.total), shape: 'area' as const }], [storage]);
  const daily = useMemo(() => [{ label: 'Stored that day', values: storage.growth.map((day) => day.bytes), shape: 'bars' as const }], [storage]);
  return (
    <>
      <Plot title="Growth" says="bytes in the vault at the end of each day" times={times} lines={total} format={formatBytes} />
      <Plot title="New each day" says="bytes that a day added" times={times} lines={daily} format={formatBytes} />
    </>
  );
}

function Runs({ trends }: { readonly trends: Trends }) {
  const points = useMemo(() => trends.points.toSorted((a, b) => Date.parse(a.time) - Date.parse(b.time)), [trends]);
  const times = useMemo(() => points.map(({ time }) => Date.parse(time)), [points]);
  const took = useMemo(() => [{ label: 'Duration', values: points.map((point) => point.duration) }], [points]);
  const content = useMemo(() => [{ label: 'Content', values: points.map((point) => point.content_bytes), shape: 'area' as const }], [points]);
  const size = useMemo(() => [{ label: 'In the vault', values: points.map((point) => point.size), shape: 'area' as const }], [points]);
  const wal = useMemo(() => [{ label: 'WAL', values: points.map((point) => point.wal_bytes), shape: 'bars' as const }], [points]);
  const what = points.every(({ kind }) => kind === 'backup') ? 'backup' : 'snapshot';
  return (
    <>
      <Plot title={`Size of a ${what}`} says="what each takes in the vault" times={times} lines={size} format={formatBytes} />
      <Plot title={`Time of a ${what}`} says="how long each took" times={times} lines={took} format={seconds} />
      <Plot title="Content" says="what each stands for" times={times} lines={content} format={formatBytes} />
      {points.some(({ wal_bytes }) => (wal_bytes ?? 0) > 0) ? (
        <Plot title="WAL" says="bytes waiting beside the live databases" times={times} lines={wal} format={formatBytes} />
      ) : null}
    </>
  );
}

function Drills({ trends }: { readonly trends: Trends }) {
  const { count, succeeded, points } = trends.drills;
  return (
    <section class="card" aria-labelledby="drills">
      <h2 id="drills">Restore drills</h2>
      {count === 0 ? (
        <p class="empty">None yet: no restore was proven.</p>
      ) : (
        <>
          <p class="lead">
            {succeeded} of {counted(count, 'drill')} brought everything back.
          </p>
          <ul class="drills">
            {points.map(({ time, ok, seconds: took }) => (
              <li key={time} class={ok ? 'drill-ok' : 'drill-failed'}>
                <span aria-hidden="true">{ok ? '✓' : '✗'}</span> {ok ? 'well' : 'failed'}, <Age time={time} />
                {took === null ? '' : `, ${seconds(took)}`}
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}

function Largest({ storage }: { readonly storage: Storage }) {
  const rows = storage.snapshots;
  const highest = Math.max(1, ...rows.map(({ size }) => size));
  return (
    <section class="card" aria-labelledby="largest">
      <h2 id="largest">The largest snapshots</h2>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
      <section class="scroll" aria-label="Table of the largest" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">Snapshot</th>
              <th scope="col">Kind</th>
              <th scope="col">Takes</th>
              <th scope="col" class="wide-only">
                <span class="quiet">Beside the largest</span>
              </th>
              <th scope="col">Freed if it goes</th>
              <th scope="col">Shared</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ snapshot_id, time, kinds, size, unique_bytes: unique, shared_bytes: shared }) => (
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
                <td>{unique === null ? '–' : formatBytes(unique)}</td>
                <td>{shared === null ? '–' : formatBytes(shared)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </section>
  );
}
