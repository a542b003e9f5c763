// A bundle: files as one uncompressed tar, as the job specification has it, so that equal files are equal bytes whoever packs them. Pure.

const BLOCK = 512;
export const MOST_FILES = 64;
/** In all, for a page: it is held in memory, hashed, and sent in one piece. */
export const MOST_INPUT_BYTES = 16 << 20;
const MOST_NAME_BYTES = 100;

export interface InputFile {
  name: string;
  content: Uint8Array;
}

const encode = (text: string) => new TextEncoder().encode(text);

/** Why these files cannot be a job's input from here; "" where they can. */
export function inputFault(files: readonly { name: string; size: number }[]): string {
  if (files.length > MOST_FILES) return `At most ${MOST_FILES} files from here: the command takes a folder.`;
  if (files.reduce((sum, one) => sum + one.size, 0) > MOST_INPUT_BYTES) return "More than 16 MiB: the command takes a folder of any size.";
  const awkward = files.find(({ name }) => !name || name === "." || name === ".." || encode(name).length > MOST_NAME_BYTES || /[/\u0000-\u001f\u007f-\u009f\ud800-\udfff]/u.test(name));
  if (awkward) return "A file's name must have at most 100 bytes, and no control characters.";
  return new Set(files.map((one) => one.name)).size < files.length ? "Two files have the same name." : "";
}

/** All of the archive: entries by name, no owner and no time, mode 0644. */
export function bundled(files: readonly InputFile[]): Uint8Array<ArrayBuffer> {
  const sorted = [...files].sort((one, other) => (one.name < other.name ? -1 : 1));
  const bytes = new Uint8Array(sorted.reduce((sum, one) => sum + BLOCK + padded(one.content.length), 2 * BLOCK));
  let at = 0;
  for (const { name, content } of sorted) {
    bytes.set(headerOf(name, content.length), at);
    bytes.set(content, at + BLOCK);
    at += BLOCK + padded(content.length);
  }
  return bytes;
}

const padded = (size: number) => Math.ceil(size / BLOCK) * BLOCK;

/** A header of GNU's format for a regular file. Its checksum counts the place of the checksum itself as spaces. */
function headerOf(name: string, size: number): Uint8Array {
  const header = new Uint8Array(BLOCK);
  const write = (at: number, text: string) => header.set(encode(text), at);
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, "0")}\0`;
  write(0, name);
  write(100, octal(0o644, 7) + octal(0, 7) + octal(0, 7) + octal(size, 11) + octal(0, 11));
  write(148, "        0");
  write(257, "ustar  \0");
  write(148, `${octal(header.reduce((sum, byte) => sum + byte, 0), 6)} `);
  return header;
}
