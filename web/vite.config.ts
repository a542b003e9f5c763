// One page, no framework of pages: hashed names, so that a browser may keep them for ever.
import { defineConfig } from "vite";

const gateway = process.env["BOURSE_GATEWAY_URL"] ?? "http://127.0.0.1:8000";

export default defineConfig({
  base: "/",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2022",
    outDir: "dist",
    assetsDir: "assets",
    assetsInlineLimit: 0, // a strict policy of what may be loaded knows no data: addresses
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: { checks: { pluginTimings: false } },
  },
  server: { proxy: { "/v1": gateway, "/ready": gateway } },
});
