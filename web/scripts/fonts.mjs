// Cuts both typefaces down to what the page writes, below fonts/ (not kept in git). Their licence (OFL) goes with them.
import { copyFile, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import subsetFont from "subset-font";

const near = createRequire(import.meta.url);
const ASCII = String.fromCharCode(...Array.from({ length: 95 }, (_, at) => at + 32));
const LETTERS = ASCII + "–—’‘“”…·×−→✓✗○●▸≤≥²\u00a0\u202f";
const FACES = [
  ["@fontsource-variable/source-sans-3", "source-sans-3-latin-wght-normal.woff2", "source-sans.woff2"],
  ["@fontsource-variable/source-serif-4", "source-serif-4-latin-wght-normal.woff2", "source-serif.woff2"],
];

await mkdir("fonts", { recursive: true });
for (const [name, file, into] of FACES) {
  const folder = dirname(near.resolve(`${name}/package.json`));
  const from = join(folder, "files", file);
  const there = await stat(join("fonts", into)).catch(() => undefined);
  if (there && there.mtimeMs > (await stat("scripts/fonts.mjs")).mtimeMs) continue;
  await writeFile(join("fonts", into), await subsetFont(await readFile(from), LETTERS, { targetFormat: "woff2" }));
  await copyFile(join(folder, "LICENSE"), join("fonts", `${into}.LICENSE`));
}
