// A small server between the page and its gateway: it can go away, fall silent on streams that stay open, and put words into the gateway's mouth.
import { createServer, request } from "node:http";

export const HOSTILE = `"><img src=x onerror="window.hit=1"><script>window.hit=1</script>\u202egpj\u001b[31m`;
const WORDS = new Set(["region", "detail", "nearestMiss", "className", "symbol", "model", "reason"]);

function poisoned(value, name = "") {
  if (Array.isArray(value)) return value.map((one) => poisoned(one));
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, poisoned(one, key)]));
  return typeof value === "string" && WORDS.has(name) ? HOSTILE : value;
}

export async function between(gateway) {
  const sockets = new Set();
  const streams = new Set();
  let begin;
  const begun = new Promise((resolve) => (begin = resolve));
  const state = { isGone: false, isHostile: false };
  const server = createServer((asked, told) => {
    if (state.isGone) return asked.socket.destroy();
    const headers = { ...asked.headers, host: new URL(gateway).host, "accept-encoding": "identity" };
    if (state.isHostile) delete headers["if-none-match"];
    const onward = request(gateway + asked.url, { method: asked.method, headers }, (answer) => {
      const isJson = (answer.headers["content-type"] ?? "").startsWith("application/json");
      const isStream = (answer.headers["content-type"] ?? "").startsWith("text/event-stream");
      if (!state.isHostile || !isJson) {
        told.writeHead(answer.statusCode, answer.headers);
        answer.pipe(told);
        if (!isStream) return;
        streams.add(answer);
        answer.on("data", (piece) => piece.includes("event: head") && begin());
        answer.on("close", () => streams.delete(answer));
        return;
      }
      const pieces = [];
      answer.on("data", (piece) => pieces.push(piece));
      answer.on("end", () => {
        const body = Buffer.from(JSON.stringify(poisoned(JSON.parse(Buffer.concat(pieces).toString() || "null"))));
        told.writeHead(answer.statusCode, { "content-type": "application/json", "content-length": body.length });
        told.end(body);
      });
    });
    onward.on("error", () => asked.socket.destroy());
    told.on("close", () => onward.destroy());
    asked.pipe(onward);
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    state,
    leave() {
      state.isGone = true;
      for (const socket of sockets) socket.destroy();
    },
    /** Streams that are open stay so, and bring nothing any more; those that come after them are let through. Waits for the first block of one. */
    async hush() {
      await begun;
      for (const one of streams) one.unpipe().pause();
    },
    comeBack: () => (state.isGone = false),
    end: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
