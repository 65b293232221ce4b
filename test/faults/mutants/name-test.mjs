// In the copy of the tree: says which test is at work, for the switch of this process and of its children.

import { existsSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { beforeAll, beforeEach, expect } from 'vitest';

const top = join(import.meta.dirname, '../../..');

function say(name) {
  globalThis.__coraTest = name.replace(/\n/g, ' ');
  if (existsSync(join(top, 'HITS/on'))) writeFileSync(join(top, 'HITS/test'), globalThis.__coraTest);
}

beforeAll(() => say(`${relative(top, expect.getState().testPath ?? '')}\t`));
beforeEach(({ task }) => say(`${relative(top, task.file.filepath)}\t${fullName(task)}`));

function fullName(task) {
  const names = [];
  for (let at = task; at !== undefined && at.type !== undefined && at.filepath === undefined; at = at.suite) names.unshift(at.name);
  return names.join(' ');
}
