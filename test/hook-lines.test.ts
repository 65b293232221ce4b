// What the push hook would overlook in [hook], by the forms that TOML has for the same thing.

import { expect, test } from 'vitest';
import { parseConfig } from '../src/base/config.ts';

test.each([
  '[hook]\nbudget = "1s"',
  '  [ hook ] # ours\r\n\tbudget="1s" # short\r\n',
  'hook.budget = "1s"',
  "[hook]\nskip_branches = [\n  'a]', # ] not yet\n  \"#b\"\n]\nbudget = '1s'",
  '[hook]\nskip_branches = [] # none\nbudget = "1s"',
])('%j is read by both', async (text) => {
  expect((await parseConfig(text, 'cora.toml')).hook?.budget).toBe(1000);
});

test.each([
  'hook = { budget = "1s" }',
  '[hook]\n"budget" = "1s"',
  '["hook"]\nbudget = "1s"',
  '[hook]\nbudget = """1s"""',
  '[hook]\nbudget = "\\u0031s"',
  'hook . budget = "1s"',
  '\ufeff[hook]\nbudget = "1s"',
])('%j is refused, with the form that is read', async (text) => {
  await expect(parseConfig(text, 'cora.toml')).rejects.toMatchObject({
    code: 'config_invalid',
    hint: 'write it as one line below [hook]: budget = ...',
    details: { key: 'hook.budget' },
  });
});
