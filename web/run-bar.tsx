// What runs now, in every view: the command, its phase and how far it is, and for a moment how it ended.

import { formatDuration } from '../src/base/units.ts';
import { counted } from './format.ts';
import { type Run, useLive } from './live.ts';
import { Icon } from './parts/icons.tsx';
import { plain } from './visible.ts';

const PHASES: Readonly<Record<string, string>> = {
  scan: 'looking at the files',
  databases: 'copying databases',
  store: 'storing what is new',
  snapshot: 'making it visible',
  export: 'writing the backup',
  archive: 'packing the archive',
  verify: 'reading back',
  restore: 'writing files',
  ship: 'sending it off-site',
  check: 'checking',
  fetch: 'fetching',
};

export function RunBar() {
  const { runs, broken } = useLive();
  if (runs.length === 0 && !broken) return null;
  return (
    <section class="runs" aria-label="Running now">
      {broken ? (
        <p class="run" role="status">
          <Icon name="warn" /> No connection to <code>cora serve</code>: what is shown may be old. Trying again.
        </p>
      ) : null}
      {runs.map((run) => (
        <RunLine key={run.run} run={run} />
      ))}
    </section>
  );
}

function RunLine({ run }: { readonly run: Run }) {
  const { command, phase, text, part, problems, ended } = run;
  if (ended !== undefined)
    return (
      <p class={ended.ok ? 'run run-ok' : 'run run-failed'}>
        <Icon name={ended.ok ? 'verified' : 'bad'} /> <strong>{command}</strong>{' '}
        {ended.ok ? `done in ${formatDuration(ended.seconds * 1000)}` : `failed: ${plain(ended.message ?? '')}`}
      </p>
    );
  const percent = part === undefined ? undefined : Math.floor(part * 100);
  return (
    <div class="run">
      <p>
        <strong>{command}</strong> {PHASES[phase] ?? phase} {text === '' ? null : <span class="run-text">{plain(text)}</span>}
        {problems.length === 0 ? null : <span class="run-problems">, {counted(problems.length, 'problem')}</span>}
      </p>
      <div
        class={part === undefined ? 'progress progress-unknown' : 'progress'}
        role="progressbar"
        aria-label={`${command} ${PHASES[phase] ?? phase}`}
        {...(percent === undefined ? {} : { 'aria-valuenow': percent, 'aria-valuemin': 0, 'aria-valuemax': 100 })}
      >
        <span style={{ width: percent === undefined ? '30%' : `${percent}%` }} />
      </div>
    </div>
  );
}
