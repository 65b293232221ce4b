// One file through time: its versions, two of them side by side, and one of them back.

import { useState } from 'preact/hooks';
import { formatBytes } from '../../src/base/units.ts';
import { announce } from '../announce.ts';
import { download, get, pathQuery } from '../api.ts';
import { choose, keyOfPath } from '../chosen.ts';
import { counted, momentsOf, timeOfId } from '../format.ts';
import { asApiError, useLoad, whenReady } from '../load.ts';
import { Name } from '../name.tsx';
import { Age, Badge } from '../parts/badges.tsx';
import { DiffText } from '../parts/diff-text.tsx';
import { Icon } from '../parts/icons.tsx';
import { ProblemBox, Waiting } from '../parts/problem.tsx';
import { RowsTable } from '../parts/rows-table.tsx';
import { go, href, pathFields, pathOf, type Route, replace } from '../route.ts';
import type { ContentDifference, PathRef, TextAnswer, Version, VersionDifference, Versions } from '../types.ts';
import { plain } from '../visible.ts';

const PAGE = 100;
const NOW = 'now';

export function PathView({ route }: { readonly route: Route }) {
  const file = pathOf(route.fields);
  const at = route.fields.get('at') ?? undefined;
  const key = keyOfPath(file);
  const [most, setMost] = useState(PAGE);
  const answer = useLoad(file.path === '' ? undefined : `versions ${key} ${most}`, (signal) => versionsOf(file, most, signal));
  const facts = answer.data;
  const versions = facts?.versions ?? [];
  const newest = versions[0];
  const moment = momentsOf(versions.map(({ first }) => first.time));
  const see = route.fields.get('see') ?? (facts?.present === false ? 'text' : 'diff');
  const b = route.fields.get('b') ?? (facts?.present === false ? (newest === undefined ? undefined : newest.last.snapshot_id) : NOW);
  // Of what is gone its last content is looked for; two of them are compared where there are two.
  const fallback = b === NOW || see === 'text' ? newest : versions[1];
  const asked = route.fields.get('a') ?? at ?? fallback?.last.snapshot_id;
  // The newest of a file that is gone, compared with itself, says nothing.
  const a = see === 'diff' && asked === b ? versions[1]?.last.snapshot_id : asked;
  const pick = (next: { a?: string | undefined; b?: string | undefined; see?: string | undefined }): void =>
    replace(href('path', '', { ...pathFields(file), at, a, b, see: route.fields.get('see') ?? undefined, ...next }));
  return (
    <>
      <header class="view-head">
        <p class="crumb">
          <button type="button" class="link" onClick={() => history.back()}>
            <Icon name="back" /> Back
          </button>
        </p>
        <h1>
          <Name text={file.path} of="path" />
        </h1>
        {facts === undefined ? null : (
          <p class="head-facts">
            {counted(facts.total, 'version')}
            {facts.present ? '' : ', not in the newest snapshot any more'}
          </p>
        )}
      </header>
      {answer.error === undefined ? null : <ProblemBox error={answer.error} again={answer.again} />}
      {facts === undefined && answer.loading ? <Waiting what="Looking through the snapshots" /> : null}
      {facts === undefined ? null : (
        <div class="two">
          <section class="card" aria-labelledby="versions-title">
            <h2 id="versions-title">Versions</h2>
            <p class="hint version-key" aria-hidden="true">
              <span>older</span>
              <span>newer</span>
            </p>
            <ol class="versions">
              <VersionRow version={undefined} file={file} a={a} b={b} moment={moment} onPick={pick} />
              {versions.map((version) => (
                <VersionRow key={version.first.snapshot_id} version={version} file={file} a={a} b={b} moment={moment} onPick={pick} />
              ))}
            </ol>
            {facts.next === null ? null : (
              <button type="button" onClick={() => setMost(most + PAGE)}>
                Older ones
              </button>
            )}
          </section>
          <section class="card" aria-labelledby="content-title">
            <header class="card-head">
              <h2 id="content-title">{see === 'text' ? 'Content' : 'What differs'}</h2>
              <div class="segments">
                <button type="button" aria-pressed={see === 'diff'} onClick={() => pick({ see: 'diff' })}>
                  Compare
                </button>
                <button type="button" aria-pressed={see === 'text'} onClick={() => pick({ see: 'text' })}>
                  Content
                </button>
              </div>
            </header>
            {a === undefined ? (
              <p class="empty">There is one version only.</p>
            ) : see === 'text' ? (
              <Content id={a} file={file} />
            ) : b === undefined ? (
              <p class="empty">There is one version only.</p>
            ) : (
              <Difference file={file} a={a} b={b} nameOf={(id) => nameOf(id, versions, moment)} />
            )}
          </section>
        </div>
      )}
    </>
  );
}

/** The newest so many, in pages of the server's. */
async function versionsOf(file: PathRef, most: number, signal: AbortSignal): Promise<Versions> {
  let answer = await whenReady(() => get<Versions>('versions', { ...pathQuery(file), limit: PAGE }, signal), signal);
  while (answer.next !== null && answer.versions.length < most) {
    const more = await get<Versions>('versions', { ...pathQuery(file), limit: PAGE, after: answer.next }, signal);
    answer = { ...more, versions: [...answer.versions, ...more.versions] };
  }
  return answer;
}

type VersionRowProps = {
  /** Undefined: the project as it is now. */
  readonly version: Version | undefined;
  readonly file: PathRef;
  readonly a: string | undefined;
  readonly b: string | undefined;
  readonly moment: (time: string | number) => string;
  readonly onPick: (next: { a?: string; b?: string; see?: string }) => void;
};

