// The glass: the one way in which money and capacity are drawn. Length is money, or GPUs.
import type { ComponentChildren } from "preact";

export interface Pane {
  kind: "paid" | "run" | "stake" | "free" | "silent" | "rest" | "held";
  /** Per cent of the whole. */
  width: number;
}

const NAMES: Record<Pane["kind"], string> = { paid: "paid", run: "has run", stake: "at stake", free: "free", silent: "silent", rest: "not needed", held: "held" };

export function Glass({ panes, side = "client", thin = false, width, label, isBond = false }: { panes: Pane[]; side?: "client" | "provider"; thin?: boolean; width?: string; label?: string | null; isBond?: boolean }) {
  const said = label ?? panes.filter((one) => one.width > 0).map((one) => `${Math.round(one.width)} % ${NAMES[one.kind]}`).join(", ");
  const kinds = `glass${side === "provider" ? " of-provider" : ""}${thin ? " thin" : ""}${isBond ? " bond" : ""}`;
  const hidden = label === null ? { "aria-hidden": true } : { role: "img" as const, "aria-label": said || "empty" };
  return (
    <div class={kinds} style={width ? { width } : undefined} {...hidden}>
      {panes.map((one) => <i class={one.kind} style={{ width: `${one.width.toFixed(2)}%` }} />)}
    </div>
  );
}

export const Key = ({ children }: { children: ComponentChildren }) => <div class="key">{children}</div>;

export function KeyGlass({ kind, side = "client", children }: { kind?: Pane["kind"]; side?: "client" | "provider"; children: ComponentChildren }) {
  return <span><Glass panes={kind ? [{ kind, width: 100 }] : []} side={side} label={null} />{children}</span>;
}

const CELL = 6.5;
const MOST_CELLS = 32;

/** GPUs that belong together, as one unbroken block; a mark below for each further one. */
export function Block({ gpus, kind }: { gpus: number; kind: "order" | "let" | "free" | "silent" }) {
  const width = Math.max(5, Math.min(gpus, MOST_CELLS) * CELL);
  const ink = kind === "order" ? "var(--client)" : "var(--provider)";
  const fill = { order: "var(--client-wash)", let: "url(#hp)", free: "var(--provider-wash)", silent: "none" }[kind];
  const words = { order: `${gpus} GPU${gpus === 1 ? "" : "s together"}`, let: `${gpus} let`, free: `${gpus} free`, silent: `${gpus} of a silent provider` }[kind];
  const marks = kind === "order" || kind === "free" ? Array.from({ length: Math.min(gpus, MOST_CELLS) - 1 }, (_, at) => `M${(0.5 + (at + 1) * (width / Math.min(gpus, MOST_CELLS))).toFixed(1)} 9.5V12`).join("") : "";
  return (
    <svg class="blocks" width={width + 2} height={13} viewBox={`0 0 ${width + 2} 13`} role="img" aria-label={words}>
      <title>{words}</title>
      <rect x=".5" y=".5" width={width} height="12" fill={fill} stroke={ink} stroke-dasharray={kind === "silent" ? "2 2" : undefined} />
      {marks ? <path d={marks} stroke={ink} /> : null}
    </svg>
  );
}

/** A machine: what is let, what is free; dashed where nobody has heard of its provider. */
export function Machine({ gpus, free, silent }: { gpus: number; free: number; silent: boolean }) {
  return (
    <span class="machine">
      {gpus > free ? <Block gpus={gpus - free} kind="let" /> : null}{" "}
      {free > 0 ? <Block gpus={free} kind={silent ? "silent" : "free"} /> : null}
    </span>
  );
}

/** The engravings, once for the page. */
export function Engravings() {
  return (
    <svg width="0" height="0" style={{ position: "absolute" }} aria-hidden="true">
      <defs>
        <pattern id="hc" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0V4" stroke="var(--client)" stroke-width="1.5" /></pattern>
        <pattern id="hp" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)"><path d="M0 0V4" stroke="var(--provider)" stroke-width="1.5" /></pattern>
        <pattern id="hx" width="3" height="3" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0V3M0 0H3" stroke="var(--client)" stroke-width="1.4" /></pattern>
      </defs>
    </svg>
  );
}
