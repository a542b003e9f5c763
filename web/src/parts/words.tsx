// The smallest things that are read: sentences, money, instants, names. Each is copied whole, however short it is written.
import { useComputed } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { plain, priced, spoken, written } from "../logic/amounts";
import { longerId, shortAddress, shortId } from "../logic/names";
import type { Said } from "../logic/say";
import { ago, clock, dated, exactly, until } from "../logic/times";
import { chainTime } from "../state/head";
import { linkTo } from "../state/route";
import { token } from "../state/market";
import { checksummed } from "../logic/checksum";

export function Answer({ said }: { said: Said }) {
  return <h1 class="answer">{said.map((word) => (typeof word === "string" ? word : <b>{word.strong}</b>))}</h1>;
}

export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // a browser that allows no clipboard still lets people select the text
  }
}

/** An amount to the unit. A click copies the exact decimal, with Alt the base units. */
export function Amount({ of, sign = false }: { of: bigint; sign?: boolean }) {
  const { decimals, symbol } = token.value;
  const { digits, dust } = written(of, decimals);
  const take = (event: MouseEvent) => void copy(event.altKey ? of.toString() : plain(of, decimals));
  return (
    <span class="amt" title={`${plain(of, decimals)} ${symbol} = ${of} units; click copies`} onClick={take}>
      {sign && of > 0n ? "+" : ""}
      {digits}
      <span class="dust">{dust}</span>
    </span>
  );
}

export const Spoken = ({ of }: { of: bigint }) => <span class="num">{spoken(of, token.value.decimals)}</span>;
export const Price = ({ of }: { of: bigint }) => <span class="num" title={`${plain(of, token.value.decimals)} ${token.value.symbol} per GPU-hour`}>{priced(of, token.value.decimals)}</span>;

/** How long ago, following the clock; the exact instant on hover and focus. Only its text changes. */
export function Ago({ at, before = "" }: { at: number; before?: string }) {
  const text = useComputed(() => `${before}${ago(at, chainTime.value)}`);
  return <time dateTime={new Date(at * 1000).toISOString()} title={exactly(at)}>{text}</time>;
}

export function Until({ at }: { at: number }) {
  const text = useComputed(() => until(at, chainTime.value));
  return <time class="num" dateTime={new Date(at * 1000).toISOString()} title={exactly(at)}>{text}</time>;
}

export const Clock = ({ at }: { at: number }) => (
  <time class="num" dateTime={new Date(at * 1000).toISOString()} title={exactly(at)}>{Math.abs(chainTime.peek() - at) < 86_400 ? clock(at) : dated(at)}</time>
);

/** A day and an hour that lie ahead or behind; only the hour where it is today. */
export const Day = ({ at }: { at: number }) => (
  <time class="num" dateTime={new Date(at * 1000).toISOString()} title={exactly(at)}>{Math.floor(at / 86_400) === Math.floor(chainTime.peek() / 86_400) ? clock(at, false) : dated(at)}</time>
);

export function AccountName({ of, view = "account", whole = false }: { of: string; view?: "account" | "provider"; whole?: boolean }) {
  const address = checksummed(of);
  return <a class={`addr${whole ? "" : ""}`} href={linkTo(view, of)} title={address}>{whole ? address : shortAddress(address)}</a>;
}

export function Hash({ of, view, longer = false }: { of: string; view?: string; longer?: boolean }) {
  const text = longer ? longerId(of) : shortId(of);
  return view ? <a class="mono u" href={linkTo(view, of)} title={of}>{text}</a> : <span class="mono" title={of}>{text}</span>;
}

/** The same thing for a terminal, to copy. */
export function Command({ words }: { words: string }) {
  const [said, say] = useState("copy");
  const take = async () => {
    say((await copy(words)) ? "copied" : "select it");
    setTimeout(() => say("copy"), 1500);
  };
  return (
    <div class="cmd" data-command={words}>
      <code title={words}>{words}</code>
      <button type="button" onClick={take} aria-label={`Copy the command: ${words}`}>{said}</button>
    </div>
  );
}

export const Cap = ({ children }: { children: ComponentChildren }) => <p class="cap">{children}</p>;
