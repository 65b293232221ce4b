// The later steps of a restore: the plan, and what was done.

import { useEffect, useRef, useState } from 'preact/hooks';
import { formatBytes, formatDuration } from '../../src/base/units.ts';
import { counted, grouped } from '../format.ts';
import { Name } from '../name.tsx';
import { Icon } from '../parts/icons.tsx';
import { href } from '../route.ts';
import type { RestoreDone, RestorePlan } from '../types-restore.ts';
import { plain } from '../visible.ts';
import { type Direction, Undo } from './restore-undo.tsx';

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
      {plan.in_the_way.length === 0 ? null : (
        <div class="box tone-warn">
          <p>
            <Icon name="warn" /> Not brought back, because something else is in the way:
          </p>
          <ul class="plain-list">
            {plan.in_the_way.slice(0, SHOWN).map(({ path, reason }) => (
              <li key={path}>
                <Name text={path} of="path" />: {plain(reason)}
              </li>
            ))}
          </ul>
        </div>
      )}
      {work.length === 0 ? (
        plan.in_the_way.length > 0 ? null : (
          <p class="empty">Nothing differs: there is nothing to bring back.</p>
        )
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
