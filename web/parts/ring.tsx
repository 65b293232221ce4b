// The five promises as a ring of five arcs around one word. An arc that is kept is whole, one that is not is broken, and one that was
// never set up is a thin line: the picture reads without its colours, and the list beside it says the same in words.

import type { Kept, PromiseName } from '../types.ts';
import type { IconName } from './icons.tsx';

export const PROMISES: Readonly<Record<PromiseName, { readonly title: string; readonly icon: IconName; readonly means: string }>> = {
  durable: { title: 'Durable', icon: 'durable', means: 'a good save is on disk' },
  verified: { title: 'Verified', icon: 'verified', means: 'what is stored was read back' },
  sealed: { title: 'Sealed', icon: 'sealed', means: 'nothing can change the backups' },
  offsite: { title: 'Off-site', icon: 'offsite', means: 'a copy is somewhere else' },
  drilled: { title: 'Drilled', icon: 'drilled', means: 'a restore was tried' },
};

export const LEVEL_WORDS = { ok: 'Protected', warning: 'Needs a look', critical: 'At risk' } as const;

const RADIUS = 84;
const GAP = 7;

function arc(index: number, count: number): string {
  const from = (360 / count) * index + GAP / 2 - 90;
  const to = (360 / count) * (index + 1) - GAP / 2 - 90;
  const point = (degrees: number): string => {
    const radians = (degrees * Math.PI) / 180;
    return `${(100 + RADIUS * Math.cos(radians)).toFixed(2)} ${(100 + RADIUS * Math.sin(radians)).toFixed(2)}`;
  };
  return `M ${point(from)} A ${RADIUS} ${RADIUS} 0 0 1 ${point(to)}`;
}

export function Ring({
  promises,
  level,
  below,
}: {
  readonly promises: readonly Kept[];
  readonly level: keyof typeof LEVEL_WORDS;
  readonly below: string;
}) {
  const kept = promises.filter((one) => one.kept === true).length;
  return (
    <div class={`ring ring-${level}`}>
      <svg viewBox="0 0 200 200" role="img" aria-label={`${LEVEL_WORDS[level]}: ${kept} of ${promises.length} promises are kept`}>
        {promises.map((one, index) => (
          <path
            key={one.name}
            class={`arc ${one.kept === true ? 'arc-kept' : one.kept === false ? 'arc-broken' : 'arc-unknown'}`}
            d={arc(index, promises.length)}
            pathLength={100}
          />
        ))}
      </svg>
      <div class="ring-word" aria-hidden="true">
        <strong>{LEVEL_WORDS[level]}</strong>
        <span>
          {kept} of {promises.length} kept
        </span>
        <span>{below}</span>
      </div>
    </div>
  );
}
