/**
 * One folder with everything that a round needs: the process to kill, its clouds, whoever speaks
 * and acts around it, and a judge for each cloud that is fed from the journals as they grow.
 * Adapter: files, processes.
 */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FleetAgents } from "./agents.ts";
import { Churn } from "./churn.ts";
import type { Random } from "./random.ts";
import { CloudJudge, type Effect, type Violation } from "./judge.ts";
import { OtherTenants } from "./other-tenants.ts";
import { formatConfig, type Setting } from "./setting.ts";
import { Tail } from "./tail.ts";
import { Target } from "./target.ts";

/** What an instance runs: nothing; `agents.ts` speaks for it. */
const STUB = "#!/bin/sh\nexec sleep 1000000\n";

const START_MS = 20_000;
/** Between two looks at the journals, and between two rounds of the agents. */
const TICK_MS = 4;

export class Fleet {
  readonly folder: string;
  readonly target: Target;
  readonly agents: FleetAgents;
  readonly churn: Churn;
  readonly tenants: OtherTenants;
  readonly judges: readonly CloudJudge[];
  readonly foreign = new Map<string, string[]>();
  readonly violations: Violation[] = [];
  /** Effects not yet held against the store. */
  effects: Effect[] = [];
  /** Effects of the product, ever: for who waits for the next one. */
  seen = 0;
  readonly #tails: Map<CloudJudge, Tail>;
  readonly #fleetId: string;
  #closed = false;

  private constructor(from: {
    folder: string;
    target: Target;
    agents: FleetAgents;
    churn: Churn;
    tenants: OtherTenants;
    fleetId: string;
    settings: readonly Setting[];
  }) {
    this.folder = from.folder;
    this.target = from.target;
    this.agents = from.agents;
    this.churn = from.churn;
    this.tenants = from.tenants;
    this.#fleetId = from.fleetId;
    this.judges = from.settings.map((setting) => new CloudJudge(setting, from.fleetId));
    this.#tails = new Map(
      this.judges.map((judge) => [judge, new Tail(cloudFolder(from.folder, judge.setting.name))]),
    );
  }

  /** Starts the control plane once, to make its state. */
  static async open(binary: string, settings: readonly Setting[], random: Random): Promise<Fleet> {
    const folder = mkdtempSync(join(tmpdir(), "navarch-torture-"));
    const stub = join(folder, "stub.sh");
    writeFileSync(stub, STUB);
    chmodSync(stub, 0o700);
    const config = join(folder, "navarch.yaml");
    writeFileSync(config, formatConfig(folder, stub, settings));
    const folderOf = (cloud: string) => cloudFolder(folder, cloud);
    for (const { name } of settings) mkdirSync(folderOf(name), { recursive: true });
    const target = new Target({ binary, state: folder, config });
    target.spawn();
    const url = await target.listening(START_MS).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${target.errors().join("\n")}`);
    });
    const { fleetId } = JSON.parse(readFileSync(join(folder, "identity.json"), "utf8")) as {
      fleetId: string;
    };
    const token = readFileSync(join(folder, "admin.token"), "utf8").trim();
    const adminToken = () => token;
    const agents = new FleetAgents({ folderOf, adminToken });
    agents.url = url;
    const tenants = await OtherTenants.open({ settings, folderOf, fleetId, random: random.next });
    const churn = new Churn({ random, settings, folder, agents, tenants, adminToken });
    const fleet = new Fleet({ folder, target, agents, churn, tenants, fleetId, settings });
    void fleet.#tick();
    return fleet;
  }

  get database(): string {
    return join(this.folder, "navarch.db");
  }

  /** After the first purchases: before them another fleet's machines hold pools of their name. */
  async plantStrangers(): Promise<void> {
    for (const { setting } of this.judges) {
      const { name } = setting;
      this.foreign.set(name, await this.tenants.strangers(name));
    }
  }

  async #tick(): Promise<void> {
    while (!this.#closed) {
      this.look();
      this.agents.speak();
      await Bun.sleep(TICK_MS);
    }
  }

  /** Takes in what the clouds wrote since the last look. */
  look(): void {
    for (const [judge, tail] of this.#tails) {
      const entries = tail.read();
      if (entries.length === 0) continue;
      this.violations.push(...judge.see(entries));
      this.agents.see(judge.setting.name, entries, this.#fleetId);
      const effects = judge.takeEffects();
      this.seen += effects.length;
      this.effects.push(...effects);
    }
  }

  /** Kills the process, then ends every instance's process; the folder stays. */
  async close(): Promise<void> {
    this.#closed = true;
    this.agents.url = null;
    await this.target.kill();
    this.look();
    await this.tenants.close();
    for (const judge of this.judges) endProcesses(judge);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const cloudFolder = (folder: string, name: string): string => join(folder, "cloud", name);

/** Stubs that still run, each known by pid and by the instance in its environment. */
function endProcesses(judge: CloudJudge): void {
  for (const entry of judge.entries) {
    if (entry.kind !== "process.started") continue;
    try {
      const environ = readFileSync(`/proc/${entry.pid}/environ`, "utf8");
      if (environ.split("\0").includes(`NAVARCH_INSTANCE_ID=${entry.id}`))
        process.kill(entry.pid, "SIGKILL");
    } catch {
      // It has ended long ago.
    }
  }
}
