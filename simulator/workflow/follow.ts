/**
 * Waits until objects of the API server have come to a state, by list and watch. A watch that ends
 * is resumed, also after 410 and while the server is away; the limit is kept to a few milliseconds.
 */
import type { Item } from "../../reconciler/kubernetes/collection.ts";
import { Reflector } from "../../reconciler/kubernetes/reflector.ts";
import { TaskError, type Run } from "./task.ts";
import { wait } from "./wait.ts";

/** Until a list is complete, which may be empty and then changes nothing. */
const TICK_MS = 50;

export type Following<T extends Item> = {
  /** Collections. */
  paths: readonly string[];
  query: Readonly<Record<string, string>>;
  /** `null`: the object is ignored. */
  read: (json: unknown) => T | null;
  /** Each state of each object, in order; `after` is `null` once it is gone. */
  changed: (before: T | null, after: T | null) => void;
  /** Asked after changes, never twice at once. Throws `TaskError`. */
  isDone: () => boolean | Promise<boolean>;
  timeoutMs: number;
};

/** `problem`: why the last list or watch failed. */
export type Followed = { kind: "done" } | { kind: "late"; problem: string | null };

/** Throws `TaskError` if the run is interrupted or may not list the objects. */
export async function follow<T extends Item>(run: Run, ask: Following<T>): Promise<Followed> {
  const { clock, signal } = run;
  const late = Promise.withResolvers<"late">();
  const cancel = clock.after(ask.timeoutMs, () => late.resolve("late"));
  const onAbort = () => late.resolve("late");
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  let wake = Promise.withResolvers<"changed">();
  let isOver = false;
  const changed = () => wake.resolve("changed");
  const reflectors = ask.paths.map((path) => open(run, ask, path, changed, () => isOver));
  try {
    for (const reflector of reflectors) reflector.start();
    for (;;) {
      const isListing = !reflectors.every((reflector) => reflector.synced());
      const tick = isListing ? [wait(run, TICK_MS)] : [];
      const end = await Promise.race([wake.promise, late.promise, ...tick]);
      if (signal.aborted) throw new TaskError("interrupted");
      const barred = reflectors.find((reflector) => reflector.forbidden);
      if (barred !== undefined) throw new TaskError(barred.problem ?? "forbidden");
      wake = Promise.withResolvers();
      const isSynced = reflectors.every((reflector) => reflector.synced());
      if (isSynced) {
        const done = await Promise.race([ask.isDone(), late.promise]);
        if (done === true) return { kind: "done" };
      }
      if (end === "late") return lateness(run, reflectors);
    }
  } finally {
    isOver = true;
    cancel();
    signal.removeEventListener("abort", onAbort);
    for (const reflector of reflectors) reflector.stop();
  }
}

function lateness<T extends Item>(run: Run, reflectors: readonly Reflector<T>[]): Followed {
  if (run.signal.aborted) throw new TaskError("interrupted");
  const problem = reflectors.map((reflector) => reflector.problem).find((one) => one !== null);
  return { kind: "late", problem: problem ?? null };
}

/** Failures after which the reflector would rest longer than `RETRY_MS`. */
const FAILURES = 3;
/** A task waits for seconds: what a fleet's informer rests for is too long. */
const RETRY_MS = 2_000;

function open<T extends Item>(
  run: Run,
  ask: Following<T>,
  path: string,
  wake: () => void,
  isOver: () => boolean,
): Reflector<T> {
  const reflector = new Reflector<T>({
    api: run.api,
    path,
    query: ask.query,
    clock: run.clock,
    random: run.random,
    log: (_, message, fields) => {
      run.say("detail", `${message}: ${JSON.stringify(fields ?? {})}`);
      if (Number(fields?.["times"]) >= FAILURES) run.clock.after(RETRY_MS, again);
      wake();
    },
    read: ask.read,
    changed(before, after) {
      ask.changed(before, after);
      wake();
    },
  });
  const again = () => {
    if (isOver() || reflector.problem === null) return;
    reflector.stop();
    reflector.start();
  };
  return reflector;
}