/** As in the histories of wikis: one mark for the older side, one for the newer. */
function VersionRow({ version, file, a, b, moment, onPick }: VersionRowProps) {
  const id = version === undefined ? NOW : version.last.snapshot_id;
  const said = version === undefined ? 'The project now' : moment(version.first.time);
  const bring = (): void => {
    choose(id, [file]);
    go(href('restore'));
  };
  return (
    <li class={id === a ? 'version version-a' : id === b ? 'version version-b' : 'version'}>
      <span class="version-marks">
        {version === undefined ? (
          <span class="no-mark" />
        ) : (
          <input type="radio" name="a" checked={id === a} onChange={() => onPick({ a: id })} aria-label={`Older side: ${said}`} />
        )}
        <input type="radio" name="b" checked={id === b} onChange={() => onPick({ b: id, see: 'diff' })} aria-label={`Newer side: ${said}`} />
      </span>
      <span class="version-when">
        <strong>{said}</strong>{' '}
        {version?.suspect === true && (
          <Badge icon="suspect" tone="suspect" title="Something critical was lost when it was saved">
            Suspect
          </Badge>
        )}
        <span class="hint">{version === undefined ? 'not a snapshot' : factsOf(version)}</span>
      </span>
      {version === undefined ? null : (
        <button type="button" class="small" onClick={bring} aria-label={`Bring back the version of ${said}`}>
          <Icon name="restore" /> <span>Bring back</span>
        </button>
      )}
    </li>
  );
}

function factsOf({ size, rows, snapshots, gone_in }: Version): string {
  const facts = [
    ...(size === null ? [] : [formatBytes(size)]),
    ...(rows === null ? [] : [counted(rows, 'row')]),
    `in ${counted(snapshots, 'snapshot')}`,
    ...(gone_in === null ? [] : ['gone after it']),
  ];
  return facts.join(', ');
}

/** A version is called by the moment since which it was so, as in the list. */
function nameOf(id: string, versions: readonly Version[], moment: (time: string | number) => string): string {
  if (id === NOW) return 'The project now';
  const version = versions.find(({ first, last }) => last.snapshot_id === id || first.snapshot_id === id);
  const time = version?.first.time ?? timeOfId(id);
  return time === undefined ? id : moment(time);
}

type DifferenceProps = { readonly file: PathRef; readonly a: string; readonly b: string; readonly nameOf: (id: string) => string };

function Difference({ file, a, b, nameOf: called }: DifferenceProps) {
  const answer = useLoad(`diff ${keyOfPath(file)} ${a} ${b}`, (signal) =>
    get<VersionDifference>('versions/diff', { ...pathQuery(file), a, b }, signal),
  );
  if (answer.error !== undefined) return <ProblemBox error={answer.error} again={answer.again} />;
  if (answer.data === undefined) return <Waiting what="Comparing" />;
  const { change, aspects, content } = answer.data;
  const [before, after] = [called(a), called(b)];
  if (change === 'same') return <p class="empty">Both are the same.</p>;
  const others = aspects.filter((aspect) => aspect !== 'content');
  return (
    <>
      <p class="hint">
        Before: {before}. After: {after}.{change === 'changed' ? '' : ` It is ${change}.`}
        {others.length === 0 ? '' : ` Also changed: ${others.join(', ')}.`}
      </p>
      {content === null ? <p class="empty">The content is the same.</p> : <Contents content={content} before={before} after={after} />}
    </>
  );
}

function Contents({ content, before, after }: { readonly content: ContentDifference; readonly before: string; readonly after: string }) {
  if (content.kind === 'none') return <p class="empty">There is nothing to compare: {plain(content.reason)}.</p>;
  if (content.kind === 'text')
    return content.unified === '' ? (
      <p class="empty">The content is the same.</p>
    ) : (
      <DiffText unified={content.unified} before={before} after={after} />
    );
  if (content.tables.length === 0) return <p class="empty">Every row is the same.</p>;
  return (
    <>
      {content.tables.map((difference) => (
        <RowsTable key={difference.table} difference={difference} />
      ))}
    </>
  );
}

function Content({ id, file }: { readonly id: string; readonly file: PathRef }) {
  const answer = useLoad(
    `text ${id} ${keyOfPath(file)}`,
    (signal) => get<TextAnswer>(`snapshots/${encodeURIComponent(id)}/text`, pathQuery(file), signal),
    { follow: false },
  );
  const fetchIt = (): void => {
    download(id, file).catch((error: unknown) => announce(asApiError(error).message));
  };
  const time = timeOfId(id);
  if (answer.error !== undefined) return <ProblemBox error={answer.error} again={answer.again} />;
  if (answer.data === undefined) return <Waiting what="Reading" />;
  return (
    <>
      <p class="hint">
        As it was {time === undefined ? id : <Age time={time} />}, {formatBytes(answer.data.size)}.{' '}
        <button type="button" class="small" onClick={fetchIt}>
          Download
        </button>
      </p>
      {answer.data.text === null ? (
        <p class="empty">It is not text.</p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
        <section class="scroll" aria-label="Lines" tabIndex={0}>
          <pre>
            {answer.data.text.split('\n').map((line, index) => (
              <span key={index}>
                <Name text={line} />
                {'\n'}
              </span>
            ))}
          </pre>
        </section>
      )}
      {answer.data.truncated ? <p class="hint">Only its beginning is shown; the download has all of it.</p> : null}
    </>
  );
}
