// `cora recover`: list, choose, fetch, restore.

import { listCopies, openRemote, remotesOf, requireThere } from '../../actions/offsite-remote.ts';
import { recover } from '../../actions/recover.ts';
import { type CopyGroup, chooseCopy, fittingGroups, groupCopies, onlyGroup, type Wanted } from '../../actions/recover-choose.ts';
import { type Bytes, fromText, isText, toText } from '../../base/bytes.ts';
import { defaultConfig } from '../../base/config.ts';
import { isRate } from '../../base/config-file-offsite.ts';
import { CoraError, EXIT } from '../../base/errors.ts';
import { exitCodeOf, type Outcome, type Session } from '../command.ts';
import { copiesDocument, copiesLines, recoverDocument, recoverLines } from '../render-recover.ts';

type Options = {
  readonly to?: Bytes;
  readonly latest?: boolean;
  readonly at?: string;
  readonly env?: string;
  readonly list?: boolean;
  readonly vaultOnly?: boolean;
  readonly all?: boolean;
  readonly identity?: readonly string[];
  readonly credentials?: Bytes;
  readonly rcloneConfig?: Bytes;
  readonly bwlimit?: string;
};

type Input = { readonly options: Options; readonly args: readonly Bytes[]; readonly paths: readonly Bytes[] };

export async function run({ options, args, paths }: Input, session: Session): Promise<Outcome> {
  const { ctx } = session;
  const { remote: typed, name } = readWords([...args, ...paths].map(toText));
  const wanted = readWanted(options, name);
  const setup = setupOf(options, session);
  const named = typed ?? remotesOf(setup)[0];
  if (named === undefined) {
    throw new CoraError('usage', 'No remote is named, and no backup.env has SPACES_* with BACKUP_BUCKET', {
      hint: 'cora recover name:bucket/path, or an absolute path; --credentials names the file with the keys',
    });
  }
  const remote = await openRemote(setup, named, 'typed', ctx);
  await requireThere(remote);
  const found = await listCopies(remote, options.env);
  const groups = groupCopies(found);
  for (const { directory, reason } of found.damaged)
    ctx.monitor.problem({ code: 'marker_damaged', path: directory, message: `It is not counted: ${reason}`, severity: 'warning' });
  if (options.list === true || (options.to === undefined && options.vaultOnly !== true)) {
    const only = fittingGroups(groups, wanted);
    return { result: copiesDocument(named, only, found.damaged, ctx.now()), lines: copiesLines(named, only, found.damaged, ctx.now()) };
  }
  const group = await theGroup(fittingGroups(groups, wanted), named, options.env, session);
  const copy = await chooseCopy(group, wanted, ctx);
  const result = await recover(remote, group, copy, recoverOptions(options, session), ctx);
  const next = await nextSteps(result.vault.path, options, group, session);
  const damaged = result.restore !== undefined && result.restore.damaged > 0;
  return {
    result: recoverDocument(result, next, ctx.now()),
    lines: recoverLines(result, next),
    exitCode: damaged ? EXIT.damaged : exitCodeOf(result.problems),
    problems: result.problems,
  };
}

/** One word is a remote where it looks like one. */
function readWords(words: readonly string[]): { readonly remote: string | undefined; readonly name: string | undefined } {
  const [first, second] = words;
  if (first === undefined) return { remote: undefined, name: undefined };
  if (second !== undefined) return { remote: first, name: second };
  return /^@/.test(first) || first === 'latest' || /^\d{4,8}(?:-[\da-z-]*)?$/.test(first)
    ? { remote: undefined, name: first }
    : { remote: first, name: undefined };
}

function readWanted(options: Options, name: string | undefined): Wanted {
  const said = [name, options.at, options.latest === true ? '--latest' : undefined].filter((one) => one !== undefined);
  if (said.length > 1) {
    throw new CoraError('usage', `A copy is named twice: ${said.join(' and ')}`, { hint: 'give an id, --at or --latest' });
  }
  if (options.to !== undefined && options.vaultOnly === true && options.list !== true)
    throw new CoraError('usage', '--vault-only restores nothing, and --to says where to', { hint: 'leave one of them out' });
  return { name, at: options.at };
}

function setupOf(options: Options, { machine, absolute }: Session) {
  const path = (value: Bytes | undefined) => (value === undefined ? undefined : toText(absolute(value)));
  const { bwlimit } = options;
  if (bwlimit !== undefined && !isRate(bwlimit))
    throw new CoraError('usage', `--bwlimit is no rate: ${bwlimit}`, { hint: 'write it as rclone takes it: 2M, or "08:00,512k 19:00,off"' });
  return {
    config: { ...defaultConfig.offsite, credentials: path(options.credentials), rcloneConfig: path(options.rcloneConfig), bwlimit },
    places: { home: machine.home, credentialsDirectory: machine.env('CREDENTIALS_DIRECTORY') },
  };
}

async function theGroup(groups: readonly CopyGroup[], remote: string, env: string | undefined, session: Session): Promise<CopyGroup> {
  const { globals } = session;
  if (groups.length < 2 || !session.interactive || globals.json === true || globals.yes === true) return onlyGroup(groups, remote, env);
  const { askWhichGroup } = await import('../recover-questions.ts');
  return askWhichGroup(groups, session.ctx.signal);
}

function recoverOptions(options: Options, { globals, machine, absolute }: Session) {
  if (globals.vault !== undefined && !isText(globals.vault))
    throw new CoraError('usage', 'The name of the vault is not UTF-8', { hint: 'give another one with --vault' });
  if (options.to !== undefined && !isText(options.to))
    throw new CoraError('usage', 'The name of DIR is not UTF-8', { hint: 'name another one with --to' });
  const explicit = globals.vault === undefined ? undefined : toText(absolute(globals.vault));
  return {
    to: options.to === undefined ? undefined : absolute(options.to),
    all: options.all === true,
    identities: (options.identity ?? []).map((path) => toText(absolute(fromText(path)))),
    environment: { explicit, uid: machine.uid, home: machine.home, xdgStateHome: machine.env('XDG_STATE_HOME') },
    // A variable names the vault at each run; what was typed once is remembered.
    remembers: explicit === undefined || machine.env('CORA_VAULT')?.replace(/\/+$/, '') !== explicit.replace(/\/+$/, ''),
  };
}

/** What a person does now, each a sentence or a command. */
async function nextSteps(vault: string, options: Options, group: CopyGroup, session: Session): Promise<string[]> {
  if (options.to === undefined) return [`cora list --vault ${vault}`, `cora restore ID --vault ${vault} --to DIR`];
  const directory = toText(session.absolute(options.to));
  const steps = [`cd ${directory} && cora status`];
  try {
    const home = session.machine.home === undefined ? undefined : fromText(session.machine.home);
    const { config } = await session.engine.findProject(session.absolute(options.to), home);
    if (config.vault !== undefined && config.vault !== vault)
      steps.push(`its configuration names the vault ${config.vault}: correct that to ${vault}, or name it with --vault`);
    steps.push(
      config.offsite.remotes.length === 0
        ? `[offsite] with remote and env = "${group.env}" goes into the configuration again, then cora ship goes on there`
        : `cora ship goes on in ${group.env}`,
    );
  } catch {
    // A configuration that cannot be read says so at the next command.
  }
  return [
    ...steps,
    `if the old machine (${group.host}) still lives, stop its timers or give one of the two another env: both would write into ${group.env}`,
  ];
}
