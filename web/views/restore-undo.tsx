// The newest restore in place taken back, and done once more.

import { useState } from 'preact/hooks';
import { type ApiError, post } from '../api.ts';
import { counted } from '../format.ts';
import { touch } from '../live.ts';
import { asApiError } from '../load.ts';
import { ProblemBox } from '../parts/problem.tsx';
import type { UndoPlan } from '../types-restore.ts';
import { Confirm, type Yes } from './restore-confirm.tsx';

export type Direction = UndoPlan['direction'];

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
