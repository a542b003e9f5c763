// The ladder: orders left, machines right, one line for each price; a fixed number of lines, so that nothing below it moves.
import { LEVELS, type Ladder, type Level } from "../logic/ladder";
import { priced } from "../logic/amounts";
import { plural } from "../logic/names";
import { token } from "../state/market";
import { Block, Machine } from "./glass";

const MOST_BLOCKS = 9;

export function BookLadder({ ladder }: { ladder: Ladder | undefined }) {
  const told = ladder ? `${plural(ladder.wanted.orders, "order")} ${ladder.wanted.orders === 1 ? "wants" : "want"} ${plural(ladder.wanted.gpus, "GPU")} · ${ladder.live.free} of ${ladder.live.gpus} live GPUs free` : "";
  const rows = ladder?.levels ?? [];
  return (
    <section class="book" aria-labelledby="book">
      <div class="hd"><h2 id="book">The book</h2><span class="cap num">{told}</span></div>
      <table>
        <caption class="visually-hidden">Orders by limit and machines by ask, highest price first</caption>
        <colgroup><col class="a" /><col class="b" /><col class="c" /><col /></colgroup>
        <thead><tr><th scope="col">waits because</th><th scope="col" class="r">orders, together</th><th scope="col" class="c">limit · ask</th><th scope="col" class="ask">machines</th></tr></thead>
        <tbody>
          {rows.map((level) => <BookLevel key={level.price.toString()} level={level} mark={ladder?.mark} />)}
          {Array.from({ length: LEVELS - rows.length }, (_, at) => <tr key={`empty ${at}`} aria-hidden="true"><td /><td /><td class="p" /><td /></tr>)}
        </tbody>
      </table>
      <p class="cap">{ladder && (ladder.above || ladder.below) ? `${ladder.above} more prices above, ${ladder.below} below` : "\u00a0"}</p>
      <div class="key">
        <span><Block gpus={2} kind="order" />signed, nothing locked</span><span><Block gpus={2} kind="let" />let: at stake</span>
        <span><Block gpus={2} kind="free" />free</span><span><Block gpus={2} kind="silent" />silent</span>
      </div>
    </section>
  );
}

function BookLevel({ level, mark }: { level: Level; mark: bigint | undefined }) {
  const price = priced(level.price, token.value.decimals);
  const why = level.why === "limits below" && mark !== undefined ? `limits below ${priced(mark, token.value.decimals)}` : level.why;
  const hidden = level.bids.length - MOST_BLOCKS;
  return (
    <tr class={level.isMark ? "mark" : ""}>
      <td class="why" title={why}>{why}</td>
      <td class="bid">
        {hidden > 0 ? <span class="cap num">+{hidden} </span> : null}
        {level.bids.slice(0, MOST_BLOCKS).map((one) => <a href={`#/job/${one.id}`} aria-label={`Order for ${one.gpus} at ${price}`}><Block gpus={one.gpus} kind="order" /></a>)}
      </td>
      <td class="p num">{price}</td>
      <td class="ask">{level.asks.map((one) => <a href={`#/offer/${one.id}`} aria-label={`Offer ${one.id} at ${price}`}><Machine gpus={one.gpus} free={one.free} silent={one.silent} /></a>)}</td>
    </tr>
  );
}
