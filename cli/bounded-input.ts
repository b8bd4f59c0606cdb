/**
 * Reads a file, or standard input for `-`, up to a limit.
 *
 * Adapter: files, standard input.
 */
import { createReadStream } from "node:fs";
import { usage } from "./failure.ts";
import type { Read } from "./host-flag.ts";
import { explainPath } from "./path.ts";

/** A hundred thousand credentials have about 20 MB. */
const BYTES_MAX = 32 * 1024 * 1024;

export async function readBounded(path: string): Promise<Read<string>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    const source = path === "-" ? process.stdin : createReadStream(path);
    for await (const chunk of source) {
      const part = Buffer.from(chunk as Uint8Array);
      bytes += part.length;
      if (bytes > BYTES_MAX) return usage(`${path}: more than ${BYTES_MAX} bytes`);
      chunks.push(part);
    }
  } catch (error) {
    return usage(`${path}: ${explainPath(path, error)}`);
  }
  return { ok: true, value: Buffer.concat(chunks).toString("utf8") };
}
