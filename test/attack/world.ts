/**
 * What is attacked: one compiled control plane, or a leader with a standby on one database server;
 * and the honest agents beside it. The generators have one core and the control planes another
 * where the machine has both. Adapter: processes, files.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { ROOT } from "../../build/product.ts";
import { nodeToken } from "../../reconciler/auth.ts";
import { closeProcess, type Memory, readCpuMs, readMemory } from "../bench/process.ts";
import { Plane, until } from "../fixture/plane/plane.ts";
import { type Sqld, startSqld } from "../fixture/plane/sqld.ts";
import { type AttackOrder, AttackResult, HonestWindow } from "./order.ts";

const SECRET = "a secret for tests and nothing else";
const canPin = Bun.which("taskset") !== null && cpus().length >= 2;
/** Generators here, control planes there. */
const [GENERATORS, PLANES] = ["0", "1"];
/**
 * Whatever else runs on the machine delays control planes and honest agents less; the attacker,
 * which has its own machine in reality, comes after both.
 */
const RAISED = -10;
const canRaise = process.getuid?.() === 0;

export type Role = "leader" | "standby";

export class World {
  readonly folder = mkdtempSync(join(tmpdir(), "navarch-attack-"));
  private readonly sqld: Sqld | null;
  private readonly planes: Plane[];
  private readonly target: Plane;

  private constructor(sqld: Sqld | null, planes: Plane[], target: Plane) {
    this.sqld = sqld;
    this.planes = planes;
    this.target = target;
  }

  /** `role` is that of the control plane which is attacked and to which the agents report. */
  static async start(role: Role): Promise<World> {
    const sqld = role === "standby" ? await startSqld() : null;
    const database = sqld === null ? "" : `  state_path: ${sqld.url}\n`;
    const yaml = `server:\n  address: 127.0.0.1:0\n${database}`;
    const flags = ["--log-level", "error"];
    const leader = new Plane(yaml, {}, flags);
    const identity = { fleetId: "attack", secret: SECRET };
    writeFileSync(join(leader.state, "identity.json"), JSON.stringify(identity), { mode: 0o600 });
    const planes = role === "standby" ? [leader, new Plane(yaml, {}, flags)] : [leader];
    const world = new World(sqld, planes, planes.at(-1) ?? leader);
    try {
      for (const plane of planes) {
        await plane.start();
        pin(plane.pid, PLANES);
      }
      await until("the control plane is ready", 60_000, async () => {
        const answer = await world.target.fetch("/readyz", { token: null });
        if (answer.ok) return true;
        throw new Error(await answer.text());
      });
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  get url(): string {
    return this.target.url;
  }

  tokenOf(node: string): string {
    return nodeToken(SECRET, node);
  }

  /** MiB of the control plane that has the most. */
  memory(): Memory {
    const all = this.planes.map(({ pid }) => readMemory([pid]));
    return all.reduce((most, one) => (one.rss > most.rss ? one : most));
  }

  /** CPU time of all control planes so far. */
  cpuMs(): number {
    return readCpuMs(this.planes.map(({ pid }) => pid));
  }

  /** What the control planes wrote to their logs. */
  log(): string {
    return this.planes.map((plane) => plane.log()).join("");
  }

  async close(): Promise<void> {
    for (const plane of this.planes.toReversed()) await plane.destroy();
    await this.sqld?.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function pin(pid: number, core: string): void {
  if (canPin) Bun.spawnSync(["taskset", "-a", "-c", "-p", core, String(pid)]);
  const threads = readdirSync(`/proc/${pid}/task`);
  if (canRaise) Bun.spawnSync(["renice", "-n", String(RAISED), "-p", ...threads]);
}

/** With as many descriptors as the machine allows. */
function spawn(entry: string, path: string, niceness: number) {
  const pinned = canPin ? `taskset -c ${GENERATORS} ` : "";
  const raise = `ulimit -n "$(ulimit -Hn)"; exec ${pinned}nice -n ${niceness} "$@"`;
  const command = [process.execPath, join(ROOT, "test", "attack", entry), path];
  return Bun.spawn(["/bin/sh", "-c", raise, "attack", ...command], {
    stdio: ["pipe", "pipe", "inherit"],
  });
}

/** Runs one attack to its end. */
export async function runAttack(folder: string, order: AttackOrder): Promise<AttackResult> {
  const path = join(folder, "attack.json");
  writeFileSync(path, JSON.stringify(order));
  const child = spawn("attacker-main.ts", path, 5);
  const timer = setTimeout(() => void child.kill("SIGKILL"), order.forMs + 30_000);
  try {
    return v.parse(AttackResult, JSON.parse(await new Response(child.stdout).text()));
  } finally {
    clearTimeout(timer);
    await closeProcess(child);
  }
}

/** The honest agents: connected and registered, reporting until closed. */
export class Honest {
  private readonly child: ReturnType<typeof spawn>;
  private readonly lines: AsyncGenerator<string>;

  private constructor(child: ReturnType<typeof spawn>) {
    this.child = child;
    this.lines = linesOf(child.stdout);
  }

  static async start(world: World, agents: number, everyMs: number): Promise<Honest> {
    const tokens = Array.from({ length: agents }, (_, index) => world.tokenOf(`load-${index}`));
    const path = join(world.folder, "honest.json");
    writeFileSync(path, JSON.stringify({ url: world.url, tokens, everyMs }));
    const honest = new Honest(spawn("honest-main.ts", path, canRaise ? RAISED : 0));
    await honest.line();
    return honest;
  }

  async window(forMs: number): Promise<HonestWindow> {
    void this.child.stdin.write(`${forMs}\n`);
    void this.child.stdin.flush();
    return v.parse(HonestWindow, JSON.parse(await this.line()));
  }

  async close(): Promise<void> {
    await closeProcess(this.child);
  }

  private async line(): Promise<string> {
    const next = await this.lines.next();
    if (next.done !== true) return next.value;
    throw new Error(`the honest agents ended with ${await this.child.exited}`);
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

/** MiB that the unit grants the control plane. */
export function memoryMax(): number {
  const unit = readFileSync(join(ROOT, "systemd", "navarch-control-plane.service"), "utf8");
  const [, number, suffix] = /^MemoryMax=(\d+)([MG])$/m.exec(unit) ?? [];
  if (number === undefined) throw new Error("the unit has no MemoryMax");
  return Number(number) * (suffix === "G" ? 1_024 : 1);
}
