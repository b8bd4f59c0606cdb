/**
 * CPU and memory of processes that run beside the bench, from /proc. Memory is PSS where processes
 * share pages (never summed RSS), and RSS for a process judged alone.
 * Adapter: /proc, child processes, timers.
 */
import { readFileSync, readdirSync } from "node:fs";

/** USER_HZ is 100 on every Linux that Bun runs on (proc(5)); one tick is 10 ms. */
const TICK_MS = 10;
const KIBIBYTES_PER_MEBIBYTE = 1_024;

type Stat = { parent: number; ownMs: number; reapedMs: number };

/** `null` once the process is gone. */
function readStat(pid: number): Stat | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name may hold spaces and brackets: fields are counted from the last one (proc(5)).
    const fields = text
      .slice(text.lastIndexOf(")") + 2)
      .split(" ")
      .map(Number);
    const [, parent = 0] = fields;
    const ticks = (from: number): number => (fields[from] ?? 0) + (fields[from + 1] ?? 0);
    return { parent, ownMs: ticks(11) * TICK_MS, reapedMs: ticks(13) * TICK_MS };
  } catch {
    return null;
  }
}

/** The process and everything below it that is alive. */
export function treeOf(root: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    const stat = Number.isInteger(pid) ? readStat(pid) : null;
    if (stat !== null) parents.set(pid, stat.parent);
  }
  const tree = [root];
  for (const above of tree) {
    for (const [pid, parent] of parents) if (parent === above) tree.push(pid);
  }
  return tree;
}

/** CPU milliseconds used by a tree so far, children that ended and were waited for included. */
export function readCpuMs(pids: readonly number[]): number {
  let sum = 0;
  for (const pid of pids) {
    const stat = readStat(pid);
    if (stat !== null) sum += stat.ownMs + stat.reapedMs;
  }
  return sum;
}

export type Memory = { rss: number; pss: number; anon: number };

/** MiB, summed over the processes. */
export function readMemory(pids: readonly number[]): Memory {
  const sum: Memory = { rss: 0, pss: 0, anon: 0 };
  for (const pid of pids) {
    let text: string;
    try {
      text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
    } catch {
      continue; // Gone between the listing and now.
    }
    const mebibytes = (key: string): number =>
      Number(new RegExp(`^${key}: *(\\d+)`, "m").exec(text)?.[1] ?? 0) / KIBIBYTES_PER_MEBIBYTE;
    sum.rss += mebibytes("Rss");
    sum.pss += mebibytes("Pss");
    sum.anon += mebibytes("Anonymous");
  }
  return sum;
}

/** What a tree of processes used since the mark before. */
export type Watched = { last: Memory; max: Memory; cpuPercent: number; seconds: number };

/** Looks at a tree of processes once a second; each `mark` ends one period and begins the next. */
export function watchTree(root: number): { mark(): Watched; close(): void } {
  let startedMs = performance.now();
  let cpuMs = readCpuMs(treeOf(root));
  let last = readMemory(treeOf(root));
  let max = last;
  const look = (): void => {
    last = readMemory(treeOf(root));
    max = {
      rss: Math.max(max.rss, last.rss),
      pss: Math.max(max.pss, last.pss),
      anon: Math.max(max.anon, last.anon),
    };
  };
  const timer = setInterval(look, 1_000);
  return {
    mark() {
      look();
      const nowMs = performance.now();
      const nowCpuMs = readCpuMs(treeOf(root));
      const seconds = (nowMs - startedMs) / 1_000;
      const watched = { last, max, cpuPercent: (nowCpuMs - cpuMs) / seconds / 10, seconds };
      startedMs = nowMs;
      cpuMs = nowCpuMs;
      max = last;
      return watched;
    },
    close: () => clearInterval(timer),
  };
}

/**
 * Starts a command with as many descriptors as this machine allows, its standard output as given,
 * errors shown.
 */
export function openProcess(
  command: readonly string[],
  options: {
    env?: Record<string, string>;
    input?: "pipe" | "ignore";
    output?: "pipe" | "ignore";
  } = {},
): Bun.Subprocess<"pipe" | "ignore", "pipe" | "ignore", "inherit"> {
  // `exec` keeps the pid, so that what is measured and ended is the command itself.
  const raise = 'ulimit -n "$(ulimit -Hn)"; exec "$@"';
  return Bun.spawn(["/bin/sh", "-c", raise, "bench", ...command], {
    env: { ...process.env, ...options.env },
    stdio: [options.input ?? "ignore", options.output ?? "ignore", "inherit"],
  });
}

/** Ends a process and waits: politely first, surely after `graceMs`. */
export async function closeProcess(child: Bun.Subprocess, graceMs = 5_000): Promise<void> {
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), graceMs);
  await child.exited;
  clearTimeout(timer);
}

/** Waits for a level, looking every `everyMs`; throws with `what` at the deadline. */
export async function waitFor<T>(
  what: string,
  deadlineMs: number,
  look: () => Promise<T | null> | T | null,
  everyMs = 20,
): Promise<T> {
  const until = performance.now() + deadlineMs;
  for (;;) {
    const seen = await look();
    if (seen !== null) return seen;
    if (performance.now() > until) throw new Error(`waited ${deadlineMs} ms for ${what}`);
    await Bun.sleep(everyMs);
  }
}

/** The whole lines of a process's output. */
export async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}
