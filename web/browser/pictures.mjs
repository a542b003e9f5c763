// Takes pictures of the page for the documents. What it needs comes on standard input: {gateway, rpc, key, into, shots: [{name, view, size?, theme?, isConnected?, clicks?}]}.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { launch } from "./chromium.mjs";
import { giveWallet } from "./wallet.mjs";

const told = JSON.parse(readFileSync(0, "utf8"));
const browser = await launch();
for (const { name, view, size = [1440, 900], theme = "light", isConnected = false, clicks = [] } of told.shots) {
  const context = await browser.newContext({ viewport: { width: size[0], height: size[1] }, colorScheme: theme });
  const page = await context.newPage();
  if (isConnected) {
    await giveWallet(page, told);
    await page.goto(`${told.gateway}/#/account`);
    await page.click("[data-wallets] .btn");
    await page.click("#sign-in");
    await page.waitForSelector("text=Signed in until");
    await page.evaluate((to) => (location.hash = to), view);
  } else await page.goto(`${told.gateway}/${view}`);
  await page.waitForFunction(() => (document.querySelector("h1")?.textContent ?? "").trim().length > 3);
  await page.waitForTimeout(2_500); // what loads after the first view: charts, reasons
  for (const one of clicks) await page.click(one);
  if (clicks.length) await page.waitForTimeout(700);
  await page.screenshot({ path: join(told.into, `${name}.png`) });
  await context.close();
}
await browser.close();
