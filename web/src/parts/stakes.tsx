// An account's money drawn as one pane: free, at stake; what is at stake exploded into its leases; what waits, dashed over what is free.
import { part, spoken } from "../logic/amounts";
import type { Stake } from "../logic/account";
import { token } from "../state/market";

export function Stakes({ free, locked, waiting, stakes, width = 960 }: { free: bigint; locked: bigint; waiting: { count: number; amount: bigint }; stakes: readonly Stake[]; width?: number }) {
  const said = (amount: bigint) => spoken(amount, token.value.decimals);
  const all = free + locked;
  const across = (amount: bigint) => (part(amount, all) / 100) * (width - 2);
  const split = Math.max(1, Math.min(width - 1, 1 + across(free)));
  const most = Math.min(across(waiting.amount), Math.max(0, split - 4));
  const sum = stakes.reduce((total, one) => total + one.locked, 0n);
  let x = 1;
  const panes = stakes.map((one) => {
    const wide = (part(one.locked, sum) / 100) * (width - 2);
    const at = x;
    x += wide;
    return { ...one, x: at, wide, ran: (part(one.run, one.locked) / 100) * wide };
  });
  const height = stakes.length ? 158 : 64;
  return (
    <svg viewBox={`0 0 ${width} ${height}`} width="100%" role="img" aria-label={`${said(free)} free, ${said(locked)} at stake in ${stakes.length} leases; ${waiting.count} waiting orders could lock ${said(waiting.amount)} at worst`}>
      <text x="1" y="14" font-size="13" font-weight="600" fill="var(--ink)">{said(free)} free</text>
      <text x={width - 1} y="14" font-size="13" font-weight="600" text-anchor="end" fill="var(--client)">{said(locked)} at stake</text>
      <rect x="1" y="24" width={width - 2} height="36" fill="var(--sheet)" stroke="var(--client)" stroke-width="1.25" />
      {locked > 0n ? <rect x={split} y="24" width={Math.max(1, width - 1 - split)} height="36" fill="url(#hc)" stroke="var(--client)" /> : null}
      {waiting.count ? <rect x="2" y="31" width={Math.max(2, most)} height="22" fill="var(--client-wash)" stroke="var(--client)" stroke-dasharray="4 3" /> : null}
      {waiting.count ? <text x="10" y="46" font-size="13" fill="var(--client)" class="halo">{waiting.count} waiting {waiting.count === 1 ? "order" : "orders"} could lock {said(waiting.amount)} at worst</text> : null}
      {stakes.length ? <path d={`M${split} 60L1 100M${width - 1} 60V100`} stroke="var(--client)" opacity=".5" fill="none" /> : null}
      {stakes.length ? <text x={width - 8} y="92" font-size="13" text-anchor="end" fill="var(--ink2)" class="halo">{stakes.length} {stakes.length === 1 ? "lease" : "leases"}: what ending them now costs is engraved closely, the rest comes back</text> : null}
      {panes.map((one) => (
        <>
          <rect x={one.x} y="100" width={Math.max(1, one.wide)} height="36" fill="var(--sheet)" />
          <rect x={one.x} y="100" width={Math.max(1, one.wide)} height="36" fill="url(#hc)" stroke="var(--client)" stroke-width="1.5" />
          {one.run > 0n ? <rect x={one.x} y="100" width={Math.max(2, one.ran)} height="36" fill="url(#hx)" stroke="var(--client)" /> : null}
          {one.wide > 44 ? <text x={one.x + one.wide / 2} y="152" font-size="12" text-anchor="middle" fill="var(--ink2)">{said(one.locked)}</text> : null}
        </>
      ))}
    </svg>
  );
}
