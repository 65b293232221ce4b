// What assistants read: the block in AGENTS.md, the line in CLAUDE.md that leads there, and the skill. Pure; files are
// handled as latin1, a character a byte. Invariant: a block that somebody edited is found, and never rewritten.

import { createHash } from 'node:crypto';

const BEGIN = /<!-- >>> cora v1 sha=([0-9a-f]{12}) >>>[^\n]*-->\r?\n/;
const END = '<!-- <<< cora <<< -->';

/** Each line is read in every session, so there are few. */
const INSTRUCTIONS = `## Saving and restoring (cora)
- "save", "save our progress", "checkpoint": run \`cora save -m "<why>"\`. It is not a git commit; commit only when asked.
- "back up", "take a snapshot", "protect our work": \`cora backup auto\`. "wrap up", "done for today", "end session": \`cora end\`.
- Before migrations, seeds, bulk deletes, \`rm -r\`, \`git reset\`, \`checkout\`, \`clean\`, \`restore\`, and edits of .env or a database:
  \`cora save -m "before <what>"\`, and go on only where it ends with 0.
- To get something back: \`cora save\`, then \`cora lost\` prints what is gone and the commands; \`cora restore latest PATH --dry-run\` shows a plan.
  Show it to the user and restore after a yes. Never use git reset, checkout or clean to undo.
- Never touch the vault. Never run chattr -i or -a, \`cora prune --confirm\`, \`cora unprotect\`, \`cora lost --accept\` or \`cora init --undo\`, and never
  stop Cora's timers: ask the user.
- Tell the user the id of a save, and what it says was lost, left out or failed.
- Exit codes: 0 ok; 3 done, but something is missing or lost (\`cora lost\`); 11 another save runs, try again; 20 needs a person; else it failed.
`;

const POINTER = `@AGENTS.md\n`;

/** A file of its own for assistants that load instructions when they need them. */
export const SKILL = `---
name: cora
description: Saving, backing up and restoring this project with the cora command. Use when the user says save, checkpoint, back up, snapshot, restore, undo, bring back, wrap up or done for today; before migrations, seeds, bulk deletes, rm -r, git reset/checkout/clean/restore and edits of .env files or databases; and when files, rows or work are missing.
---

${INSTRUCTIONS.replace('## ', '# ')}
## More
- \`cora status\`: what is protected and how old it is. \`cora list -n 10\`: the newest saves. \`cora show ID\`: what one holds and what it leaves out.
- \`cora restore "@2 hours ago" PATH --dry-run\`: as it was then. \`cora restore --undo\` takes the last restore back.
- \`cora guard LABEL -- COMMAND\`: a backup first, and a roll back where the command fails.
- A database in use goes back with \`--live\`, or with its program stopped and \`--confirm-service-stopped\`.
`;

export type BlockKind = 'instructions' | 'pointer';

/** The block, with the file's own line ends. */
export function agentBlock(kind: BlockKind, lineEnd: string): string {
  const body = (kind === 'instructions' ? INSTRUCTIONS : POINTER).replaceAll('\n', lineEnd);
  return `<!-- >>> cora v1 sha=${hashOf(body)} >>> written by cora init --agents; write outside of it -->${lineEnd}${body}${END}${lineEnd}`;
}

export type AgentBlock = { readonly start: number; readonly end: number; readonly intact: boolean };

/**
 * @returns undefined where there is none
 * @throws RangeError for a begin without an end
 */
export function findAgentBlock(text: string): AgentBlock | undefined {
  const begin = BEGIN.exec(text);
  if (begin === null) return undefined;
  const from = begin.index + begin[0].length;
  const to = text.indexOf(END, from);
  if (to < 0) throw new RangeError('a block of Cora begins and does not end');
  const end = to + END.length + (/^\r?\n/.exec(text.slice(to + END.length))?.[0].length ?? 0);
  return { start: begin.index, end, intact: hashOf(text.slice(from, to)) === begin[1] };
}

/** What is to be appended so that the block stands at the end of the file, behind an empty line. */
export function appendedBlock(text: string, kind: BlockKind): string {
  const lineEnd = text.includes('\r\n') ? '\r\n' : '\n';
  const gap = text === '' ? '' : text.endsWith('\n') ? lineEnd : lineEnd + lineEnd;
  return gap + agentBlock(kind, lineEnd);
}

/** Whether a CLAUDE.md brings AGENTS.md along by itself. */
export function importsAgents(text: string): boolean {
  return /(?:^|\s)@(?:\.\/)?AGENTS\.md\b/m.test(text);
}

const hashOf = (body: string): string => createHash('sha256').update(body, 'latin1').digest('hex').slice(0, 12);
