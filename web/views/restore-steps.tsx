// The later steps of a restore: the plan, its confirmation, what was done, and the way back from it.

import { useRef, useState } from 'preact/hooks';
import { formatBytes, formatDuration } from '../../src/base/units.ts';
import { type ApiError, post } from '../api.ts';
import { counted, grouped } from '../format.ts';
import { touch } from '../live.ts';
import { asApiError } from '../load.ts';
import { Name } from '../name.tsx';
import { Icon } from '../parts/icons.tsx';
import { ProblemBox } from '../parts/problem.tsx';
import { href } from '../route.ts';
import type { RestoreDone, RestorePlan, UndoPlan } from '../types.ts';
import { plain } from '../visible.ts';

const SHOWN = 500;
const WORDS: Readonly<Record<string, string>> = { create: 'new', replace: 'replaces what is there', keep: 'stays as it is' };

export function PlanShown({ plan }: { readonly plan: RestorePlan }) {
  const live = plan.live_databases ?? [];
  const aside = plan.move_aside ?? [];
  const work = plan.changes.filter(({ action }) => action !== 'keep');
  return (
    <section class="card" aria-labelledby="plan-title">
      <h2 id="plan-title">The plan</h2>
      <dl class="tiles">
        <Tile name="New" value={grouped(plan.create)} />
        <Tile name="Replaced" value={grouped(plan.replace)} />
        <Tile name="Left as they are" value={grouped(plan.keep)} />
        <Tile name="To write" value={formatBytes(plan.bytes)} />
      </dl>
      <p>
        From <code>{plan.snapshot_id}</code> {plan.in_place ? 'to its place in' : 'into'} <Name text={plan.directory ?? 'the project'} of="path" />
      </p>
      {typeof plan.other_deployment === 'string' ? (
        <p class="box tone-warn">
          <Icon name="warn" /> {plain(plan.other_deployment)}
        </p>
      ) : null}
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
              {work.slice(0, SHOWN).map(({ path, path_base64, action, size }) => (
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
      {work.length > SHOWN ? <p class="hint">And {grouped(work.length - SHOWN)} more.</p> : null}
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

type ConfirmProps = {
  readonly plan: { readonly confirm?: string; readonly live_databases?: readonly string[] };
  readonly busy: boolean;
  readonly word?: string;
  readonly onApply: (typed: string, stopped: boolean) => void;
  readonly onBack: () => void;
};

/** The second yes: a word that is typed, and of a live database that nobody writes to it. */
export function Confirm({ plan, busy, word = 'Bring it back', onApply, onBack }: ConfirmProps) {
  const asked = plan.confirm ?? 'restore';
  const needsStop = (plan.live_databases ?? []).length > 0;
  const [typed, setTyped] = useState('');
  const [stopped, setStopped] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  const fits = typed.trim() === asked && (!needsStop || stopped);
  return (
    <form
      class="card confirm"
      onSubmit={(event) => {
        event.preventDefault();
        if (fits && !busy) onApply(typed.trim(), stopped);
        else field.current?.focus();
      }}
    >
      {needsStop ? (
        <label class="check">
          <input type="checkbox" checked={stopped} onChange={(event) => setStopped(event.currentTarget.checked)} />
          <span>The service that writes to these databases is stopped</span>
        </label>
      ) : null}
      <label>
        Type <strong class="typed">{plain(asked)}</strong> to go on
        <input ref={field} type="text" value={typed} onInput={(event) => setTyped(event.currentTarget.value)} autocomplete="off" spellcheck={false} />
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

export function Done({ done, inPlace, onAgain }: { readonly done: RestoreDone; readonly inPlace: boolean; readonly onAgain: () => void }) {
  return (
    <>
      <section class="card done" role="status">
        <h2>
          <Icon name="verified" /> It is back
        </h2>
        <p class="lead">
          {counted(done.files, 'file')}, {formatBytes(done.bytes)}
          {(done.databases ?? 0) > 0 ? `, ${counted(done.databases ?? 0, 'database')}` : ''}
          {done.seconds === undefined ? '' : `, in ${formatDuration(done.seconds * 1000)}`}
          {done.directory === undefined ? '' : ', in '}
          {done.directory === undefined ? null : <Name text={done.directory} of="path" />}
        </p>
        {typeof done.pre_restore_snapshot === 'string' ? (
          <p>
            What was there before is in <a href={href('snapshot', done.pre_restore_snapshot)}>{done.pre_restore_snapshot}</a>.
          </p>
        ) : null}
        <button type="button" onClick={onAgain}>
          Restore something else
        </button>
      </section>
      {inPlace ? <Undo /> : null}
    </>
  );
}

/** The newest restore in place taken back (or done once more), with a plan of its own first. */
export function Undo() {
  const [plan, setPlan] = useState<UndoPlan>();
  const [state, setState] = useState<'idle' | 'busy' | 'done'>('idle');
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
  const undo = (from: UndoPlan, typed: string, stopped: boolean): Promise<void> =>
    run(async () => {
      await post('restore/undo', { token: from.token, confirm: typed, ...(stopped ? { confirm_service_stopped: true } : {}) });
      touch();
      setPlan(undefined);
      setState('done');
    });
  return (
    <section class="card" aria-labelledby="undo-title">
      <h2 id="undo-title">Undo the last restore</h2>
      {state === 'done' ? <p role="status">It is taken back: what was there before is there again.</p> : null}
      {failed === undefined ? null : <ProblemBox error={failed} />}
      {plan === undefined ? (
        <p class="actions">
          <button type="button" disabled={state === 'busy'} onClick={() => void look()}>
            Show what undo would do
          </button>
        </p>
      ) : (
        <>
          <p>
            {plan.direction === 'redo' ? 'Restores once more' : 'Takes back the restore of'} <code>{plan.snapshot_id}</code>:{' '}
            {counted(plan.entries, 'entry changes', 'entries change')} places
            {plan.databases.length === 0 ? '' : `, ${counted(plan.databases.length, 'database')} among them`}.
          </p>
          <Confirm
            plan={{ confirm: plan.confirm ?? 'undo', live_databases: plan.databases }}
            busy={state === 'busy'}
            word="Take it back"
            onApply={(typed, stopped) => void undo(plan, typed, stopped)}
            onBack={() => setPlan(undefined)}
          />
        </>
      )}
    </section>
  );
}
