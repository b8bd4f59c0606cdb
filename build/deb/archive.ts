/**
 * Encodes a Debian package, deb(5): an `ar` archive of a version, the control files and the data,
 * both as compressed tar archives. Equal parts give equal bytes. Pure.
 */
import { gzipSync } from "node:zlib";
import { type TarEntry, encodeTar } from "../release/tar.ts";

export type { TarEntry } from "../release/tar.ts";

type Member = { name: string; bytes: Uint8Array };

/** Every dpkg reads gzip; level 9 would save 0.3 % for three times the time. */
const GZIP = { level: 6 } as const;

/** `seconds` since the epoch is the time of everything inside. */
export function encodeDeb(
  control: readonly TarEntry[],
  data: readonly TarEntry[],
  seconds: number,
): Uint8Array<ArrayBuffer> {
  const packed = (entries: readonly TarEntry[]) => gzipSync(encodeTar(entries, seconds), GZIP);
  return encodeAr(
    [
      { name: "debian-binary", bytes: new TextEncoder().encode("2.0\n") },
      { name: "control.tar.gz", bytes: packed(control) },
      { name: "data.tar.gz", bytes: packed(data) },
    ],
    seconds,
  );
}

/** The common `ar` format: text headers of 60 bytes, members at even offsets. */
function encodeAr(members: readonly Member[], seconds: number): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder();
  const parts: Uint8Array[] = [text.encode("!<arch>\n")];
  for (const { name, bytes } of members) {
    const fields: [string, number][] = [
      [name, 16],
      [String(seconds), 12],
      ["0", 6],
      ["0", 6],
      ["100644", 8],
      [String(bytes.length), 10],
    ];
    const header = fields.map(([value, width]) => value.padEnd(width)).join("");
    parts.push(text.encode(`${header}\`\n`), bytes);
    if (bytes.length % 2 === 1) parts.push(text.encode("\n"));
  }
  return Buffer.concat(parts);
}

/**
 * Adds every folder above the files, sorted as dpkg expects: `./`, `./etc/`, `./etc/x`. `folders`
 * has modes other than 0755, and empty folders.
 */
export function withFolders(
  files: readonly TarEntry[],
  folders: Readonly<Record<string, number>>,
): TarEntry[] {
  const entries = new Map<string, TarEntry>();
  const none = new Uint8Array();
  const addAbove = (path: string): void => {
    for (let end = path.indexOf("/"); end >= 0; end = path.indexOf("/", end + 1)) {
      const name = path.slice(0, end + 1);
      entries.set(name, { name, bytes: none, mode: folders[name] ?? 0o755 });
    }
  };
  for (const name of Object.keys(folders)) addAbove(name);
  for (const file of files) {
    addAbove(file.name);
    entries.set(file.name, file);
  }
  return [...entries.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}
