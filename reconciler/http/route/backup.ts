/**
 * A copy of the database over HTTP, for administrators (`navarch backup`).
 *
 * Adapter: files.
 */
import { closeSync, openSync, readSync, rmSync } from "node:fs";
import { needs, refuse, type App, type RoutePorts } from "./app.ts";

/** Bytes read and sent at once. */
const SLICE_BYTES = 256 * 1_024;

export function backupRoutes(api: App, ports: RoutePorts): void {
  let running = false;
  api.post("/admin/backup", needs("admin"), async (c) => {
    const { backup } = ports;
    if (backup === null) {
      const message = "the database is a server's: back it up with that server's own tools";
      return refuse(c, "conflict", message);
    }
    if (running) return refuse(c, "rate_limited", "a backup is being made already");
    running = true;
    try {
      const path = await backup();
      const by = c.get("principal").name;
      ports.log("info", "backup", { by });
      return c.body(openOnce(path), 200, { "Content-Type": "application/vnd.sqlite3" });
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
