// The clearing price and the GPUs let: canvases that load after the first view, in frames whose size is known before, with a table behind them.
import { useComputed, useSignal, type ReadonlySignal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Offer } from "../api/kinds";
import { priced } from "../logic/amounts";
import type { History } from "../logic/history";
import { liveOf } from "../logic/ladder";
import { clock, span } from "../logic/times";
import { isSilent } from "../state/offers";
import { token } from "../state/market";
import { SPANS, spanSeconds } from "../state/past";
import { theme } from "../state/theme";
import { isCut } from "../state/head";
import type { Drawn } from "./charts";

export function ClearingChart({ history, offers }: { history: ReadonlySignal<History>; offers: readonly Offer[] }) {
  const [asTable, show] = useState(false);
  const step = useComputed(() => history.value.step);
  const live = liveOf(offers, isSilent);
  const all = offers.reduce((sum, one) => sum + one.gpus, 0);
  const reading = useSignal("");
  return (
    <section class="chart" aria-label="Clearing price">
      <div class="hd">
        <h2>Clearing price</h2>
        <span class="cap">{token.value.symbol} per GPU-hour, mean and range of {span(step.value)} · <span class="provider">○</span> an opening, by GPUs · {SPANS.map(([seconds, words]) => <><button type="button" class={spanSeconds.value === seconds ? "ink" : "u"} aria-pressed={spanSeconds.value === seconds} onClick={() => (spanSeconds.value = seconds)}>{words}</button> · </>)}<button type="button" class="u" data-key="v" aria-pressed={asTable} onClick={() => show(!asTable)}>{asTable ? "as a chart" : "as a table"}</button></span>
      </div>
      {asTable ? <PriceTable history={history.value} /> : <Canvases history={history} all={all} reading={(text) => (reading.value = text)} note={<><b class="provider">{live.let}</b> of {all}{live.silent ? `, ${live.silent} of them silent` : ""}</>} />}
      <p class="cap num" aria-live="off">{reading.value || "\u00a0"}</p>
    </section>
  );
}

function Canvases({ history, all, reading, note }: { history: ReadonlySignal<History>; all: number; reading: (text: string) => void; note: preact.ComponentChildren }) {
  const prices = useRef<HTMLDivElement>(null);
  const use = useRef<HTMLDivElement>(null);
  const drawn = useRef<Drawn | undefined>(undefined);
  useEffect(() => {
    let isOver = false;
    void import("./charts").then(({ charts }) => {
      if (isOver || !prices.current || !use.current) return;
      drawn.current = charts(prices.current, use.current, token.value.decimals, reading);
      drawn.current.draw(history.peek(), all);
    });
    return () => {
      isOver = true;
      drawn.current?.end();
      drawn.current = undefined;
    };
  }, [theme.value, isCut.value]);
  useEffect(() => drawn.current?.draw(history.value, all), [history.value, all]);
  const { from, to } = history.value;
  const label = `Clearing price from ${clock(from)} to ${clock(to)}; the table says the same`;
  return (
    <div class="frame">
      <div ref={prices} class="prices" role="img" aria-label={label} />
      <div class="hd"><h2>GPUs let <small>{note}</small></h2></div>
      <div ref={use} class="use" role="img" aria-label="GPUs let over the same time" />
    </div>
  );
}

function PriceTable({ history }: { history: History }) {
  const { decimals } = token.value;
  if (!history.buckets.length) return <p class="empty">Nothing has cleared yet.</p>;
  return (
    <table>
      <thead><tr><th scope="col">from</th><th scope="col" class="r">mean</th><th scope="col" class="r">lowest</th><th scope="col" class="r">highest</th><th scope="col" class="r">GPUs opened</th></tr></thead>
      <tbody>{history.buckets.slice(-24).reverse().map((one) => <tr key={one.from}><td class="num">{clock(one.from)}</td><td class="r num">{priced(one.mean, decimals)}</td><td class="r num">{priced(one.low, decimals)}</td><td class="r num">{priced(one.high, decimals)}</td><td class="r num">{one.gpus}</td></tr>)}</tbody>
    </table>
  );
}
