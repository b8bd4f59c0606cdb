/**
 * A copy of the database over HTTP, for administrators (`navarch backup`).
 *
 * Adapter: files.
 */
import { closeSync, openSync, readSync, rmSync, statSync } from "node:fs";
import type { App, RoutePorts } from "./app.ts";
import { needs, Refusal } from "./request.ts";

/** Bytes read and sent at once. */
const SLICE_BYTES = 256 * 1_024;

export function backupRoutes(api: App, ports: RoutePorts): void {
  let running = false;
  api.post("/admin/backup", needs("admin"), async (c) => {
    const { backup } = ports;
    if (backup === null) {
      const message = "the database is on a server: back it up with that server's own tools";
      throw new Refusal("conflict", message);
    }
    if (running) throw new Refusal("rate_limited", "another backup is already running");
    running = true;
    try {
      const path = await backup();
      const { size } = statSync(path);
      const by = c.get("principal").name;
      ports.log("info", "backup", { by });
      const headers = { "Content-Type": "application/vnd.sqlite3" };
      // A stream is sent without its length, and whoever waits for it wants to know.
      return c.body(openOnce(path), 200, { ...headers, "Navarch-Bytes": String(size) });
    } finally {
      running = false;
    }
  });
}

/** The file's bytes as they are asked for. Its name is gone at once, so nothing is left behind. */
function openOnce(path: string): ReadableStream<Uint8Array> {
  const file = openSync(path, "r");
  rmSync(path);
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const bytes = Buffer.alloc(SLICE_BYTES);
        const count = readSync(file, bytes, 0, SLICE_BYTES, null);
        if (count > 0) return controller.enqueue(bytes.subarray(0, count));
        closeSync(file);
        controller.close();
      },
      cancel: () => closeSync(file),
    },
    { highWaterMark: 1 },
  );
}
