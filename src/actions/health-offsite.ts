// The checks of health about copies off-site: are they there, young enough, on another disk, and can they be opened. From the
// record alone: a remote that cannot be reached is seen by the last try to ship to it.

import { formatAge } from '../base/units.ts';
import { type HealthCheck, note, ok, warning } from './health-check.ts';
import { type OffsiteFacts, type OffsiteStatus, offsiteStatus, offsiteWarnings } from './offsite-status.ts';

const DAY = 86_400_000;
/** A copy may be as old as this before somebody has to have opened it. */
const FIRST_OPENING = 7 * DAY;

/** @param maxAge of the newest copy, in milliseconds */
export function offsiteHealth(facts: OffsiteFacts, maxAge: number): HealthCheck[] {
  const status = offsiteStatus(facts);
  return [copiesAway(status, maxAge, facts), ...keysFit(status, facts)];
}

function copiesAway(status: OffsiteStatus, maxAge: number, { now }: OffsiteFacts): HealthCheck {
  const configured = status.remotes.filter((state) => state.configured);
  if (configured.length === 0 && status.unknown === undefined && status.damaged === undefined)
    return note('offsite', 'No copy leaves this machine', 'write offsite.remote into the configuration (docs/offsite.md), then cora ship');
  const [first, ...more] = offsiteWarnings(status, maxAge, now).filter(({ next }) => next !== OPEN);
  if (first !== undefined)
    return warning('offsite', `${first.message}${more.length > 0 ? ` (and ${more.length} more: cora status)` : ''}`, first.next);
  const text = configured.flatMap(({ remote, newestTime }) => (newestTime === undefined ? [] : `${remote} ${formatAge(now - newestTime)}`));
  if (text.length === 0) return note('offsite', 'Nothing was shipped yet, because there is no backup', 'cora backup now');
  return ok('offsite', `The newest copies: ${text.join(', ')}`);
}

const OPEN = 'cora key test';

/** An encrypted copy that nobody can open is none (NEW-14). */
function keysFit({ remotes }: OffsiteStatus, { config, now }: OffsiteFacts): HealthCheck[] {
  const encrypted = remotes.filter(({ configured, newest }) => configured && newest?.encryption === 'age');
  return encrypted.map(({ remote, openedAt, firstShipped }): HealthCheck => {
    if (openedAt === undefined) {
      const message = `No encrypted copy at ${remote} was ever opened: nobody knows whether the key fits`;
      return now - (firstShipped ?? now) > FIRST_OPENING ? warning('key', message, OPEN) : note('key', message, OPEN);
    }
    const age = now - openedAt;
    if (age > config.health.drillEvery) return warning('key', `The last encrypted copy at ${remote} was opened ${formatAge(age)}`, OPEN);
    return ok('key', `An encrypted copy at ${remote} was opened ${formatAge(age)}`);
  });
}
