// Every view of the page in a real browser, dark and light, at three widths: no serious fault for who sees, hears or types it
// (axe-core), nothing wider than the window, and pictures to look at (pictures/, which git ignores).

import { statSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { faults, openBrowser, overflow, picture, settled, show, visit, WIDTHS, whyNoBrowser } from '../support/browser.ts';
import { LABEL, livedIn, NAMES, NOTE } from '../support/month.ts';
import { Sandbox } from '../support/sandbox.ts';
import { type Server, startServer } from '../support/serve.ts';

type View = { readonly name: string; readonly at: string; readonly act?: (page: Page) => Promise<void> };

const VIEWS: readonly View[] = [
  { name: 'overview', at: 'overview' },
  { name: 'time', at: 'time' },
  { name: 'snapshot', at: 'snapshot/latest' },
  { name: 'names', at: 'snapshot/latest?path=inbox' },
  { name: 'report', at: 'snapshot/latest?tab=report' },
  { name: 'versions', at: 'path?path=src/app.ts' },
  { name: 'rows', at: 'path?path=data.db' },
  { name: 'find', at: 'find?q=plan' },
  { name: 'storage', at: 'storage' },
  { name: 'restore', at: 'restore' },
  {
    name: 'plan',
    at: 'find?q=plan',
    act: async (page) => {
      await page.getByRole('button', { name: /^Bring back notes\/plan\.md/ }).click();
      await page.getByRole('button', { name: 'Show the plan' }).click();
      await page.getByRole('heading', { name: 'The plan' }).waitFor();
    },
  },
  { name: 'keys', at: 'overview', act: (page) => page.keyboard.press('?') },
  { name: 'error', at: 'snapshot/20200101-000000-abc1234' },
];

describe.skipIf(whyNoBrowser !== undefined)(`the page${whyNoBrowser === undefined ? '' : ` (skipped: ${whyNoBrowser})`}`, () => {
  let browser: Browser;
  let sandbox: Sandbox;
  let server: Server;
  let clear: (() => void) | undefined;
  beforeAll(async () => {
    sandbox = new Sandbox();
    clear = await livedIn(sandbox);
    server = await startServer(sandbox);
    browser = await openBrowser();
  }, 240_000);
  afterAll(async () => {
    await browser.close();
    await server.stop('SIGKILL');
    clear?.();
    await sandbox.remove();
  });

  const widths = Object.keys(WIDTHS) as readonly (keyof typeof WIDTHS)[];
  for (const dark of [false, true]) {
    for (const width of widths) {
      test(`${dark ? 'dark' : 'light'}, ${WIDTHS[width].width} pixels wide`, async () => {
        const found: Record<string, unknown> = {};
        const { page, context, complaints, strangers } = await visit(browser, server, { width, dark });
        for (const { name, at, act } of VIEWS) {
          await show(page, server, at);
          if (act !== undefined) {
            await act(page);
            await settled(page);
          }
          const wrong = await faults(page);
          if (wrong.length > 0) found[name] = wrong;
          const wider = await overflow(page);
          if (wider > 0) found[`${name}: wider than the window by`] = wider;
          await picture(page, `${name}-${WIDTHS[width].width}-${dark ? 'dark' : 'light'}`);
        }
        await context.close();
        expect(found).toEqual({});
        expect({ complaints: [...new Set(complaints)], strangers }).toEqual({ complaints: [], strangers: [] });
      });
    }
  }

  test('one picture for README, of what is seen first', async () => {
    const { page, context } = await visit(browser, server);
    await page.setViewportSize({ width: 1200, height: 790 });
    await show(page, server, 'overview');
    expect(statSync(await picture(page, 'readme', false)).size).toBeLessThan(200_000);
    await context.close();
  });

  test('the judge is awake: a picture without words, and grey on grey, are found', async () => {
    const { page, context } = await visit(browser, server);
    await show(page, server, 'overview');
    await page.evaluate(`(() => {
      const text = document.createElement('p');
      text.textContent = 'too pale to read';
      text.style.color = text.style.backgroundColor = 'rgb(130 130 130)';
      text.style.backgroundColor = 'rgb(160 160 160)';
      document.querySelector('main').append(document.createElement('img'), text);
    })()`);
    expect((await faults(page)).map(({ id }) => id)).toEqual(expect.arrayContaining(['image-alt', 'color-contrast']));
    await context.close();
  });

  test('before the token: no fault, and nothing of the project in the document', async () => {
    for (const dark of [false, true]) {
      const { page, context } = await visit(browser, server, { width: 'phone', dark }, false);
      await page.goto(server.url);
      await page.getByLabel('Token').waitFor();
      expect(await faults(page)).toEqual([]);
      expect(await overflow(page)).toBe(0);
      expect(await page.content()).not.toContain(sandbox.project);
      await picture(page, `token-360-${dark ? 'dark' : 'light'}`);
      await context.close();
    }
  });

  test('names that are markup, orders or lies are shown as text that cannot be mistaken', async () => {
    const { page, context, complaints, strangers } = await visit(browser, server);
    await show(page, server, 'snapshot/latest?path=inbox');
    await page.locator('.roster-row').first().waitFor();
    const shown = (await page.evaluate("[...document.querySelectorAll('.roster-row')].map((row) => row.innerText).join('\\n')")) as string;
    expect(shown).toContain(NAMES.script);
    expect(shown).toContain('"><svg onload=alert(3)>');
    expect(shown).not.toMatch(/[\u001b\u0007\u202a-\u202e\u2066-\u2069\u200b]/);
    expect(shown).toContain('invoice-\\u202egpj.exe');
    for (const view of ['time', 'overview', 'find?q=inbox', 'find?q=script', 'storage', `snapshot/${encodeURIComponent(LABEL)}`]) {
      await show(page, server, view);
      const text = (await page.evaluate('document.body.innerText')) as string;
      expect(text, view).not.toMatch(/[\u001b\u202a-\u202e\u2066-\u2069]/);
      expect(await page.locator('img, svg[onload], [onerror], [onload], [onmouseover], b[onmouseover], script[src]').count(), view).toBe(0);
      expect(await page.locator('script').count(), view).toBe(1);
    }
    await show(page, server, 'time');
    await page.getByText(LABEL).first().waitFor();
    expect(await page.evaluate('document.title')).not.toContain('alert');
    expect(NOTE).toContain('markup');
    await context.close();
    expect({ complaints: [...new Set(complaints)], strangers }).toEqual({ complaints: [], strangers: [] });
  });
});
