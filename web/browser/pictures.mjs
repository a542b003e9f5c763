// Takes pictures of the page for the documents. What it needs comes on standard input: {gateway, into, shots: [{name, view, size?, theme?}]}.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { launch } from "./chromium.mjs";

const told = JSON.parse(readFileSync(0, "utf8"));
const browser = await launch();
for (const { name, view, size = [1440, 900], theme = "light" } of told.shots) {
  const context = await browser.newContext({ viewport: { width: size[0], height: size[1] }, colorScheme: theme });
  const page = await context.newPage();
  await page.goto(`${told.gateway}/${view}`);
  await page.waitForFunction(() => (document.querySelector("h1")?.textContent ?? "").trim().length > 3);
  await page.waitForTimeout(2_500); // what loads after the first view: charts, reasons
  await page.screenshot({ path: join(told.into, `${name}.png`) });
  await context.close();
}
await browser.close();
