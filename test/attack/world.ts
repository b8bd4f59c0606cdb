/**
 * What is attacked: one compiled control plane, or a leader with a standby on one database server;
 * and the honest agents beside it. Control planes, honest agents and attacker have a core each
 * where the machine has three; on two the attacker shares that of the honest agents and runs only
 * while they do not. Adapter: processes, files.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { ROOT } from "../../build/product.ts";
import { nodeToken } from "../../reconciler/security/auth.ts";
import { Load } from "../bench/load.ts";
import { closeProcess, type Memory, openProcess, readCpuMs, readMemory } from "../bench/process.ts";
import { Plane, until } from "../fixture/plane/plane.ts";
import { type Sqld, startSqld } from "../fixture/plane/sqld.ts";
import { type AttackOrder, AttackResult } from "./order.ts";

const SECRET = "a secret for tests and nothing else";
const canPin = Bun.which("taskset") !== null && cpus().length >= 2;
const CORE = { honest: "0", planes: "1", attacker: cpus().length >= 3 ? "2" : "0" };
/**
 * The attacker has its own machine in reality. Niceness is not enough where it shares a core with
 * the honest agents: the scheduler lets it finish its slice, and replies waited up to 80 ms to be
 * taken. Never a real-time policy for what is measured: the runtime's threads wait for each other
 * by spinning, and on two cores that stops the whole machine.
 */
const LAST = Bun.which("chrt") === null ? ["nice", "-n", "19"] : ["chrt", "--idle", "0"];
/** Whatever else runs on the machine delays control planes and honest agents less. */
const RAISED = -20;
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

  /**
   * `role` is that of the control plane which is attacked and to which the agents report; `env`
   * are variables of the control planes.
   */
  static async start(role: Role, env: Record<string, string> = {}): Promise<World> {
    const sqld = role === "standby" ? await startSqld() : null;
    const database = sqld === null ? "" : `  state_path: ${sqld.url}\n`;
    const yaml = `server:\n  address: 127.0.0.1:0\n${database}`;
    const flags = ["--log-level", "error"];
    const leader = new Plane(yaml, env, flags);
    const identity = { fleetId: "attack", secret: SECRET };
    writeFileSync(join(leader.state, "identity.json"), JSON.stringify(identity), { mode: 0o600 });
    const planes = role === "standby" ? [leader, new Plane(yaml, env, flags)] : [leader];
    const world = new World(sqld, planes, planes.at(-1) ?? leader);
    try {
      if (sqld !== null) pin(sqld.pid, CORE.planes);
      for (const plane of planes) {
        await plane.start();
        pin(plane.pid, CORE.planes);
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

  /** A call of the attacked control plane as its administrator. */
  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return this.target.fetch(path, init);
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

/** Runs a program where the attacker would run, behind all others. */
export const beside = (): string[] => [...onCore(CORE.attacker), ...LAST];

const onCore = (core: string): string[] => (canPin ? ["taskset", "-c", core] : []);

function pin(pid: number, core: string): void {
  if (canPin) Bun.spawnSync(["taskset", "-a", "-c", "-p", core, String(pid)]);
  const threads = readdirSync(`/proc/${pid}/task`);
  if (canRaise) Bun.spawnSync(["renice", "-n", String(RAISED), "-p", ...threads]);
}

/** Runs one attack to its end. */
export async function runAttack(folder: string, order: AttackOrder): Promise<AttackResult> {
  const path = join(folder, "attack.json");
  writeFileSync(path, JSON.stringify(order));
  const main = [process.execPath, join(import.meta.dir, "attacker-main.ts"), path];
  const child = openProcess([...beside(), ...main], { output: "pipe" });
  const timer = setTimeout(() => void child.kill("SIGKILL"), order.forMs + 30_000);
  try {
    if (!(child.stdout instanceof ReadableStream)) throw new Error("attacker without output");
    return v.parse(AttackResult, JSON.parse(await new Response(child.stdout).text()));
  } finally {
    clearTimeout(timer);
    await closeProcess(child);
  }
}

/** The honest agents: connected and registered. */
export function openHonest(world: World, agents: number, everyMs: number): Promise<Load> {
  const tokens = Array.from({ length: agents }, (_, index) => world.tokenOf(`load-${index}`));
  const order = { url: world.url, transport: "stream" as const, everyMs, checkEvery: 6, tokens };
  const priority = canRaise ? ["nice", "-n", String(RAISED)] : [];
  return Load.start(order, world.folder, [...onCore(CORE.honest), ...priority]);
}

/** MiB that the unit grants the control plane. */
export function memoryMax(): number {
  const unit = readFileSync(join(ROOT, "systemd", "navarch-control-plane.service"), "utf8");
  const [, number, suffix] = /^MemoryMax=(\d+)([MG])$/m.exec(unit) ?? [];
  if (number === undefined) throw new Error("the unit has no MemoryMax");
  return Number(number) * (suffix === "G" ? 1_024 : 1);
}
