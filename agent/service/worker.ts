/**
 * What a worker of an AgentPool does differently: its folder is its own and temporary, and it ends
 * once its claims have ended.
 *
 * Adapter: the file system.
 */
import { lstatSync, mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../port/port.ts";
import type { Agent } from "../report/core.ts";
import type { WorkerDuty } from "../report/worker-duty.ts";

/** Keyed by the id, so that a restarted container finds its own; never another user's. */
export function openOwnFolder(nodeId: string): string {
  const path = join(tmpdir(), `navarch-node-${nodeId.replace(/[^A-Za-z0-9._-]/g, "_")}`);
  try {
    mkdirSync(path, { mode: 0o700 });
    return path;
  } catch {
    const is = lstatSync(path, { throwIfNoEntry: false });
    const isOwn = is?.isDirectory() === true && is.uid === process.getuid?.();
    if (isOwn && (is.mode & 0o077) === 0) return path;
  }
  try {
    return mkdtempSync(`${path}-`);
  } catch {
    // Opening it fails too, and the agent says so and works from memory.
    return path;
  }
}

const LOOK_MS = 250;
/** How often it asks while it has claims; the control plane also pushes the end of each. */
const BUSY_MS = 5_000;
/** Without an answer, a worker that knows of no claim waits no longer. */
const SILENT_MS = 4_000;

/** Takes no more claims and resolves once the last has ended, at the latest after `graceMs`. */
export function readyToEnd(
  duty: WorkerDuty | null,
  { agent, clock, graceMs }: { agent: Agent; clock: Clock; graceMs?: number | null },
): Promise<void> {
  if (duty === null) return Promise.resolve();
  const { promise, resolve } = Promise.withResolvers<void>();
  const since = clock.monoMs();
  let askedAt = -Infinity;
  const look = (): void => {
    const now = clock.monoMs();
    const waitedMs = now - since;
    const isLate = waitedMs >= (graceMs ?? Infinity);
    const isAlone = duty.claims === 0 && waitedMs >= SILENT_MS;
    if (duty.mayEnd || isLate || isAlone) return resolve();
    if (duty.claims === 0 || now - askedAt >= BUSY_MS) {
      askedAt = now;
      agent.tellSoon();
    }
    clock.after(LOOK_MS, look);
  };
  duty.leave();
  look();
  return promise;
}
