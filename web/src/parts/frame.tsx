// What is around every view: the mark, where one is, how old all of it is, and who one is.
import { useComputed } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { ageSeconds, head, isCut, replaced, stream, tick } from "../state/head";
import { saidOfReplaced } from "../logic/say";
import { exactly, span } from "../logic/times";
import { market, own, token } from "../state/market";
import { linkTo, place } from "../state/route";
import { openStream } from "../state/stream";
import { wallet } from "../state/wallet";
import { spoken } from "../logic/amounts";
import { checksummed } from "../logic/checksum";
import { shortAddress } from "../logic/names";
import { find } from "../state/finding";

const VIEWS: [string, string, string[]][] = [
  ["market", "Market", ["market"]], ["jobs", "Jobs", ["jobs", "job"]], ["providers", "Providers", ["providers", "provider", "offer"]],
  ["reservations", "Reservations", ["reservations"]], ["rounds", "Rounds", ["rounds", "round"]], ["network", "Network", ["network"]],
];

export function Top() {
  const view = place.value.view;
  return (
    <header class="top">
      <button type="button" class="skip" onClick={() => document.querySelector<HTMLElement>("main")?.focus()}>To the content</button>
      <a class="brand" href={linkTo("market")} aria-label="Compute Bourse, the market"><Mark /><span class="name">Compute Bourse</span></a>
      <nav class="main" aria-label="Views">
        {VIEWS.map(([to, name, of]) => <a href={linkTo(to)} aria-current={of.includes(view) ? "page" : undefined}>{name}</a>)}
      </nav>
      <Find />
      <AsOf />
      <Who />
    </header>
  );
}

export function Mark() {
  return (
    <svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true">
      <rect x="1" y="1" width="18" height="18" fill="url(#hc)" stroke="var(--ink)" />
      <path d="M1 19V12H19V19Z" fill="var(--ink)" />
    </svg>
  );
}

function Find() {
  const field = useRef<HTMLInputElement>(null);
  return (
    <form class="find" role="search" onSubmit={(event) => { event.preventDefault(); if (field.current) void find(field.current.value); }}>
      <input ref={field} id="find" placeholder="address, job, offer, class" aria-label="Find an address, job, offer or class" autocomplete="off" spellcheck={false} maxLength={100} />
      <kbd aria-hidden="true">/</kbd>
    </form>
  );
}

function AsOf() {
  const said = useComputed(() => (head.value ? `as of block ${head.value.block.number}, ${span(ageSeconds.value)} ago` : "no block yet"));
  const block = head.value?.block;
  const late = useComputed(() => `pulse${ageSeconds.value > 3 && !isCut.value ? " late" : ""}`);
  return (
    <div class="asof" title={block ? `${exactly(block.timestamp)}, block ${block.number} of chain ${market.value?.chainId ?? "?"}, ${block.hash}` : "asking the gateway"}>
      <i class={late} aria-hidden="true" /><span class="num">{said}</span>
    </div>
  );
}

function Who() {
  const { account, free } = wallet.value;
  if (!account) return <div class="who"><a class="u" href={linkTo("account")}>Connect</a></div>;
  return (
    <div class="who">
      <a class="long addr" href={linkTo("account", account)} title={checksummed(account)}>{shortAddress(checksummed(account))}</a>
      <b class="num">{free === undefined ? "…" : spoken(free, token.value.decimals)}</b><span class="long ink3">free</span>
    </div>
  );
}

/** Said in words when what is shown may not be so any more. */
export function StreamBand() {
  const said = useComputed(() => {
    const wait = Math.max(0, Math.ceil((stream.value.nextTryAt - tick.value) / 1000));
    const next = stream.value.state === "cut" ? `Trying again in ${wait} s.` : "Waiting for the next block.";
    return `What you see is as of block ${head.value?.block.number ?? "?"}, ${span(ageSeconds.value)} ago; prices may have moved. ${next}`;
  });
  useEffect(() => {
    document.documentElement.dataset["stream"] = isCut.value ? "cut" : "live";
  });
  const last = replaced.value.at(-1);
  return (
    <>
      {isCut.value ? (
        <div class="cut" role="status"><b>The stream is cut.</b> <span>{said}</span> <button type="button" class="u" onClick={openStream}>Try now</button></div>
      ) : null}
      {last && head.value && head.value.block.number - last.last < 20 ? (
        <div class="cut" role="status"><b>{saidOfReplaced(last)}</b> <span>What was told of it is gone; everything is read again.</span></div>
      ) : null}
    </>
  );
}

export function Tabs() {
  const view = place.value.view;
  const account = wallet.value.account;
  const tabs: [string, string, string[]][] = [
    ["market", "Market", ["market"]], ["jobs", "Jobs", ["jobs", "job"]], ["account", "Account", ["account"]],
    ["more", "More", ["more", "network", "reservations", "vaults", "vault", "company", "rounds", "round", "providers", "provider", "offer"]],
  ];
  return (
    <nav class="tabs" aria-label="Views, below">
      {tabs.map(([to, name, of]) => <a href={linkTo(to, to === "account" ? account ?? "" : "")} aria-current={of.includes(view) ? "page" : undefined}>{name}</a>)}
    </nav>
  );
}

const KEYS: Record<string, [string, string][]> = {
  market: [["/", "find"], ["j k", "row"], ["o", "order"], ["g", "then m market, j jobs, a account"], ["?", "all keys"]],
  job: [["l", "log"], ["f", "follow"], ["c", "copy command"], ["?", "all keys"]],
  account: [["d", "deposit"], ["w", "withdraw"], ["e", "end the lease in focus"], ["?", "all keys"]],
};

export function Foot() {
  const keys = KEYS[place.value.view] ?? [["/", "find"], ["j k", "row"], ["t", "light or dark"], ["?", "all keys"]];
  return (
    <footer class="keys">
      {keys.map(([key, name]) => <span>{key.split(" ").map((one) => <><kbd>{one}</kbd> </>)}{name}</span>)}
      <span>times are UTC, block time · {own ? `market and roles are those of your address book, the rest is the word of ${own.gateway}` : "what you see is this gateway’s word"}; the chain is the judge</span>
    </footer>
  );
}
