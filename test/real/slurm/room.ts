/**
 * The processes of one throw-away Slurm, in a process and mount namespace of their own: daemons,
 * jobs and what jobs leave behind end together when the namespace ends, also if the process that
 * opened it dies without a word. Nothing is looked for by name.
 *
 * Adapter: processes, files.
 */
import { closeSync, openSync, readFileSync, readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { cleanEnv, until } from "../../fixture/plane/plane.ts";

const START_MS_MAX = 20_000;
const END_MS_MAX = 20_000;
const TAIL_CHARS = 3_000;

/**
 * The inner shell is the namespace's first process: it ends when its input closes, and the kernel
 * then ends all others. A terminal's Ctrl-C does not reach it. bash, since it buries orphans.
 */
const GUARD = `trap '' INT TERM HUP
folder=$1 root=$2
export folder root
unshare --pid --fork --kill-child --mount --mount-proc --propagation private bash -c '
  wait="echo ready; while read -r _; do :; done"
  [ -n "$root" ] || eval "$wait"
  [ -n "$root" ] || exit 0
  mkdir -p "$root/sys" "$root/proc" "$root/dev"
  [ -e "$root/etc/hosts" ] || : >"$root/etc/hosts"
  mount --bind /etc/hosts "$root/etc/hosts"
  mount --rbind /dev "$root/dev"
  mount --rbind /sys "$root/sys"
  mount --rbind /proc "$root/proc"
  mount --rbind /tmp "$root/tmp"
  exec chroot "$root" bash -c "$wait"'
cd /; rm -rf --one-file-system "$folder" 2>/dev/null || {
  sleep 1; rm -rf --one-file-system "$folder"; }`;

type Child = Bun.Subprocess<"ignore", number, number>;

export class Room {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  /** Of the release whose programs run from now on; `null` = the host's own. */
  #root: string | null;
  readonly #guard: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #children = new Map<string, Child>();
  readonly #beside = new Set<string>();
  #first = 0;

  constructor(folder: string, env: Readonly<Record<string, string>>, root: string | null) {
    this.folder = folder;
    this.env = env;
    this.#root = root;
    this.#guard = Bun.spawn(["/bin/sh", "-c", GUARD, "guard", folder, root ?? ""], {
      cwd: "/",
      env: cleanEnv(env),
      stdio: ["pipe", "pipe", "inherit"],
      detached: true,
    });
  }

  /** Of the host, or the root that the room was opened with; what runs goes on. */
  use(root: string | null): void {
    this.#root = root;
  }

  async open(): Promise<void> {
    const { value } = await this.#guard.stdout.getReader().read();
    if (new TextDecoder().decode(value).trim() !== "ready") throw new Error("no namespace");
    const [unshare = 0] = childrenOf(this.#guard.pid);
    this.#first = childrenOf(unshare)[0] ?? 0;
    if (this.#first === 0) throw new Error("the namespace has no first process");
  }

  /** A command that runs among the daemons. */
  enter(command: readonly string[]): string[] {
    const root = this.#root === null ? [] : ["-r", "-w"];
    return ["nsenter", "-t", String(this.#first), "-m", "-p", ...root, ...command];
  }

  /** A command of the daemons' release, beside them: slurmrestd must see who calls it. */
  beside(command: readonly string[]): string[] {
    if (this.#root === null) return [...command];
    return ["nsenter", "-t", String(this.#first), "-m", "-r", "-w", ...command];
  }

  /** Starts a daemon that stays in the foreground. */
  start(name: string, command: readonly string[]): void {
    this.#spawn(name, this.enter(command), {});
  }

  /**
   * Starts one beside the namespace: slurmrestd refuses callers whose process it cannot see. It
   * ends with this process.
   */
  startBeside(
    name: string,
    command: readonly string[],
    env: Readonly<Record<string, string>>,
  ): void {
    this.#beside.add(name);
    this.#spawn(name, ["setpriv", "--pdeathsig", "KILL", ...this.beside(command)], env);
  }

  #spawn(name: string, command: string[], env: Readonly<Record<string, string>>): void {
    if (this.runs(name)) throw new Error(`${name} runs already`);
    const log = openSync(this.logPath(name), "a", 0o600);
    try {
      const child = Bun.spawn(command, {
        cwd: this.folder,
        env: cleanEnv({ ...this.env, ...env }),
        stdio: ["ignore", log, log],
      });
      this.#children.set(name, child);
    } finally {
      closeSync(log);
    }
  }

  runs(name: string): boolean {
    return this.#children.get(name)?.exitCode === null;
  }

  /** Its process id as the host counts. */
  pid(name: string): number {
    const child = this.#children.get(name);
    const isBeside = this.#beside.has(name);
    const isRunning = child !== undefined && child.exitCode === null;
    const pid = isRunning ? (isBeside ? child.pid : childrenOf(child.pid)[0]) : undefined;
    if (pid === undefined) throw new Error(`${name} does not run\n${this.tail(name)}`);
    return pid;
  }

  signal(name: string, signal: NodeJS.Signals): void {
    process.kill(this.pid(name), signal);
    // nsenter stops itself when its child is stopped, and would never see its end.
    if (signal === "SIGCONT") this.#children.get(name)?.kill(signal);
  }

  async stop(name: string, signal: NodeJS.Signals): Promise<void> {
    const child = this.#children.get(name);
    if (child === undefined || child.exitCode !== null) return;
    try {
      this.signal(name, signal);
      this.signal(name, "SIGCONT");
    } catch {
      // It ends by itself just now.
    }
    const late = setTimeout(() => this.signal(name, "SIGKILL"), END_MS_MAX);
    await child.exited;
    clearTimeout(late);
    this.#children.delete(name);
  }

  /** Waits for `look`; throws with the end of its log if the daemon ends before. */
  async wait(name: string, look: () => Promise<boolean> | boolean): Promise<void> {
    await until(`${name} is up`, START_MS_MAX, async () => {
      if (await look()) return true;
      return this.runs(name) ? null : false;
    });
    if (!this.runs(name)) throw new Error(`${name} ended:\n${this.tail(name)}`);
  }

  logPath(name: string): string {
    return join(this.folder, "log", `${name}.log`);
  }

  tail(name: string): string {
    try {
      return readFileSync(this.logPath(name), "utf8").slice(-TAIL_CHARS);
    } catch {
      return "";
    }
  }

  /** Processes of the namespace in whose environment stands `word`, with their parents' ids. */
  withEnv(word: string): { pid: number; parent: number }[] {
    const space = readlinkSync(`/proc/${this.#first}/ns/pid`);
    return readdirSync("/proc").flatMap((name) => {
      if (!/^\d+$/.test(name)) return [];
      try {
        if (readlinkSync(`/proc/${name}/ns/pid`) !== space) return [];
        if (!readFileSync(`/proc/${name}/environ`, "utf8").split("\0").includes(word)) return [];
        const stat = readFileSync(`/proc/${name}/stat`, "utf8");
        const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
        return [{ pid: Number(name), parent }];
      } catch {
        return []; // It has ended.
      }
    });
  }

  /** Ends everything and removes the folder. */
  async close(): Promise<void> {
    for (const name of this.#beside) await this.stop(name, "SIGKILL");
    await this.#guard.stdin.end();
    await this.#guard.exited;
  }
}

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  return text.split(" ").filter(Boolean).map(Number);
}
