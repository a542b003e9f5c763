// An order before it is signed: every field in words, nothing shortened, what it can cost at worst, and what is signed as it is.
import { useSignal } from "@preact/signals";
import { counted, exact, spoken } from "../logic/amounts";
import { checksummed } from "../logic/checksum";
import { inputFault, type InputFile } from "../logic/bundle";
import { oneLine, plural } from "../logic/names";
import { duration, exactly, secondsOf } from "../logic/times";
import { chainTime } from "../state/head";
import type { Dialog } from "../state/dialog";
import { closeDialog } from "../state/dialog";
import { market, token } from "../state/market";
import { go } from "../state/route";
import { wallet } from "../state/wallet";
import { HOST_IMAGE, isImage, quoted, wordsOf, type Draft } from "../wallet/documents";
import { Wallets } from "./account_acts";
import { Act, acts } from "./act";
import { Command } from "./words";

type OrderDialog = Extract<Dialog, { kind: "order" }>;

export function OrderPreview({ draft }: { draft: OrderDialog }) {
  const command = useSignal("python -c 'print(6 * 7)'");
  const waits = useSignal("1h");
  const name = useSignal("");
  const image = useSignal(HOST_IMAGE);
  const files = useSignal<readonly File[]>([]);
  const { decimals, symbol } = token.value;
  const words = wordsOf(command.value);
  const [called, imageName] = [name.value.trim(), image.value.trim()];
  const fault = faultOf(words, imageName, called) || inputFault(files.value);
  const seconds = secondsOf(waits.value);
  const terms = market.value!;
  const account = wallet.value.account;
  const said = (amount: bigint) => `${exact(amount, decimals)} ${symbol}`;
  const more = [imageName === HOST_IMAGE ? "" : ` --image ${quoted(imageName)}`, imageName !== HOST_IMAGE && words?.length === 0 ? " --entrypoint" : "", called ? ` --name ${quoted(called)}` : "", files.value.length ? " --input FOLDER" : ""].join("");
  const sign = async (step: (said: string) => void) => {
    const whole: Draft = { client: account!, gpuClass: draft.gpuClass, gpus: draft.gpus, maxSeconds: draft.maxSeconds, maxPrice: draft.maxPrice, expiresAt: chainTime.value + seconds!, command: words!, image: imageName, name: called };
    const brought = await Promise.all(files.value.map(async (one): Promise<InputFile> => ({ name: one.name, content: new Uint8Array(await one.arrayBuffer()) })));
    const id = await (await acts()).signOrder(terms, whole, brought, step);
    closeDialog();
    go("job", id);
  };
  return (
    <>
      <h2 id="dialog-title">An order for {plural(draft.gpus, "GPU")}</h2>
      <p class="answer" style={{ fontSize: "20px", lineHeight: "28px" }}>At worst <b>{spoken(draft.worst, decimals)}</b> {symbol}. Nothing is locked before a machine takes it.</p>
      <label class="field wide">runs<input id="order-command" class="mono" value={command.value} maxLength={2_000} spellcheck={false} onInput={(event) => (command.value = event.currentTarget.value)} /></label>
      <label class="field wide">in<input id="order-image" class="mono" value={image.value} maxLength={500} spellcheck={false} aria-describedby="order-fault" onInput={(event) => (image.value = event.currentTarget.value)} /></label>
      <label class="field wide">brings<input id="order-files" type="file" multiple onChange={(event) => (files.value = [...(event.currentTarget.files ?? [])])} /></label>
      <label class="field wide">is called<input id="order-name" value={name.value} maxLength={200} placeholder="nothing" onInput={(event) => (name.value = event.currentTarget.value)} /></label>
      <label class="field">waits at most<input value={waits.value} maxLength={12} onInput={(event) => (waits.value = event.currentTarget.value)} /></label>
      <p class="cap bad" id="order-fault" role="status">{fault ? `✗ ${fault}` : ""}</p>
      <dl class="words lead">
        <dt>client</dt><dd class="addr">{account ? checksummed(account) : "no wallet yet"}</dd>
        <dt>class</dt><dd>{draft.name} ({draft.gpuClass}), any offer of it</dd>
        <dt>runs in</dt><dd class="mono">{imageName === HOST_IMAGE ? "the provider’s job runtime" : imageName}</dd>
        <dt>finds in /job/in</dt><dd>{files.value.length ? files.value.map((one) => `${oneLine(one.name, 100)}, ${counted(one.size)} ${one.size === 1 ? "byte" : "bytes"}`).join(" · ") : "nothing"}</dd>
        <dt>GPUs together</dt><dd class="num">{draft.gpus}, on one machine</dd>
        <dt>at most</dt><dd class="num">{duration(draft.maxSeconds)} = {draft.maxSeconds} s</dd>
        <dt>limit</dt><dd class="num">{said(draft.maxPrice)} per GPU-hour</dd>
        <dt>worst cost</dt><dd class="num"><b>{said(draft.worst)}</b> = {draft.worst.toString()} units</dd>
        <dt>good until</dt><dd class="num">{seconds ? exactly(chainTime.value + seconds) : "–"}</dd>
        <dt>may be opened by</dt><dd class="addr">{checksummed(terms.opener)}</dd>
        <dt>arbiter</dt><dd class="addr">{checksummed(terms.arbiter)}</dd>
        <dt>market</dt><dd class="addr">{checksummed(terms.market)}, chain {terms.chainId}</dd>
      </dl>
      <p class="cap lead">Your wallet is asked {files.value.length ? "four times: for the upload of the files, " : "three times: for the upload "}of the command, of its public part, and for the order. Before that the page asks the market on the chain, through your wallet, for the order’s id.</p>
      <p class="cap">The gateway and the provider can read what it runs and brings. A page cannot seal it against the gateway that the page itself comes from; in a terminal <code class="mono">bourse run --seal</code> does.</p>
      {account ? <p class="acts"><Act id="sign-order" disabled={fault !== "" || !seconds} run={sign}>Sign: up to {spoken(draft.worst, decimals)} {symbol}</Act></p> : <Wallets />}
      <Command words={`bourse run --gpu ${draft.name} --gpus ${draft.gpus} --max-price ${exact(draft.maxPrice, decimals).replace(/,/g, "").replace(/0+$/, "")} --max-time ${duration(draft.maxSeconds)}${more} -- ${command.value}`} />
    </>
  );
}

/** Why this cannot be ordered; "" where it can. */
function faultOf(words: readonly string[] | undefined, image: string, name: string): string {
  if (!isImage(image)) return "An image is host, blob@sha256:DIGEST or registry.example/path@sha256:DIGEST: bytes, and no tag. bourse image push says which.";
  if (!words) return "A quote of the command does not end.";
  if (!words.length && image === HOST_IMAGE) return "Name a program to run.";
  return oneLine(name, 200) === name ? "" : "A name is one line of letters that can be seen.";
}
