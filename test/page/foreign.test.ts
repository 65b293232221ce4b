// Pages elsewhere, in a real browser that does what such browsers do: a name that is made to resolve to this machine (DNS
// rebinding), a page of another origin that sends forms and requests and frames ours. None of them learns or changes anything.

import { writeFileSync } from 'node:fs';
import { createServer, type Server as WebServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openBrowser, whyNoBrowser } from '../support/browser.ts';
import { Sandbox } from '../support/sandbox.ts';
import { type Server, startServer } from '../support/serve.ts';

const EVIL = 'rebound.evil.example';

describe.skipIf(whyNoBrowser !== undefined)(`a page elsewhere${whyNoBrowser === undefined ? '' : ` (skipped: ${whyNoBrowser})`}`, () => {
  let browser: Browser;
  let sandbox: Sandbox;
  let server: Server;
  let elsewhere: WebServer;
  beforeAll(async () => {
    sandbox = new Sandbox({ fast: true });
    writeFileSync(join(sandbox.project, 'a.txt'), 'one\n');
    await sandbox.snapshot(['save']);
    server = await startServer(sandbox);
    elsewhere = createServer((_request, response) => {
      response.setHeader('Content-Type', 'text/html');
      response.end('<!doctype html><title>elsewhere</title><body>');
    });
    await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
    browser = await openBrowser([`--host-resolver-rules=MAP *.evil.example 127.0.0.1`]);
  });
  afterAll(async () => {
    await browser.close();
    elsewhere.close();
    await server.stop('SIGKILL');
    await sandbox.remove();
  });

  const port = () => new URL(server.url).port;
  const total = async () => (await sandbox.json(['list'])).result['total'];

  test('a name that resolves to this machine gets 403 for the page and for all else, with the right token too', async () => {
    const page = await browser.newPage();
    const answer = await page.goto(`http://${EVIL}:${port()}/`);
    expect(answer?.status()).toBe(403);
    expect(await answer?.text()).toContain('http_forbidden');
    const asked = (await page.evaluate(`Promise.all(['/api/v1/health', '/api/v1/snapshots', '/openapi.json', '/metrics'].map((path) =>
      fetch(path, { headers: { Authorization: 'Bearer ${server.token}' } }).then((answer) => answer.status)))`)) as readonly number[];
    expect(asked).toEqual([403, 403, 403, 403]);
    const saved = await page.evaluate(`fetch('/api/v1/save', { method: 'POST', body: '{}', headers: { Authorization: 'Bearer ${server.token}',
      'Content-Type': 'application/json' } }).then((answer) => answer.status)`);
    expect(saved).toBe(403);
    expect(await total()).toBe(1);
    await page.close();
  });

  test('a page of another origin can neither read nor write nor frame', async () => {
    const page = await browser.newPage();
    const refusals: number[] = [];
    page.on('response', (response) => {
      if (response.url().startsWith(server.url)) refusals.push(response.status());
    });
    await page.goto(`http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/`);
    const tries = (await page.evaluate(`(async () => {
      const said = [];
      const ask = async (path, init) => {
        try { const answer = await fetch('${server.url}' + path, init); said.push(path + ' ' + answer.type + ' ' + answer.status + ' ' + (await answer.text()).length); }
        catch (error) { said.push(path + ' refused'); }
      };
      const token = { Authorization: 'Bearer ${server.token}' };
      await ask('', {});
      await ask('', { mode: 'no-cors' });
      await ask('api/v1/health', {});
      await ask('api/v1/health', { headers: token });
      await ask('api/v1/health', { mode: 'no-cors' });
      await ask('api/v1/save', { method: 'POST', body: '{}', mode: 'no-cors' });
      await ask('api/v1/save', { method: 'POST', body: '{}', headers: { 'Content-Type': 'application/json', ...token } });
      return said;
    })()`)) as readonly string[];
    for (const said of tries) expect(said).toMatch(/ refused$| opaque 0 0$/);
    // A form needs no leave to be sent; a frame and a picture none to be asked for.
    await page.evaluate(`new Promise((resolve) => {
      const frame = document.createElement('iframe');
      frame.name = 'frame';
      document.body.append(frame);
      const form = document.createElement('form');
      form.method = 'post'; form.action = '${server.url}api/v1/save'; form.target = 'frame'; form.enctype = 'text/plain';
      const field = document.createElement('input');
      field.name = '{"note":"'; field.value = '"}';
      form.append(field);
      document.body.append(form);
      frame.addEventListener('load', () => resolve(undefined));
      form.submit();
      setTimeout(resolve, 3000);
    })`);
    const framed = await page.evaluate(`new Promise((resolve) => {
      const frame = document.createElement('iframe');
      frame.src = '${server.url}';
      frame.addEventListener('load', () => { try { resolve(frame.contentDocument === null ? 'closed' : frame.contentDocument.title); } catch { resolve('closed'); } });
      document.body.append(frame);
      setTimeout(() => resolve('none'), 3000);
    })`);
    expect(['closed', 'none']).toContain(framed);
    expect(page.frames().filter((frame) => frame.url().startsWith(server.url) && frame.parentFrame() !== null)).toHaveLength(0);
    expect(refusals.filter((status) => status !== 403 && status !== 200)).toEqual([]);
    expect(await total()).toBe(1);
    await page.close();
  });

  test('the page itself asks nobody else, runs nothing but its own script and is in no frame', async () => {
    const page = await browser.newPage();
    const answer = await page.goto(server.url);
    const policy = (await answer?.headerValue('content-security-policy')) ?? '';
    for (const part of ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'", "connect-src 'self'"])
      expect(policy).toContain(part);
    expect(policy).not.toMatch(/unsafe|\*|https?:/);
    const ran = await page.evaluate(`new Promise((resolve) => {
      globalThis.owned = false;
      const script = document.createElement('script');
      try { script.textContent = 'globalThis.owned = true'; document.body.append(script); } catch {}
      fetch('http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/').then(() => resolve('asked'), () => resolve(String(globalThis.owned)));
    })`);
    expect(ran).toBe('false');
    await page.close();
  });
});
