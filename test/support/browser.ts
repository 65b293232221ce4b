// A person at the page of `cora serve`: a real Chromium, driven by keys, and what it is judged by (axe-core, pictures, what the
// page asked for and complained of). Not a test.

import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { AxeResults } from 'axe-core';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { findProgram } from '../../src/os/run.ts';
import type { Server } from './serve.ts';

const PROGRAM = findProgram('chromium') ?? findProgram('chromium-browser') ?? findProgram('google-chrome');
export const whyNoBrowser = PROGRAM === undefined ? 'no chromium' : undefined;

/** Git ignores it; the next run overwrites what is there. */
export const PICTURES = join(import.meta.dirname, '..', '..', 'pictures');

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export const WIDTHS = { phone: { width: 360, height: 740 }, tablet: { width: 768, height: 1024 }, desk: { width: 1440, height: 900 } } as const;

export function openBrowser(args: readonly string[] = []): Promise<Browser> {
  // Its own sandbox cannot be made by root, and what it opens is ours.
  return chromium.launch({ executablePath: PROGRAM ?? '', chromiumSandbox: false, args: [...args] });
}

export type Visit = {
  readonly page: Page;
  readonly context: BrowserContext;
  /** What the page complained of: errors of scripts, and what its policy refused. */
  readonly complaints: readonly string[];
  /** Addresses outside of the server that it asked for. */
  readonly strangers: readonly string[];
};

export type Look = { readonly width?: keyof typeof WIDTHS; readonly dark?: boolean; readonly touch?: boolean };

/** A tab that knows the token, as after the prompt; without `token`, one that has to ask. */
export async function visit(browser: Browser, server: Server, { width = 'desk', dark = false }: Look = {}, token = true): Promise<Visit> {
  const context = await browser.newContext({
    viewport: WIDTHS[width],
    colorScheme: dark ? 'dark' : 'light',
    reducedMotion: 'reduce',
    timezoneId: 'UTC',
    locale: 'en-GB',
  });
  const page = await context.newPage();
  const complaints: string[] = [];
  const strangers: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    // That an answer is 4xx is a matter of the view, which shows it.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) complaints.push(message.text());
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(server.url) && !/^(?:data|blob):/.test(request.url())) strangers.push(request.url());
  });
  page.on('dialog', (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  if (token) await page.addInitScript(`sessionStorage.setItem('cora-token', ${JSON.stringify(server.token)})`);
  return { page, context, complaints, strangers };
}

/** Opens a view and waits until it has what it asked for. */
export async function show(page: Page, server: Server, view: string): Promise<void> {
  await page.goto(`${server.url}#/${view}`);
  await settled(page);
}

const SETTLED = "document.querySelector('h1, [role=alert]') !== null && document.querySelector('.waiting, [aria-busy=true]') === null";

/** Nothing is awaited any more, besides the events. */
export async function settled(page: Page): Promise<void> {
  await until(page, SETTLED);
  await page.evaluate('new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))');
}

/** Asks from outside: what waits within the page would be an eval, which its policy refuses. @throws Error after half a minute */
export async function until(page: Page, condition: string): Promise<void> {
  const end = performance.now() + 30_000;
  while ((await page.evaluate(condition)) !== true) {
    if (performance.now() > end) throw new Error(`The page never came to: ${condition}`);
    await page.waitForTimeout(30);
  }
}

export type Fault = { readonly id: string; readonly impact: string; readonly where: readonly string[] };

/** What axe-core calls serious or critical (WCAG 2.2 A and AA, and its best practices). */
export async function faults(page: Page): Promise<Fault[]> {
  await page.evaluate(AXE);
  const { violations } = (await page.evaluate(
    "axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })",
  )) as AxeResults;
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, impact, nodes }) => ({
      id,
      impact: impact ?? '',
      where: nodes.slice(0, 5).map(({ target, failureSummary }) => `${target.join(' ')}: ${failureSummary?.split('\n')[1]?.trim() ?? ''}`),
    }));
}

/** Anything wider than the window, besides what scrolls in a box of its own. */
export function overflow(page: Page): Promise<number> {
  return page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
}

export async function picture(page: Page, name: string, fullPage = true): Promise<string> {
  mkdirSync(PICTURES, { recursive: true });
  const path = join(PICTURES, `${name}.png`);
  await page.screenshot({ path, fullPage, animations: 'disabled', caret: 'hide' });
  return path;
}

// As text, since this runs where there is a document.
const FOCUSED = `(() => {
  const node = document.activeElement;
  if (node === null || node === document.body) return '';
  const field = node.tagName === 'INPUT';
  const label = field ? [...(node.labels ?? [])].map((one) => one.innerText).join(' ') : '';
  const text = node.getAttribute('aria-label') ?? (label === '' ? node.innerText : label);
  return (node.tagName.toLowerCase() + (field ? '[' + node.type + ']' : '') + ' ' + text.replace(/\\s+/g, ' ').trim()).slice(0, 200);
})()`;

/** What has the focus, as a screen reader would name it, with the name of its element before it. */
export function focused(page: Page): Promise<string> {
  return page.evaluate(FOCUSED);
}

/** Tab until what has the focus is called so. @throws Error naming all that Tab led to */
export async function tabTo(page: Page, wanted: RegExp, most = 80): Promise<void> {
  const seen: string[] = [];
  for (let count = 0; count <= most; count++) {
    const now = await focused(page);
    if (wanted.test(now)) return;
    seen.push(now);
    await page.keyboard.press('Tab');
  }
  throw new Error(`Tab never led to ${wanted}, but to: ${[...new Set(seen)].join(' | ')}`);
}
