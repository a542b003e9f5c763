import { expect, test } from "vitest";
import { bundled, inputFault, MOST_INPUT_BYTES } from "./bundle";

const bytes = (count: number) => Uint8Array.from({ length: count }, (_, at) => at % 256);

test("equal files are the same bytes as the command line bundles", async () => {
  const bundle = bundled([{ name: "six.txt", content: new TextEncoder().encode("7\n") }, { name: "größe.bin", content: bytes(768) }, { name: "A", content: bytes(0) }]);
  expect(bundle).toHaveLength(4_096);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bundle));
  expect([...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("")).toBe("37dfd9202a44ae618d481c8b0af9bd22a5653c77ecdfa54e4257eef9cf630fd3");
});

test("files that no bundle holds, or too many bytes for a page, are told before anything is signed", () => {
  expect(inputFault([{ name: "a", size: MOST_INPUT_BYTES }])).toBe("");
  expect(inputFault([{ name: "a", size: MOST_INPUT_BYTES }, { name: "b", size: 1 }])).toContain("16 MiB");
  expect(inputFault([{ name: "a", size: 1 }, { name: "a", size: 2 }])).toContain("the same name");
  expect(inputFault(Array.from({ length: 65 }, (_, at) => ({ name: `f${at}`, size: 1 })))).toContain("64 files");
  for (const name of ["", "..", "a/b", "a\nb", "\ud800", "ö".repeat(51)]) expect(inputFault([{ name, size: 1 }]), name).toContain("name");
});
