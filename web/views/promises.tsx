// Whether the protection works: the five promises, and the checks with the command to type.

import { counted, dayOf } from '../format.ts';
import { Age, shapeOf } from '../parts/badges.tsx';
import { Command } from '../parts/command.tsx';
import { Icon } from '../parts/icons.tsx';
import { Waiting } from '../parts/problem.tsx';
import { PROMISES, Ring } from '../parts/ring.tsx';
import type { Health, Kept, Level, SnapshotRow } from '../types.ts';
import { plain } from '../visible.ts';

export function Promises({ health, newest }: { readonly health: Health; readonly newest: SnapshotRow | undefined }) {
  return (
    <section class="card promises" aria-labelledby="promises-title">
      <Ring promises={health.promises} level={levelOf(health)} below={newest === undefined ? '' : `last: ${dayOf(newest.time).toLowerCase()}`} />
      <div>
        <h2 id="promises-title">{sentenceOf(health)}</h2>
        <ul class="promise-list">
          {health.promises.map((one) => (
            <PromiseLine key={one.name} one={one} />
          ))}
        </ul>
      </div>
    </section>
  );
}

/** The checks take a moment on a long history; what is known at once is told at once. */
export function Looking({ newest }: { readonly newest: SnapshotRow | undefined }) {
  return (
    <section class="card promises looking" aria-label="Promises">
      <div class="ring">
        <svg viewBox="0 0 200 200" aria-hidden="true">
          <circle class="arc arc-unknown" cx="100" cy="100" r="84" />
        </svg>
      </div>
      <div>
        <h2>
          {newest === undefined ? (
            'Looking at the vault'
          ) : (
            <>
              The newest {shapeOf(newest).word.toLowerCase()} is from <Age time={newest.time} />
            </>
          )}
        </h2>
        <Waiting what="Checking the five promises" />
      </div>
    </section>
  );
}

/** A promise that is broken needs a look, also where no check warns of it. */
function levelOf({ level, promises }: Health): Health['level'] {
  return level === 'ok' && promises.some(({ kept }) => kept === false) ? 'warning' : level;
}

function sentenceOf({ level, checks, promises }: Health): string {
  if (checks.some((check) => check.name === 'losses' && check.level === 'critical')) return 'Something is lost: look at it first.';
  if (promises.find(({ name }) => name === 'durable')?.kept !== true) return 'What you have now is not saved.';
  if (level === 'critical') return 'Do this first: something needs you now.';
  const failing = checks.filter((check) => check.level === 'warning').length;
  const broken = promises.filter(({ kept }) => kept === false).length;
  if (failing > 0) return `Your work is saved. ${counted(failing, 'thing needs', 'things need')} a look.`;
  return broken > 0 ? `Your work is saved. ${counted(broken, 'promise is', 'promises are')} not kept.` : 'All is well: nothing needs you now.';
}

function PromiseLine({ one }: { readonly one: Kept }) {
  const { title, icon, means } = PROMISES[one.name];
  const state = one.kept === true ? 'kept' : one.kept === false ? 'not kept' : 'not yet';
  return (
    <li class={`promise promise-${one.kept === true ? 'kept' : one.kept === false ? 'broken' : 'unknown'}`}>
      <span class="promise-icon">
        <Icon name={one.kept === true ? icon : one.kept === false ? 'bad' : 'unknown'} />
      </span>
      <span class="promise-text">
        <strong>{title}</strong> <span class="state">{state}</span>
        <span class="means">{plain(one.text) || means}</span>
        {one.kept === true || one.next === null ? null : <Command text={one.next} />}
      </span>
      <span class="promise-age">{one.at === null ? '' : <Age time={one.at} />}</span>
    </li>
  );
}

export function Checks({ health, title, levels }: { readonly health: Health; readonly title: string; readonly levels: readonly Level[] }) {
  const shown = levels.flatMap((level) => health.checks.filter((check) => check.level === level));
  if (shown.length === 0) return null;
  const id = `checks-${levels[0]}`;
  return (
    <section class="card" aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      <ul class="warnings">
        {shown.map(({ name, level, message, next }) => (
          <li key={`${name} ${message}`} class={`warning warning-${level}`}>
            <Icon name={level === 'critical' ? 'bad' : level === 'warning' ? 'warn' : 'unknown'} label={level} />
            <span>
              <span>{plain(message)}</span>
              {typeof next === 'string' && next !== '' ? <Command text={next} /> : null}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
