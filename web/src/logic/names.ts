// Ids shortened for reading; whole ones stay in titles and on the clipboard. What somebody else wrote is made one harmless line.

export function shortAddress(address: string): string {
  return address.length > 12 ? `${address.slice(0, 6)}…${address.slice(-4)}` : address;
}

export function shortId(id: string): string {
  return id.length > 12 ? `${id.slice(0, 8)}…` : id;
}

export function longerId(id: string): string {
  return id.length > 18 ? `${id.slice(0, 10)}…${id.slice(-4)}` : id;
}

/** A class's name without its memory, for a sentence: `H100-SXM-80GB` is an H100. */
export function spokenClass(name: string): string {
  return name.split("-")[0] ?? name;
}

export function article(word: string): string {
  return /^[AEFHILMNORSX8]\d|^[AEIOU8]/.test(word) && !/^(U|1)/.test(word) ? "an" : "a";
}

export function plural(count: number | bigint, one: string, many = `${one}s`): string {
  return `${count} ${Number(count) === 1 ? one : many}`;
}

// Controls, what turns the direction of writing, and what is not seen at all: shown as what they are, so that no name can pose as another.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

/** Somebody's words as one line of at most so many letters. */
export function oneLine(text: string, most = 120): string {
  const seen = text.slice(0, most * 4).replace(UNSEEN, (letter) => (letter === "\n" || letter === "\t" ? " " : "\ufffd"));
  const letters = [...seen];
  return letters.length > most ? `${letters.slice(0, most - 1).join("")}…` : seen;
}

// Escape sequences of terminals: CSI, OSC with its end, and the short ones.
const ESCAPES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[PX^_][^\u001b]*\u001b\\|[ -/]*[0-~])/g;

/** A piece of a log as text: colours and cursor moves of terminals taken out, other controls shown, lines and tabs kept. */
export function logText(text: string): string {
  return text.replace(ESCAPES, "").replace(/\r\n/g, "\n").replace(/[^\n]*\r(?=[^\n])/g, "").replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
}

const WORDS: Record<string, string> = {
  ClassNotAccepted: "of another class", PriceOutOfBounds: "above the limit", NotEnoughGpus: "with too few GPUs free", ProviderSilent: "of a silent provider",
  ProviderExcluded: "of a provider you excluded", OfferNotAlive: "not listed any more", BondTooSmall: "with too small a bond",
  DeclinedBefore: "that declined it before", RegionNotWanted: "in another region", ClientBalanceTooLow: "that your balance does not pay",
  TermLeaseNotByProvider: "that only their own provider can open for later",
  ReliabilityTooLow: "less reliable than you ask",
};

/** A reason's name as words: typed ones have their own, others are their names with the words apart. */
export function reasonWords(name: string): string {
  return WORDS[name] ?? oneLine(name.replace(/([a-z])([A-Z])/g, "$1 $2").replace(/_/g, " ").toLowerCase(), 80);
}
