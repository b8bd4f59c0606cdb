/** Encodes tar archives (POSIX ustar) without owner and clock, entries in the given order. Pure. */

export type TarEntry = {
  /** Path in the archive, at most 100 bytes; one that ends in `/` is a folder. */
  name: string;
  bytes: Uint8Array;
  /** Permission bits. */
  mode: number;
};

const BLOCK = 512;
const NAME_BYTES_MAX = 100;
/** The largest size that ustar's field holds: eleven octal digits. */
const SIZE_MAX = 0o77777777777;

/** `seconds` is the time of every entry. Throws if a name or a size does not fit. */
export function encodeTar(entries: readonly TarEntry[], seconds: number): Uint8Array<ArrayBuffer> {
  const padded = (bytes: number): number => Math.ceil(bytes / BLOCK) * BLOCK;
  const total = entries.reduce((sum, { bytes }) => sum + BLOCK + padded(bytes.length), 0);
  // Two empty blocks end an archive.
  const archive = new Uint8Array(total + 2 * BLOCK);
  let at = 0;
  for (const entry of entries) {
    archive.set(headerOf(entry, seconds), at);
    archive.set(entry.bytes, at + BLOCK);
    at += BLOCK + padded(entry.bytes.length);
  }
  return archive;
}

function headerOf({ name, bytes, mode }: TarEntry, seconds: number): Uint8Array {
  const header = new Uint8Array(BLOCK);
  const put = (text: string, offset: number, most: number): void => {
    const encoded = new TextEncoder().encode(text);
    if (encoded.length > most) throw new Error(`${name}: ${text} does not fit a tar header`);
    header.set(encoded, offset);
  };
  const octal = (value: number, digits: number): string => {
    return `${value.toString(8).padStart(digits, "0")}\0`;
  };
  if (bytes.length > SIZE_MAX) throw new Error(`${name}: too large for a tar archive`);
  put(name, 0, NAME_BYTES_MAX);
  put(octal(mode, 7), 100, 8);
  put(octal(0, 7), 108, 8); // owner
  put(octal(0, 7), 116, 8); // group
  put(octal(bytes.length, 11), 124, 12);
  put(octal(seconds, 11), 136, 12);
  put("        ", 148, 8); // The checksum counts as spaces while it is computed.
  put(name.endsWith("/") ? "5" : "0", 156, 1); // A folder, or a regular file.
  put("ustar\0" + "00", 257, 8);
  put("root", 265, 32);
  put("root", 297, 32);
  const sum = header.reduce((total, byte) => total + byte, 0);
  put(`${sum.toString(8).padStart(6, "0")}\0 `, 148, 8);
  return header;
}
