/**
 * Hours of a fleet in Slurm, at random: jobs, broken GPUs, people who drain and release nodes, a
 * controller that is away or loses answers, and a control plane that dies. Judged by the
 * controller's own books.
 */
import { type Random, openRandom } from "../../../simulator/engine/random.ts";
import { Crash, CrashInjector } from "../crash-injector.ts";
import { poolYaml } from "../setting.ts";
import { open } from "../story.ts";
import type { World } from "../world.ts";
import { NO_SLURM_FAULT } from "./fake.ts";
import { sideOf } from "./story.ts";

const MINUTE = 60_000;
const NODES = 4;
/** Shorter than any drain may last. */
const JOB_MS_MAX = 4 * MINUTE;
const ALICE = "maint by alice";

const YAML = (isBoth: boolean): string => `${poolYaml(NODES, `    health: { unhealthy_threshold: 1 }
    slurm: { partition: compute, nodes: "n[0-${NODES - 1}]" }
`)}
slurm: { enabled: true, poll_interval: 10s }
${isBoth ? "kubernetes: { enabled: true }\n" : ""}`;

export class SlurmSeason {
  readonly told: string[] = [];
  readonly wrong: string[] = [];
  private readonly world: World;
  private readonly random: Random;
  private readonly injector: CrashInjector;
  private isUp = true;

  private constructor(world: World, random: Random, injector: CrashInjector) {
    this.world = world;
    this.random = random;
    this.injector = injector;
  }

  static async open(seed: number, isBoth: boolean): Promise<SlurmSeason> {
    const random = openRandom(seed);
    const faults = random.fork("faults");
    const injector = new CrashInjector();
    const world = await open(YAML(isBoth), {
      prepare: injector,
      store: "memory",
      slurm: {
        nodes: NODES,
        slurmdTimeoutMs: 2 * MINUTE,
        slurmdLagMs: 20_000,
        random: () => faults.uniform(),
      },
      ...(isBoth ? { kubernetes: {} } : {}),
    });
    world.tolerant = true;
    await world.start();
    const season = new SlurmSeason(world, random, injector);
    await season.live(3 * MINUTE);
    return season;
  }

  async step(): Promise<void> {
    const { random } = this;
    const acts = [
      { weight: 4, act: () => this.submit() },
      { weight: 2, act: () => this.breakGpu() },
      { weight: 2, act: () => this.person("drain") },
      { weight: 2, act: () => this.person("undrain") },
      { weight: 1, act: () => this.person("down") },
      { weight: 2, act: () => this.fault() },
      { weight: 2, act: () => this.crash() },
    ];
    const chosen = random.weighted(acts);
    chosen?.act();
    await this.live(random.between(1_000, 3 * MINUTE));
    this.judge();
  }

  /** All that is wrong outside ends, and then everything must come to rest. */
  async rest(): Promise<void> {
    const { slurm, fake } = sideOf(this.world);
    this.tell("all ends");
    fake.fault = NO_SLURM_FAULT;
    for (const { name, reason } of slurm.nodes()) {
      if (reason?.startsWith(ALICE) === true) slurm.update(name, { state: "resume" }, "alice");
    }
    await this.live(60 * MINUTE);
    this.judge();
    const { world } = this;
    if (world.serving().length !== NODES) this.wrong.push(`${world.serving().length} serve`);
    for (const { name, base, flags, reason } of slurm.nodes()) {
      const isFree = base === "IDLE" && flags.length === 0;
      if (!isFree) this.wrong.push(`${name} is ${[base, ...flags].join("+")} (${reason})`);
    }
  }

  private submit(): void {
    const lastsMs = this.random.between(5_000, JOB_MS_MAX);
    const id = sideOf(this.world).slurm.submit({ lastsMs });
    this.tell(`job ${id} for ${Math.round(lastsMs / 1_000)} s`);
  }

  private breakGpu(): void {
    const node = this.random.pick(this.isUp ? this.world.serving() : []);
    if (node === null) return;
    this.tell(`XID 79 on ${node}`);
    this.world.xid(node, 79);
  }

  private person(what: "drain" | "undrain" | "down"): void {
    const { slurm } = sideOf(this.world);
    const node = this.random.pick(slurm.nodes());
    if (node === null) return;
    const isBusy = slurm.jobs().some(({ nodes }) => nodes.includes(node.name));
    // A person's DOWN ends jobs, which is no fault of ours.
    if (what === "down" && isBusy) return;
    this.tell(`alice: ${what} ${node.name} (${[node.base, ...node.flags].join("+")})`);
    const state = what === "undrain" ? "resume" : what;
    slurm.update(node.name, { state, ...(state === "resume" ? {} : { reason: ALICE }) }, "alice");
  }

  private fault(): void {
    const { random } = this;
    const { fake } = sideOf(this.world);
    const kinds = [
      { down: true },
      { lostAnswers: 0.4 },
      { lostCalls: 0.4 },
      { latencyMs: 3_000 },
      {},
    ];
    const fault = random.pick(kinds) ?? {};
    this.tell(`Slurm: ${JSON.stringify(fault)}`);
    fake.fault = { ...NO_SLURM_FAULT, ...fault };
  }

  private crash(): void {
    this.tell("the control plane will die");
    this.injector.arm(1 + this.random.int(60), this.random.chance(0.5) ? "before" : "after");
  }

  private async live(ms: number): Promise<void> {
    const { world, injector } = this;
    const end = world.clock.monoMs() + ms;
    while (world.clock.monoMs() < end) {
      try {
        if (!this.isUp) await world.start();
        this.isUp = true;
        await world.advance(() => false, end - world.clock.monoMs());
        if (!injector.dead) return;
        throw new Crash("dead");
      } catch (error) {
        if (!(error instanceof Crash) && !injector.dead) throw error;
        this.tell("the control plane dies");
        await world.crash();
        await world.clock.pass(2_000);
        injector.revive();
        this.isUp = false;
      }
    }
  }

  private judge(): void {
    const { slurm } = sideOf(this.world);
    for (const { node, what, by, over, reason } of slurm.journal.splice(0)) {
      this.told.push(`    ${node} ${what} by ${by} (${reason ?? ""})`);
      if (by === "api" && over !== null && !over.startsWith("navarch:")) {
        this.wrong.push(`${what} of ${node} over another owner's drain: ${over}`);
      }
    }
    for (const { id, how, nodes } of slurm.ends.splice(0)) {
      if (how === "NODE_FAIL") this.wrong.push(`job ${id} on ${nodes.join()} was cut off`);
    }
  }

  private tell(what: string): void {
    const seconds = Math.round(this.world.clock.monoMs() / 1_000);
    this.told.push(`${seconds} s: ${what}`);
  }
}
