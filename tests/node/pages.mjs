// Opens pages in Debian's Chromium and has axe-core look at them: wide and narrow, light and dark.
//
//   node pages.mjs QUESTION.json
//
// The question: `modules`, where the packages are; `token`; `urls`; `until`, what a page has come to when it is looked at
// (`networkidle` unless it says otherwise). The answer is printed as JSON: for each way of
// looking at each page what was requested, what axe-core found, and what can be read with scripts and without.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const { modules, token, urls, until = 'networkidle' } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const require = createRequire(`${modules}/package.json`);
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const SIZES = { desktop: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync',
  ],
});

async function open(url, options, look) {
  const headers = { Accept: 'text/html', Authorization: `Bearer ${token}` };
  const context = await browser.newContext({ ...options, extraHTTPHeaders: headers });
  try {
    const page = await context.newPage();
    const requests = [];
    const complaints = [];
    page.on('request', (request) => requests.push(request.url()));
    page.on('console', (message) => complaints.push(message.text()));
    const response = await page.goto(url, { waitUntil: until });
    return { status: response.status(), requests, complaints, ...(await look(page)) };
  } finally {
    await context.close();
  }
}

const text = (page) => page.locator('body').innerText();

async function inspect(page) {
  const read = await text(page);
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run(document));
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  const violations = found.violations.map(({ id, impact, help, nodes }) =>
    ({ id, impact, help, nodes: nodes.map((node) => `${node.html} ${node.failureSummary}`).slice(0, 3) }));
  return { read, violations, passes: found.passes.length, wide };
}

const answers = [];
try {
  for (const url of urls) {
    for (const [size, viewport] of Object.entries(SIZES)) {
      for (const colorScheme of ['light', 'dark']) {
        const options = { viewport, colorScheme };
        const seen = await open(url, options, inspect);
        const plain = await open(url, { ...options, javaScriptEnabled: false }, async (page) => ({ read: await text(page) }));
        answers.push({ url, size, colorScheme, ...seen, without: plain });
      }
    }
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify(answers));
