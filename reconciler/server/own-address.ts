/**
 * Where this control plane listens, for a command line on the same machine: `address` in the state
 * folder holds its URL while it runs. Only the folder's owner can read it.
 *
 * Adapter: files.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Log } from "../core/clock.ts";

export const ADDRESS_FILE = "address";

type Listening = { host: string; port: number; isTls: boolean };

/** A wildcard is reached over loopback. */
export function ownUrl({ host, port, isTls }: Listening): string {
  const wildcard: Record<string, string> = { "": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1" };
  const reached = wildcard[host] ?? host;
  const name = reached.includes(":") ? `[${reached}]` : reached;
  return `${isTls ? "https" : "http"}://${name}:${port}`;
}

/** Returns what removes it. A disk that is full keeps no control plane from starting. */
export function writeAddress(state: string, listening: Listening, log: Log): () => void {
  const path = join(state, ADDRESS_FILE);
  try {
    writeFileSync(path, `${ownUrl(listening)}\n`, { mode: 0o600 });
  } catch (error) {
    log("warn", "the address is not written: --state gives no address", { error: String(error) });
  }
  return () => rmSync(path, { force: true });
}

/** `--test-port-file`. */
export function writePort(path: string | undefined, port: number): void {
  if (path === undefined) return;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${port}\n`);
}
