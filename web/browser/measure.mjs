// Measures the page as it opens and lives: how long until it is seen, what moves, what blocks, and what axe finds serious.
// On standard input: {gateway, turns, watchedMs, views}. On standard output: {lcp_ms, cls, longest_task_ms, axe_serious}; medians of the turns.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { launch } from "./chromium.mjs";

const told = JSON.parse(readFileSync(0, "utf8"));
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const WATCH = `
  window.seen = { lcp: 0, shift: 0, task: 0 };
  const watch = (type, note) => new PerformanceObserver((list) => list.getEntries().forEach(note)).observe({ type, buffered: true });
  watch("largest-contentful-paint", (one) => (window.seen.lcp = one.startTime));
  watch("layout-shift", (one) => { if (!one.hadRecentInput) window.seen.shift += one.value; });
  watch("longtask", (one) => (window.seen.task = Math.max(window.seen.task, one.duration)));
`;
const middle = (numbers) => [...numbers].sort((one, other) => one - other)[Math.floor(numbers.length / 2)];
const browser = await launch();
const turns = [];
for (let turn = 0; turn < told.turns; turn++) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  await page.addInitScript(WATCH);
  await page.goto(told.gateway);
  await page.waitForFunction(() => (document.querySelector("h1")?.textContent ?? "").trim().length > 3);
  await page.waitForTimeout(told.watchedMs);
  turns.push(await page.evaluate(() => window.seen));
  await context.close();
}
let serious = 0;
const page = await (await browser.newContext({ viewport: { width: 1440, height: 900 } })).newPage();
await page.goto(told.gateway);
for (const view of told.views) {
  await page.evaluate((to) => (location.hash = to), view);
  await page.waitForTimeout(1_500);
  const { violations } = await page.evaluate(`(() => { ${AXE}; return axe.run(document, { resultTypes: ["violations"] }); })()`);
  serious += violations.filter((one) => ["serious", "critical"].includes(one.impact)).length;
}
await browser.close();
process.stdout.write(JSON.stringify({
  lcp_ms: Math.round(middle(turns.map((one) => one.lcp))), cls: Number(middle(turns.map((one) => one.shift)).toFixed(4)),
  longest_task_ms: Math.round(middle(turns.map((one) => one.task))), axe_serious: serious,
}));
