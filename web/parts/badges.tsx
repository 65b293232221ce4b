// What a snapshot is at a glance: a shape for its kind, and a word with a shape for each promise that it keeps. Colour only repeats it.

import { useState } from 'preact/hooks';
import { ageOf, momentOf } from '../format.ts';
import { useEvery } from '../load.ts';
import { Name } from '../name.tsx';
import type { SnapshotRow } from '../types.ts';
import { plain } from '../visible.ts';
import { Icon, type IconName } from './icons.tsx';

export type Tone = 'ok' | 'warn' | 'bad' | 'suspect' | 'plain';

export function Badge({
  icon,
  tone,
  children,
  title,
}: {
  readonly icon?: IconName;
  readonly tone: Tone;
  readonly children: string;
  readonly title?: string;
}) {
  return (
    <span class={`badge tone-${tone}`} {...(title === undefined ? {} : { title })}>
      {icon === undefined ? null : <Icon name={icon} />}
      {children}
    </span>
  );
}

export type Shape = { readonly icon: 'save' | 'backup' | 'checkpoint' | 'suspect'; readonly word: string };

export function shapeOf({ kinds, status }: Pick<SnapshotRow, 'kinds' | 'status'>): Shape {
  const word = kinds.includes('backup')
    ? 'Backup'
    : kinds.includes('fallback')
      ? 'Checkpoint'
      : kinds.includes('adopted')
        ? 'Adopted backup'
        : 'Save';
  if (status === 'suspect') return { icon: 'suspect', word: `Suspect ${word.toLowerCase()}` };
  return { icon: word === 'Save' ? 'save' : word === 'Checkpoint' ? 'checkpoint' : 'backup', word };
}

export function SnapshotBadges({ row }: { readonly row: SnapshotRow }) {
  const backup = row.kinds.includes('backup');
  const offsite = row.offsite?.[0];
  return (
    <span class="badges">
      {row.status === 'suspect' && (
        <Badge icon="suspect" tone="suspect" title="Something critical was lost when this was made">
          Suspect
        </Badge>
      )}
      {row.status === 'partial' && (
        <Badge icon="warn" tone="warn">
          Incomplete
        </Badge>
      )}
      {row.verified?.ok === false && (
        <Badge icon="bad" tone="bad">
          Damaged
        </Badge>
      )}
      {row.verified?.ok === true && (
        <Badge icon="verified" tone="ok" {...at('Verified', row.verified.time)}>
          Verified
        </Badge>
      )}
      {backup && row.protection === 'kernel' && (
        <Badge icon="sealed" tone="ok" title="No program can change it: every file has the immutable flag">
          Sealed
        </Badge>
      )}
      {row.seal_missing === true && (
        <Badge icon="bad" tone="bad" title="It was sealed, and the flag is gone">
          Seal lost
        </Badge>
      )}
      {row.drilled?.ok === true && (
        <Badge icon="drilled" tone="ok" {...at('A restore of it was proven', row.drilled.time)}>
          Drilled
        </Badge>
      )}
      {backup && row.protection === 'none' && (
        <Badge icon="warn" tone="warn" title="Others may write into the vault">
          Unprotected
        </Badge>
      )}
      {offsite !== undefined && (
        <Badge icon="offsite" tone="ok" {...at(`Copied to ${plain(offsite.remote)}`, offsite.time)}>
          Off-site
        </Badge>
      )}
      {row.pinned === true && (
        <Badge icon="pinned" tone="plain" title="Clean-up leaves it alone">
          Pinned
        </Badge>
      )}
    </span>
  );
}

const at = (word: string, time: string) => ({ title: `${word}: ${momentOf(time)}` });

/** What somebody said about a snapshot. */
export function Said({ row }: { readonly row: Pick<SnapshotRow, 'label' | 'note'> }) {
  const said = [row.label, row.note].filter((text) => typeof text === 'string' && text !== '') as string[];
  return said.length === 0 ? null : (
    <span class="said" title={said.map(plain).join('  ')}>
      {said.map((text) => (
        <Name key={text} text={text} />
      ))}
    </span>
  );
}

const AGE_MS = 20_000;

/** An age, with the moment itself for who asks. */
export function Age({ time }: { readonly time: string | number }) {
  const [, setTick] = useState(0);
  useEvery(AGE_MS, () => setTick((tick) => tick + 1));
  return (
    <time dateTime={new Date(time).toISOString()} title={momentOf(time)}>
      {ageOf(time)}
    </time>
  );
}
