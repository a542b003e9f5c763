// What would it cost? From what is shown, to the unit, before anything is asked of anybody.
import { useSignal } from "@preact/signals";
import type { Offer } from "../api/kinds";
import { bondOf, locked, part, plain, priced, spoken, units, unitsOf } from "../logic/amounts";
import { plural } from "../logic/names";
import { canServe, cheapest } from "../logic/say";
import { duration, secondsOf } from "../logic/times";
import { isCut } from "../state/head";
import { isSilent } from "../state/offers";
import { market, token } from "../state/market";
import { Glass } from "./glass";
import { Amount, Command } from "./words";
import { openDialog } from "../state/dialog";

export function Quote({ name, offers }: { name: string; offers: readonly Offer[] }) {
  const { decimals, symbol } = token.value;
  const gpus = useSignal("1");
  const time = useSignal("1h");
  const limit = useSignal<string | undefined>(undefined);
  const best = cheapest(offers.filter((one) => canServe(one, isSilent, Number(gpus.value) || 1)));
  const asked = best ?? cheapest(offers.filter((one) => one.gpus >= (Number(gpus.value) || 1)));
  const limitText = limit.value ?? (asked ? plain(withRoom(units(asked.price)), decimals).replace(/0+$/, "").replace(/\.$/, "") : "");
  const count = /^\d{1,5}$/.test(gpus.value) && Number(gpus.value) > 0 ? BigInt(gpus.value) : undefined;
  const seconds = secondsOf(time.value);
  const most = unitsOf(limitText, decimals);
  const isGood = count !== undefined && seconds !== undefined && most !== undefined && most > 0n;
  const worst = isGood ? locked(most, count, BigInt(seconds)) : 0n;
  const serves = best && most !== undefined && units(best.price) <= most ? best : undefined;
  const likely = isGood && serves ? locked(units(serves.price), count, BigInt(seconds)) : 0n;
  const command = `bourse run --gpu ${name} --gpus ${gpus.value || 1} --max-price ${limitText || "…"} --max-time ${seconds ? duration(seconds) : "…"} -- COMMAND`;
  return (
    <form class="quote" id="quote" aria-label="What would it cost?" onSubmit={(event) => { event.preventDefault(); if (isGood) openDialog({ kind: "order", name, gpuClass: offers[0]?.class ?? -1, gpus: Number(count), maxSeconds: seconds, maxPrice: most, worst }); }}>
      <h2>What would it cost?</h2>
      <label class="field">GPUs together<input id="order-gpus" inputMode="numeric" value={gpus.value} onInput={(event) => (gpus.value = event.currentTarget.value)} maxLength={5} /></label>
      <label class="field">at most<input value={time.value} onInput={(event) => (time.value = event.currentTarget.value)} maxLength={12} aria-describedby="quote-note" /></label>
      <label class="field">limit per GPU-hour<input inputMode="decimal" value={limitText} onInput={(event) => (limit.value = event.currentTarget.value)} maxLength={24} /></label>
      <div class="worth" aria-live="off">
        <div><span>likely</span>{likely ? <Amount of={likely} /> : <span class="ink3">–</span>}</div>
        <div><span>worst cost</span>{isGood ? <Amount of={worst} /> : <span class="ink3">–</span>}</div>
        <Glass panes={worst ? [{ kind: "stake", width: part(likely, worst) }, { kind: "rest", width: 100 - part(likely, worst) }] : []} />
        <p class="cap" id="quote-note">{isGood ? wordsOf() : "GPUs as a whole number, time as 90s, 10m or 2h30m, the limit as 2.50."}</p>
      </div>
      <button type="submit" class="btn" disabled={!isGood || isCut.value} title={isCut.value ? "The stream is cut: prices may have moved" : undefined}>{isCut.value ? "Not while the stream is cut" : "Read and sign the order"}</button>
      <Command words={command} />
    </form>
  );

  function wordsOf(): string {
    if (serves && market.value) {
      const bond = bondOf(likely, BigInt(serves.bondBps), units(market.value.bondFloor));
      return `${spoken(likely, decimals)} would be locked when a lease opens, ${spoken(bond, decimals)} of the provider’s beside it. What is not used comes back. Offer ${serves.id} can serve it.`;
    }
    if (best && most !== undefined) return `Nothing below ${priced(units(best.price), decimals)} ${symbol} is free. Raise the limit, or sign and wait.`;
    return `No machine has ${plural(count ?? 1, "GPU")} free together now. A signed order waits for one; it locks nothing.`;
  }
}

/** A sixth above what is asked, to two decimals: what still finds a machine when the cheapest is gone. */
function withRoom(price: bigint): bigint {
  const cent = 10n ** BigInt(Math.max(0, token.value.decimals - 2));
  return (((price * 7n) / 6n + cent - 1n) / cent) * cent;
}
