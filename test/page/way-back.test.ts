// A person's way from "something is gone" to "it is back" at the page of `cora serve`: in a real browser, by keys alone, without a
// command; and the way back from that.

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { focused, openBrowser, settled, show, tabTo, until, type Visit, visit, whyNoBrowser } from '../support/browser.ts';
import { Sandbox } from '../support/sandbox.ts';
import { type Server, startServer } from '../support/serve.ts';

describe.skipIf(whyNoBrowser !== undefined)(`at the page${whyNoBrowser === undefined ? '' : ` (skipped: ${whyNoBrowser})`}`, () => {
  let browser: Browser;
  let sandbox: Sandbox;
  let server: Server;
  let here: Visit;
  let page: Page;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());
  beforeEach(async () => {
    sandbox = new Sandbox({ fast: true });
    mkdirSync(at('notes'));
    writeFileSync(at('notes/plan.md'), '# The plan\n\nOne.\n');
    writeFileSync(at('kept.txt'), 'kept\n');
    await sandbox.snapshot(['save', '-m', 'before the accident']);
    server = await startServer(sandbox);
  });
  afterEach(async () => {
    await here.context.close();
    await server.stop('SIGKILL');
    await sandbox.remove();
    expect({ complaints: [...new Set(here.complaints)], strangers: here.strangers }).toEqual({ complaints: [], strangers: [] });
  });

  const at = (path: string) => join(sandbox.project, path);
  async function arrive(token = true): Promise<void> {
    here = await visit(browser, server, {}, token);
    ({ page } = here);
  }
  const said = (text: RegExp) => page.getByText(text).first().waitFor();

  test('a page that nobody sees holds no connection, and hears what it missed when it is seen again', async () => {
    await arrive();
    const streams = { begun: 0, ended: 0 };
    page.on('request', (request) => {
      if (request.url().endsWith('/events')) streams.begun += 1;
    });
    page.on('requestfailed', (request) => {
      if (request.url().endsWith('/events')) streams.ended += 1;
    });
    await show(page, server, 'overview');
    await settled(page);
    const seen = (state: string) =>
      page.evaluate(`Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => '${state}' });
        document.dispatchEvent(new Event('visibilitychange'));`);
    await expect.poll(() => streams.begun).toBe(1);
    await seen('hidden');
    await expect.poll(() => streams.ended).toBe(1);
    writeFileSync(at('kept.txt'), 'changed\n');
    await sandbox.snapshot(['save', '-m', 'while nobody looked']);
    expect(streams.begun).toBe(1);
    await seen('visible');
    await said(/while nobody looked/);
    expect(streams).toEqual({ begun: 2, ended: 1 });
  });

  test('what is gone comes back by keys alone, from the token to the undo', async () => {
    rmSync(at('notes'), { recursive: true });
    await sandbox.snapshot(['save']);
    await arrive(false);
    await page.goto(server.url);
    // The token, once for this tab.
    await tabTo(page, /^input\[password\] Token/);
    await page.keyboard.type('not the token');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').waitFor();
    await tabTo(page, /^input\[password\] Token/);
    await page.keyboard.press('Control+A');
    await page.keyboard.type(server.token);
    await page.keyboard.press('Enter');
    await settled(page);
    // Something is gone.
    await tabTo(page, /^a Something is gone/);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Something is gone' }).waitFor();
    await until(page, "document.activeElement?.tagName === 'INPUT'");
    await page.keyboard.type('plan');
    await page.getByText('1 path', { exact: true }).waitFor();
    await page.getByRole('button', { name: /^Bring back notes\/plan\.md/ }).waitFor();
    await tabTo(page, /^button Bring back notes\/plan\.md/);
    await page.keyboard.press('Enter');
    // What, where to, the plan.
    await page.getByRole('heading', { name: 'Restore', level: 1 }).waitFor();
    await tabTo(page, /^button Show the plan/);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'The plan' }).waitFor();
    // What was chosen outlives a reload, and the plan is made anew.
    await page.reload();
    await tabTo(page, /^button Show the plan/);
    await said(/notes\/plan\.md/);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'The plan' }).waitFor();
    await said(/notes\/plan\.md/);
    expect(existsSync(at('notes/plan.md'))).toBe(false);
    // The second yes: the word.
    await tabTo(page, /^input\[text\] Type restore to go on/);
    await page.keyboard.type('rest');
    await page.keyboard.press('Enter');
    await page.waitForTimeout(300);
    expect(existsSync(at('notes/plan.md'))).toBe(false);
    await page.keyboard.type('ore');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'It is back' }).waitFor();
    expect(readFileSync(at('notes/plan.md'), 'utf8')).toBe('# The plan\n\nOne.\n');
    expect(readFileSync(at('kept.txt'), 'utf8')).toBe('kept\n');
    // And back again.
    await tabTo(page, /^button Show what undo would do/);
    await page.keyboard.press('Enter');
    await tabTo(page, /^input\[text\] Type undo to go on/);
    await page.keyboard.type('undo');
    await page.keyboard.press('Enter');
    await said(/It is taken back/);
    expect(existsSync(at('notes/plan.md'))).toBe(false);
    await page.getByRole('heading', { name: 'It was brought back, and taken back again' }).waitFor();
    // The same once more is a restore, and is called one.
    await tabTo(page, /^button Show what restoring it once more would do/);
    await page.keyboard.press('Enter');
    await said(/This restores once more/);
    await tabTo(page, /^input\[text\] Type redo to go on/);
    await page.keyboard.type('redo');
    await tabTo(page, /^button Restore it once more/);
    await page.keyboard.press('Enter');
    await said(/It is restored once more/);
    await page.getByRole('heading', { name: 'It is back' }).waitFor();
    expect(readFileSync(at('notes/plan.md'), 'utf8')).toBe('# The plan\n\nOne.\n');
    expect(await page.evaluate("sessionStorage.getItem('cora-chosen')")).toBe(null);
    expect(await page.evaluate('location.href')).not.toContain(server.token);
  });

  test('files of an older snapshot are chosen with Space in its list, and come back with a database that works', async () => {
    const database = new DatabaseSync(at('app.db'));
    database.exec("CREATE TABLE notes(text); INSERT INTO notes VALUES ('kept')");
    const { id } = await sandbox.snapshot(['save']);
    database.exec('DELETE FROM notes');
    database.close();
    writeFileSync(at('kept.txt'), 'spoilt\n');
    await arrive();
    await show(page, server, 'overview');
    await page.keyboard.press('t');
    await page.getByRole('heading', { name: 'Time line' }).waitFor();
    await page.locator('.roster-row').first().waitFor();
    await tabTo(page, /^li /);
    const first = await focused(page);
    await page.keyboard.press('ArrowDown');
    expect(await focused(page)).not.toBe(first);
    await page.keyboard.press('Home');
    await page.keyboard.press('Enter');
    await page.getByText(id).first().waitFor();
    await page.locator('.roster-row').first().waitFor();
    await tabTo(page, /^li /);
    for (let count = 0; count < 10; count++) {
      const row = await focused(page);
      if (/app\.db|kept\.txt/.test(row)) await page.keyboard.press('Space');
      await page.keyboard.press('ArrowDown');
      if ((await focused(page)) === row) break;
    }
    await page.keyboard.press('r');
    await page.getByRole('heading', { name: 'Restore', level: 1 }).waitFor();
    await tabTo(page, /^button Show the plan/);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'The plan' }).waitFor();
    await said(/1 live database is replaced/);
    await tabTo(page, /^input\[(?:checkbox|radio)\] .*stopped/);
    await page.keyboard.press('Space');
    await tabTo(page, /^input\[text\] Type restore to go on/);
    await page.keyboard.type('restore');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'It is back' }).waitFor();
    expect(readFileSync(at('kept.txt'), 'utf8')).toBe('kept\n');
    const again = new DatabaseSync(at('app.db'), { readOnly: true });
    expect(Number(again.prepare('SELECT count(*) AS n FROM notes').get()?.['n'])).toBe(1);
    again.close();
  });

  test('of a file that is gone its last content is shown first, also where it had but one', async () => {
    writeFileSync(at('twice.txt'), 'the first\n');
    await sandbox.snapshot(['save']);
    writeFileSync(at('twice.txt'), 'the last\n');
    await sandbox.snapshot(['save']);
    for (const name of ['twice.txt', 'kept.txt']) rmSync(at(name));
    await sandbox.snapshot(['save']);
    await arrive();
    await show(page, server, 'path?path=twice.txt');
    await said(/^the last/);
    await page.getByRole('button', { name: 'Compare' }).click();
    await said(/the first/);
    await show(page, server, 'path?path=kept.txt');
    await said(/^kept/);
    await page.getByRole('button', { name: 'Compare' }).click();
    await said(/There is one version only/);
  });

  test('what changed since the plan was shown is not replaced, and the page says so', async () => {
    writeFileSync(at('kept.txt'), 'edited\n');
    await arrive();
    await show(page, server, 'find?q=kept');
    await page.getByRole('button', { name: /^Bring back kept\.txt/ }).click();
    await page.getByRole('button', { name: 'Show the plan' }).click();
    await page.getByRole('heading', { name: 'The plan' }).waitFor();
    writeFileSync(at('kept.txt'), 'edited once more\n');
    await page.getByLabel(/Type restore/).fill('restore');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').waitFor();
    await said(/changed since it was planned/);
    expect(readFileSync(at('kept.txt'), 'utf8')).toBe('edited once more\n');
    await page.getByRole('button', { name: 'Make the plan again' }).click();
    await page.getByLabel(/Type restore/).fill('restore');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'It is back' }).waitFor();
    expect(readFileSync(at('kept.txt'), 'utf8')).toBe('kept\n');
  });

  test('a backup that runs is seen while it runs, and its end is in the views and read out', async () => {
    for (let count = 0; count < 400; count++) writeFileSync(at(`notes/${count}.txt`), `${count}\n`.repeat(2000));
    await arrive();
    await show(page, server, 'overview');
    await tabTo(page, /^button Back up now/);
    await page.keyboard.press('Enter');
    await page
      .getByText(/backup now/)
      .first()
      .waitFor();
    await page
      .getByText(/backup now is done/)
      .first()
      .waitFor({ state: 'attached', timeout: 60_000 });
    await page
      .getByText(/Backup, /)
      .first()
      .waitFor();
    const { result } = await sandbox.json(['backup', 'list']);
    expect(JSON.stringify(result)).toContain('"manual"');
  });

  test('the printed link opens the page once, and leaves neither code nor token in the address', async () => {
    await arrive(false);
    await page.goto(`${server.url}#code=wrong-code`);
    await page.getByRole('alert').waitFor();
    expect(await page.evaluate('location.hash')).toBe('');
    await tabTo(page, /^input\[password\] Token/);
    await page.keyboard.type(server.token);
    await page.keyboard.press('Enter');
    await settled(page);
    const stored = (await page.evaluate(
      'JSON.stringify([localStorage.length, document.cookie, location.href, document.documentElement.outerHTML])',
    )) as string;
    expect(stored).not.toContain(server.token);
    expect(stored).toMatch(/^\[0,"",/);
  });
});
