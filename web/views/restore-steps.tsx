// The later steps of a restore: the plan, its confirmation, what was done, and the way back from it.

import { useEffect, useRef, useState } from 'preact/hooks';
import { formatBytes, formatDuration } from '../../src/base/units.ts';
import { type ApiError, post } from '../api.ts';
import { counted, grouped } from '../format.ts';
import { touch } from '../live.ts';
import { asApiError } from '../load.ts';
import { Name } from '../name.tsx';
import { Icon } from '../parts/icons.tsx';
import { ProblemBox } from '../parts/problem.tsx';
import { href } from '../route.ts';
import type { Planned, RestoreDone, RestorePlan, UndoPlan } from '../types-restore.ts';
import { plain } from '../visible.ts';

const SHOWN = 500;
const WORDS: Readonly<Record<string, string>> = { create: 'new', replace: 'replaces what is there', keep: 'stays as it is' };

/** For the heading of a step: whoever came here by a button that is gone now is there, and hears it. */
function useFocus() {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  return heading;
}

export function PlanShown({ plan }: { readonly plan: RestorePlan }) {
  const heading = useFocus();
  const { live_databases: live, move_aside: aside } = plan;
  const work = plan.changes.filter(({ action }) => action !== 'keep').slice(0, SHOWN);
  const more = plan.create + plan.replace - work.length;
  return (
    <section class="card" aria-labelledby="plan-title">
      <h2 id="plan-title" ref={heading} tabIndex={-1}>
        The plan
      </h2>
      <dl class="tiles">
        <Tile name="New" value={grouped(plan.create)} />
        <Tile name="Replaced" value={grouped(plan.replace)} />
        <Tile name="Left as they are" value={grouped(plan.keep)} />
        <Tile name="To write" value={formatBytes(plan.bytes)} />
      </dl>
      <p>
        From <code>{plan.snapshot_id}</code> {plan.in_place ? 'to its place in' : 'into'} <Name text={plan.directory} of="path" />
      </p>
      {plan.other_deployment !== null ? (
        <p class="box tone-warn">
          <Icon name="warn" /> {plain(plan.other_deployment)}
        </p>
      ) : null}
      {plan.notes.map((note) => (
        <p class="hint" key={note}>
          {plain(note)}
        </p>
      ))}
      {work.length === 0 ? (
        <p class="empty">Nothing differs: there is nothing to bring back.</p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
        <section class="scroll plan" aria-label="Entries of the plan" tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">Path</th>
                <th scope="col">What happens</th>
                <th scope="col">Size</th>
              </tr>
            </thead>
            <tbody>
              {work.map(({ path, path_base64, action, size }) => (
                <tr key={path_base64 ?? path} class={`plan-${action}`}>
                  <th scope="row">
                    <Name text={path} of="path" />
                  </th>
                  <td>{WORDS[action] ?? action}</td>
                  <td>{formatBytes(size)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
      {more > 0 ? <p class="hint">And {grouped(more)} more.</p> : null}
      {aside.length === 0 ? null : <p class="hint">{counted(aside.length, 'entry', 'entries')} that the snapshot does not hold are moved aside.</p>}
      {live.length === 0 ? null : (
        <div class="box tone-warn">
          <p>
            <Icon name="warn" /> {counted(live.length, 'live database is', 'live databases are')} replaced:
          </p>
          <ul class="plain-list">
            {live.map((path) => (
              <li key={path}>
                <Name text={path} of="path" />
              </li>
            ))}
          </ul>
          {plan.stops_service ? <p>The configured command stops their service meanwhile.</p> : null}
        </div>
      )}
    </section>
  );
}

function Tile({ name, value }: { readonly name: string; readonly value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

/** What the server is sent with a plan's token. */
export type Yes = { readonly confirm: string; readonly confirm_service_stopped?: true; readonly live?: true };

type ConfirmProps = {
  readonly plan: Pick<Planned, 'confirm' | 'needs_service_stopped'>;
  readonly busy: boolean;
  readonly word: string;
  readonly onApply: (yes: Yes) => void;
  readonly onBack: () => void;
};

/** The second yes: a word that is typed, and of live databases what their programs do meanwhile. */
export function Confirm({ plan, busy, word, onApply, onBack }: ConfirmProps) {
  const [typed, setTyped] = useState('');
  const [service, setService] = useState<'stopped' | 'live'>();
  const field = useRef<HTMLInputElement>(null);
  const asks = plan.needs_service_stopped;
  const fits = typed.trim().toLowerCase() === plan.confirm && (!asks || service !== undefined);
  const submit = (event: Event): void => {
    event.preventDefault();
    if (!fits || busy) {
      field.current?.focus();
      return;
    }
    const consent = !asks ? {} : service === 'live' ? { live: true as const } : { confirm_service_stopped: true as const };
    onApply({ confirm: typed.trim(), ...consent });
  };
  return (
    <form class="card confirm" onSubmit={submit}>
      {asks ? (
        <fieldset class="where">
          <legend>The programs that use these databases</legend>
          <label>
            <input type="radio" name="service" checked={service === 'stopped'} onChange={() => setService('stopped')} />
            <span>
              <strong>are stopped</strong>
              <span class="hint">The files are replaced.</span>
            </span>
          </label>
          <label>
            <input type="radio" name="service" checked={service === 'live'} onChange={() => setService('live')} />
            <span>
              <strong>work on</strong>
              <span class="hint">The content is replaced through SQLite.</span>
            </span>
          </label>
        </fieldset>
      ) : null}
      <label class="type-word">
        <span>
          Type <strong class="typed">{plain(plan.confirm)}</strong> to go on
        </span>
        <input
          ref={field}
          type="text"
          value={typed}
          onInput={(event) => setTyped(event.currentTarget.value)}
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
        />
      </label>
      <p class="actions">
        <button type="submit" class="primary" aria-disabled={!fits || busy}>
          <Icon name="restore" /> {busy ? 'Working …' : word}
        </button>
        <button type="button" onClick={onBack} disabled={busy}>
          Not now
        </button>
      </p>
    </form>
  );
}

export function Done({ done, onAgain }: { readonly done: RestoreDone; readonly onAgain: () => void }) {
  const heading = useFocus();
  const [since, setSince] = useState<Direction>();
  return (
    <>
      <section class="card done">
        <h2 ref={heading} tabIndex={-1}>
          {since === 'undo' ? (
            <>
              <Icon name="restore" /> It was brought back, and taken back again
            </>
          ) : (
            <>
              <Icon name={done.complete ? 'verified' : 'warn'} /> {done.complete ? 'It is back' : 'It is back, but not all of it'}
            </>
          )}
        </h2>
        <p class="lead">
          {counted(done.files, 'file')}, {formatBytes(done.bytes)}
          {done.databases > 0 ? `, ${counted(done.databases, 'database')}` : ''}
          {done.seconds === undefined ? '' : `, in ${formatDuration(done.seconds * 1000)}`}, in <Name text={done.directory} of="path" />
        </p>
        {done.problems.length === 0 ? null : (
          <ul class="plain-list">
            {done.problems.map(({ path, message }) => (
              <li key={`${path} ${message}`}>
                <Icon name="warn" /> {path === undefined ? null : <Name text={path} of="path" />} {plain(message)}
              </li>
            ))}
          </ul>
        )}
        {done.pre_restore_snapshot === null ? null : (
          <p>
            What was there before is in <a href={href('snapshot', done.pre_restore_snapshot)}>{done.pre_restore_snapshot}</a>.
          </p>
        )}
        <button type="button" onClick={onAgain}>
          Restore something else
        </button>
      </section>
      {done.in_place ? <Undo onDone={setSince} /> : null}
    </>
  );
}

type Direction = UndoPlan['direction'];

/** The newest restore in place taken back, or done once more where it was taken back, with a plan of its own first. */
export function Undo({ onDone }: { readonly onDone?: (direction: Direction) => void }) {
  const [plan, setPlan] = useState<UndoPlan>();
  const [state, setState] = useState<'idle' | 'busy'>('idle');
  /** What was done here last. */
  const [last, setLast] = useState<Direction>();
  const [failed, setFailed] = useState<ApiError>();
  const run = async (work: () => Promise<void>): Promise<void> => {
    setState('busy');
    setFailed(undefined);
    try {
      await work();
    } catch (error) {
      setPlan(undefined);
      setState('idle');
      setFailed(asApiError(error));
    }
  };
  const look = (): Promise<void> =>
    run(async () => {
      setPlan(await post<UndoPlan>('restore/undo/plan'));
      setState('idle');
    });
  const undo = (from: UndoPlan, yes: Yes): Promise<void> =>
    run(async () => {
      await post('restore/undo', { token: from.token, ...yes });
      touch();
      setPlan(undefined);
      setState('idle');
      setLast(from.direction);
      onDone?.(from.direction);
    });
  return (
    <section class="card" aria-labelledby="undo-title">
      <h2 id="undo-title">{last === 'undo' ? 'Do the last restore once more' : 'Undo the last restore'}</h2>
      {last === undefined ? null : (
        <p role="status">{last === 'undo' ? 'It is taken back: what was there before is there again.' : 'It is restored once more.'}</p>
      )}
      {failed === undefined ? null : <ProblemBox error={failed} />}
      {plan === undefined ? (
        <p class="actions">
          <button type="button" disabled={state === 'busy'} onClick={() => void look()}>
            {last === 'undo' ? 'Show what restoring it once more would do' : 'Show what undo would do'}
          </button>
        </p>
      ) : (
        <>
          <p>
            {plan.direction === 'redo' ? 'The last restore was taken back already. This restores once more' : 'Takes back the restore of'}{' '}
            <code>{plan.snapshot_id}</code>: {counted(plan.entries, 'entry changes', 'entries change')} places
            {plan.databases.length === 0 ? '' : `, ${counted(plan.databases.length, 'database')} among them`}.
          </p>
          <Confirm
            plan={plan}
            busy={state === 'busy'}
            word={plan.direction === 'redo' ? 'Restore it once more' : 'Take it back'}
            onApply={(yes) => void undo(plan, yes)}
            onBack={() => setPlan(undefined)}
          />
        </>
      )}
    </section>
  );
}
