/**
 * Worker processes for `main.ts`: one request at a time each, over IPC. A worker that says nothing
 * in time is killed and another takes its place. Adapter: starts and ends processes.
 */
import { join } from "node:path";
import type { Request } from "./worker.ts";

export type Worker = {
  /** The answer, or `null` if the process died or was too slow and had to be killed. */
  ask: (request: Request, limitMs: number) => Promise<unknown>;
  isAlive: () => boolean;
  close: () => void;
};

/** A worker in the instrumented copy; `mutant` is on from its start, 0 for none. */
export function startWorker(copy: string, mutant = 0): Worker {
  let answer: (value: unknown) => void = () => undefined;
  let alive = true;
  const child = Bun.spawn([process.execPath, "run", join(copy, "test/mutant/worker.ts")], {
    cwd: copy,
    env: { ...process.env, NAVARCH_MUTANT: String(mutant) },
    stdio: ["ignore", "ignore", "ignore"],
    ipc: (message) => answer(message),
    onExit: () => {
      alive = false;
      answer(null);
    },
  });
  const close = () => {
    alive = false;
    child.kill("SIGKILL");
  };
  const ask = async (request: Request, limitMs: number) => {
    if (!alive) return null;
    const { promise, resolve } = Promise.withResolvers<unknown>();
    answer = resolve;
    const timer = setTimeout(close, limitMs);
    child.send(request);
    const value = await promise;
    clearTimeout(timer);
    return value;
  };
  return { ask, isAlive: () => alive, close };
}

/** Runs `each` over the items, so many at a time; every runner keeps a state of its own. */
export async function spread<Item, State extends { close: () => void }>(
  items: readonly Item[],
  runners: number,
  open: () => State,
  each: (item: Item, state: State) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const run = async () => {
    const state = open();
    try {
      for (let item = queue.shift(); item !== undefined; item = queue.shift())
        await each(item, state);
    } finally {
      state.close();
    }
  };
  await Promise.all(Array.from({ length: runners }, run));
}
