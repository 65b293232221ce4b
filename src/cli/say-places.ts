// The paths of a phrase. One that looks back means paths of the project: "versions of app.db" is data/app.db where no other has the name. One that
// saves names what it is about: the whole is saved, and what is not in that is said.

import { saidPath } from '../actions/said-path.ts';
import { why } from '../actions/why.ts';
import { fromText, toText } from '../base/bytes.ts';
import { CoraError } from '../base/errors.ts';
import type { Clause, Understood } from '../language/intent.ts';
import { exists } from '../os/files.ts';
import type { Session } from './command.ts';
import { visible } from './render.ts';

type Asked = Extract<Understood, { kind: 'asked' }>;

/** @throws CoraError phrase_unknown where a name fits several paths */
export async function withPlaces(understood: Asked, phrase: string, session: Session): Promise<Asked> {
  if (!understood.clauses.some(looksBack)) return understood;
  const { location } = await session.locate();
  if (!exists(`${location.path}/VAULT.json`)) return understood;
  const placed = async (clause: Clause): Promise<Clause> => {
    if (!looksBack(clause)) return clause;
    const { path = '', paths } = clause.slots;
    const all = await Promise.all((paths ?? [path]).map(async (said) => placeOf(said)));
    const [first = path] = all;
    return { ...clause, slots: { ...clause.slots, path: first, ...(paths === undefined ? {} : { paths: all }) } };
  };
  const placeOf = async (said: string): Promise<string> => {
    const { exact, elsewhere } = await saidPath(location, fromText(said), session.absolute(fromText(said)));
    const [found, ...others] = (exact === undefined ? elsewhere : [exact]).map(toText);
    if (others.length > 0) throw ambiguous(said, [found ?? said, ...others], phrase);
    if (found !== undefined && found !== said) session.ctx.monitor.note(`${said} = ${found}`);
    return found ?? said;
  };
  const [first, ...others] = await Promise.all(understood.clauses.map(placed));
  return first === undefined ? understood : { ...understood, clauses: [first, ...others] };
}

const looksBack = ({ intent, slots }: Clause): boolean => /^(?:restore|list|last|health)$/.test(intent) && slots.path !== undefined;

function ambiguous(said: string, found: readonly string[], phrase: string): CoraError {
  const [first = '', second = ''] = found;
  return new CoraError(
    'phrase_unknown',
    `${visible(said)} can be ${visible(first)} or ${visible(second)}${found.length > 2 ? ` (${found.length} paths in all)` : ''}`,
    { hint: 'say the whole path', details: { phrase, reason: 'which', nearest: [first, second] } },
  );
}

/** Of a save or backup: the paths that were named and are not in it, a sentence each. */
export async function leftOut({ clauses }: Asked, session: Session): Promise<readonly string[]> {
  const named = clauses.flatMap(({ intent, slots }) =>
    intent !== 'save' && intent !== 'backup' ? [] : (slots.paths ?? (slots.path === undefined ? [] : [slots.path])),
  );
  if (named.length === 0) return [];
  const { project, location } = await session.open();
  const results = await Promise.all(named.map(async (path) => why(project, location, fromText(path), session.absolute(fromText(path)))));
  return results.flatMap(({ path, live, isSaved, sentence }) => {
    const name = visible(toText(path));
    if (!isSaved) return [`${name} is NOT in it: ${visible(sentence)}.`];
    return live === undefined ? [`${name} is not in it: there is no such file.`] : [];
  });
}
