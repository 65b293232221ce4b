// The way back, in four steps: what, where to, the plan as the server made it, and the word that a person types. Invariant: nothing is
// restored that was not shown, and the token of a plan is used once.

import { useState } from 'preact/hooks';
import { type ApiError, post } from '../api.ts';
import { type Chosen, choose, keyOfPath, toggle, useChosen } from '../chosen.ts';
import { counted, momentOf, timeOfId } from '../format.ts';
import { touch } from '../live.ts';
import { asApiError } from '../load.ts';
import { Name } from '../name.tsx';
import { Icon } from '../parts/icons.tsx';
import { ProblemBox } from '../parts/problem.tsx';
import { href } from '../route.ts';
import type { RestoreDone, RestorePlan } from '../types-restore.ts';
import { plainPath } from '../visible.ts';
import { Confirm, type Yes } from './restore-confirm.tsx';
import { Done, PlanShown } from './restore-steps.tsx';
import { Undo } from './restore-undo.tsx';

type Step =
  | { readonly name: 'choose'; readonly error?: ApiError; readonly busy?: boolean }
  | { readonly name: 'plan'; readonly plan: RestorePlan; readonly error?: ApiError; readonly busy?: boolean }
  | { readonly name: 'done'; readonly done: RestoreDone; readonly plan: RestorePlan };

export function RestoreView() {
  const chosen = useChosen();
  const [beside, setBeside] = useState(false);
  const [step, setStep] = useState<Step>({ name: 'choose' });
  const makePlan = async (): Promise<void> => {
    setStep({ name: 'choose', busy: true });
    try {
      const plan = await post<RestorePlan>('restore/plan', {
        snapshot: chosen.snapshot,
        ...fieldsOf(chosen),
        ...(beside ? { aside: true } : {}),
      });
      setStep({ name: 'plan', plan });
    } catch (error) {
      setStep({ name: 'choose', error: asApiError(error) });
    }
  };
  const apply = async (plan: RestorePlan, yes: Yes): Promise<void> => {
    setStep({ name: 'plan', plan, busy: true });
    try {
      const done = await post<RestoreDone>('restore/apply', { token: plan.token, ...yes });
      choose('', []);
      touch();
      setStep({ name: 'done', done, plan });
    } catch (error) {
      setStep({ name: 'plan', plan, error: asApiError(error) });
    }
  };
  return (
    <>
      <h1>Restore</h1>
      <Steps step={step.name} />
      {step.name === 'done' ? (
        <Done done={step.done} onAgain={() => setStep({ name: 'choose' })} />
      ) : step.name === 'plan' ? (
        <>
          <PlanShown plan={step.plan} />
          {step.error === undefined ? (
            <Confirm
              word="Bring it back"
              plan={step.plan}
              busy={step.busy === true}
              onApply={(yes) => void apply(step.plan, yes)}
              onBack={() => {
                setStep({ name: 'choose' });
                document.getElementById('content')?.focus();
              }}
            />
          ) : (
            <>
              <ProblemBox error={step.error} />
              <button type="button" onClick={() => void makePlan()}>
                Make the plan again
              </button>
            </>
          )}
        </>
      ) : chosen.paths.length === 0 && !chosen.whole ? (
        <>
          <section class="card empty-state">
            <h2>What is to come back?</h2>
            <p>Nothing is chosen yet. Look for what is gone, or open a snapshot and tick its files.</p>
            <p class="actions">
              <a class="button primary" href={href('find')}>
                <Icon name="search" /> Something is gone
              </a>
              <a class="button" href={href('snapshot', 'latest')}>
                <Icon name="directory" /> Files of the newest snapshot
              </a>
              <a class="button" href={href('time')}>
                <Icon name="time" /> Time line
              </a>
            </p>
          </section>
          <Undo />
        </>
      ) : (
        <form
          class="card"
          onSubmit={(event) => {
            event.preventDefault();
            void makePlan();
          }}
        >
          <ChosenList chosen={chosen} />
          <fieldset class="where">
            <legend>Where to</legend>
            <label>
              <input type="radio" name="where" checked={!beside} onChange={() => setBeside(false)} />
              <span>
                <strong>To its place in the project</strong>
                <span class="hint">What is there now is saved first, and can be brought back by Undo.</span>
              </span>
            </label>
            <label>
              <input type="radio" name="where" checked={beside} onChange={() => setBeside(true)} />
              <span>
                <strong>Beside it</strong>
                <span class="hint">Into a new directory .cora-restore-side in the project; no live file is touched.</span>
              </span>
            </label>
          </fieldset>
          {step.error === undefined ? null : <ProblemBox error={step.error} />}
          <p class="actions">
            <button type="submit" class="primary" disabled={step.busy === true}>
              {step.busy === true ? 'Making the plan …' : 'Show the plan'}
            </button>
            <span class="hint">This changes nothing yet.</span>
          </p>
        </form>
      )}
    </>
  );
}

/** Paths as text, and by their bytes where text does not name them. */
function fieldsOf({ paths }: Chosen): { readonly paths?: string[]; readonly paths_base64?: string[] } {
  const exact = paths.flatMap(({ path_base64 }) => (path_base64 === undefined ? [] : [path_base64]));
  const named = paths.flatMap(({ path, path_base64 }) => (path_base64 === undefined ? [path] : []));
  return { ...(named.length === 0 ? {} : { paths: named }), ...(exact.length === 0 ? {} : { paths_base64: exact }) };
}

const STEPS = [
  ['choose', 'Choose'],
  ['plan', 'Look at the plan, and confirm'],
  ['done', 'Back again'],
] as const;

function Steps({ step }: { readonly step: Step['name'] }) {
  return (
    <ol class="steps">
      {STEPS.map(([name, word]) => (
        <li key={name} {...(name === step ? { 'aria-current': 'step' as const } : {})}>
          {word}
        </li>
      ))}
    </ol>
  );
}

function ChosenList({ chosen }: { readonly chosen: Chosen }) {
  const time = timeOfId(chosen.snapshot);
  return (
    <>
      <h2>
        {chosen.whole ? 'Everything' : counted(chosen.paths.length, 'entry', 'entries')} from{' '}
        {time === undefined ? <code>{chosen.snapshot}</code> : momentOf(time)}
      </h2>
      {chosen.whole ? <p>The whole snapshot: each file and database as it was. What came later stays.</p> : null}
      <ul class="chosen">
        {chosen.paths.map((file) => (
          <li key={keyOfPath(file)}>
            <Name text={file.path} of="path" />
            <button type="button" class="small" onClick={() => toggle(chosen.snapshot, file)} aria-label={`Leave out ${plainPath(file.path)}`}>
              Leave out
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}
