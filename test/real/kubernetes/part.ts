/**
 * The processes of one throw-away cluster: each with its log in the cluster's folder, ended by its
 * process id, and ended too if the process that started them dies without a word.
 *
 * Adapter: processes, files, ports.
 */
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { cleanEnv } from "../../fixture/plane/plane.ts";

export const PARTS = ["etcd", "apiserver", "controllers", "scheduler", "kwok"] as const;
export type Part = (typeof PARTS)[number];

/** Of a part that ended unasked, enough of its log to see why. */
const TAIL_CHARS = 3_000;

/**
 * Reads lines of process ids, each replacing the last, until its standard input closes. An empty
 * last line means that all was put away in order. A terminal's Ctrl-C reaches it too; it stays.
 */
const GUARD = `trap '' INT TERM HUP
pids=
while read -r line; do pids=$line; done
if [ -n "$pids" ]; then
  kill -9 $pids 2>/dev/null
  rm -rf "$1" 2>/dev/null || { sleep 1; rm -rf "$1"; }
fi`;

export class Processes {
  readonly folder: string;
  private readonly children = new Map<Part, Bun.Subprocess>();
  private readonly guard: Bun.Subprocess<"pipe", "ignore", "ignore">;

  constructor(folder: string) {
    this.folder = folder;
    this.guard = Bun.spawn(["/bin/sh", "-c", GUARD, "guard", folder], {
      env: cleanEnv(),
      stdio: ["pipe", "ignore", "ignore"],
    });
  }

  start(part: Part, command: readonly string[]): void {
    if (this.children.has(part)) throw new Error(`${part} runs already`);
    const log = openSync(this.logPath(part), "a", 0o600);
    try {
      const child = Bun.spawn([...command], {
        cwd: this.folder,
        env: cleanEnv({ HOME: this.folder }),
        stdio: ["ignore", log, log],
      });
      this.children.set(part, child);
    } finally {
      closeSync(log);
    }
    this.tellGuard();
  }

  runs(part: Part): boolean {
    return this.children.get(part)?.exitCode === null;
  }

  /** Throws if it runs no more, with the end of its log. */
  check(part: Part): void {
    const child = this.children.get(part);
    if (child === undefined || child.exitCode === null) return;
    const tail = this.log(part).slice(-TAIL_CHARS);
    throw new Error(`${part} ended with ${child.exitCode ?? child.signalCode}:\n${tail}`);
  }

  pid(part: Part): number {
    const child = this.children.get(part);
    if (child === undefined) throw new Error(`${part} does not run`);
    return child.pid;
  }

  pids(): number[] {
    return [...this.children.values()].map(({ pid }) => pid);
  }

  signal(part: Part, name: NodeJS.Signals): void {
    this.children.get(part)?.kill(name);
  }

  /** Nothing here is worth a goodbye: what must survive is in etcd, what must not is removed. */
  async stop(part: Part): Promise<void> {
    const child = this.children.get(part);
    if (child === undefined) return;
    child.kill("SIGKILL");
    await child.exited;
    this.children.delete(part);
    this.tellGuard();
  }

  async stopAll(): Promise<void> {
    for (const part of PARTS.toReversed()) await this.stop(part);
    await this.guard.stdin.end();
    await this.guard.exited;
  }

  log(part: Part): string {
    try {
      return readFileSync(this.logPath(part), "utf8");
    } catch {
      return "";
    }
  }

  private logPath(part: Part): string {
    return join(this.folder, `${part}.log`);
  }

  private tellGuard(): void {
    void this.guard.stdin.write(`${this.pids().join(" ")}\n`);
    void this.guard.stdin.flush();
  }
}

/** Whether there is such a process, whoever's it is. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && "code" in error && error.code === "ESRCH");
  }
}

/**
 * Below where the system takes ports for outgoing connections (32,768 and up on Linux), so that a
 * server which is stopped for a while finds its port free again.
 */
const PORT_MIN = 20_000;
const PORTS = 12_000;

/** Free ports of the loopback address, all different. */
export function freePorts(count: number): number[] {
  const found = new Set<number>();
  while (found.size < count) {
    const port = PORT_MIN + Math.floor(Math.random() * PORTS);
    try {
      const socket = { data: () => undefined };
      Bun.listen({ hostname: "127.0.0.1", port, socket }).stop(true);
      found.add(port);
    } catch {
      continue; // Somebody has it.
    }
  }
  return [...found];
}
