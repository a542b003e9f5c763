// One Chromium, found where `make setup` leaves it or on PATH, with a profile of its own and no wish to call home.
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const DEBIAN = join(ROOT, ".tools/debian");
const SHELL = join(DEBIAN, "usr/lib/chromium/chromium-headless-shell");
const LIBRARIES = ["usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/pulseaudio", "lib/x86_64-linux-gnu"].map((one) => join(DEBIAN, one)).join(":");
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--font-render-hinting=none"];

/** Where Chromium is; undefined where there is none. */
export function found() {
  const places = (process.env.PATH ?? "").split(delimiter).flatMap((folder) => ["chromium", "chromium-headless-shell"].map((name) => join(folder, name)));
  return places.find(existsSync) ?? (existsSync(SHELL) ? SHELL : undefined);
}

export function launch() {
  const executablePath = found();
  if (!executablePath) throw new Error("there is no Chromium here: `make setup` says why");
  const env = executablePath === SHELL ? { ...process.env, LD_LIBRARY_PATH: LIBRARIES } : process.env;
  return chromium.launch({ executablePath, args: FLAGS, env });
}
