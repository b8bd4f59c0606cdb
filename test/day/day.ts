/**
 * A day of the guide's complete example: its own configuration, the product's loop, both adapters
 * over HTTP, from an empty cloud, in virtual time. Sampled once a minute and judged by what the
 * clouds really have.
 */
import { viewCost } from "../../reconciler/http/view/cost.ts";
import { dayOf } from "../../reconciler/core/cost/calendar.ts";
import { desiredOf } from "../../reconciler/core/fleet.ts";
import type { Instance } from "../../reconciler/core/provider.ts";
import type { Config, PoolConfig } from "../../schema/config.ts";
import type { NodeId } from "../../schema/id.ts";
import type { Report } from "../../schema/report.ts";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { Process } from "../../simulator/engine/process.ts";
import { MemoryDatabase } from "../../simulator/engine/sql.ts";
import { type Agent, logXid, newAgent, reportOf } from "../world/agent.ts";
import { configOfDay } from "./setting.ts";
import { differenceOf, longestShort, orphansIn } from "./judge.ts";
import { rest } from "../world/drive.ts";
import { openFakeScheduler } from "../world/fake-scheduler.ts";
import { policyOnce } from "../world/setting.ts";
import { type Cloud, type Clouds, LAMBDA_PRICE, openClouds, passBy } from "./clouds.ts";
import { DAY_HOURS, FAULTS, inferenceLoad, trainingJobs, weatherAt } from "./demand.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const STEP_MS = 5_000;
const REPORT_MS = 30_000;
const GPUS = { training: 8, inference: 1 } as const;
/** The day begins at noon before a new month, so that one turns within it. */
const BEGIN = Date.UTC(2026, 9, 31, 12);

export type PoolName = keyof typeof GPUS;
const POOLS: readonly PoolName[] = ["training", "inference"];

export type PoolSample = {
  /** Machines that the demand would fill. */
  asked: number;
  desired: number;
  serving: number;
  /** What the cloud really has and bills. */
  live: number;
  /** Of these, those that are not ordered to end. */
  staying: number;
};
export type Sample = {
  /** Hour of the day. */
  hour: number;
  pools: Record<PoolName, PoolSample>;
  dollars: number;
  calls: Record<"lambda" | "gcp", number>;
  refused: Record<"lambda" | "gcp", number>;
};
export type Day = {
  hours: number;
  samples: Sample[];
  /** What does not hold, in words. */
  broken: string[];
  /** Lambda's machines: dollars by the product's account and by what really ran. */
  dollars: { counted: number; real: number };
  /** Compute Engine lists no prices: instance-hours. */
  unknownHours: { counted: number; real: number };
  calls: Record<"lambda" | "gcp", { calls: number; rateLimited: number; failed: number }>;
  /** Longest time in minutes with less than wanted, outside bad weather and its aftermath. */
  shortMinutes: Record<PoolName, number>;
  purchases: number;
  replaced: number;
};

export async function liveDay(
  hours: number,
  tell: (hour: number) => void = () => undefined,
): Promise<Day> {
  const clock = new VirtualClock(BEGIN);
  const clouds = await openClouds(clock, "fleet");
  const database = MemoryDatabase.empty();
  const scheduler = openFakeScheduler();
  const config = configOfDay();
  const errors: string[] = [];
  const process = await Process.start({
    clock,
    database: { url: "memory:", clients: { writer: database.client(), reader: database.client() } },
    log: (level, message, fields) =>
      void (level === "error" && errors.push(`${message} ${JSON.stringify(fields)}`)),
    scheduler,
    providers: new Map([
      ["lambda", clouds.lambda.provider],
      ["gcp", clouds.gcp.provider],
    ]),
    config,
    policy: policyOnce(),
    fleetId: "fleet",
    between: {},
  });
  try {
    const life = new Life({ clock, clouds, process, config, hours });
    await life.run(tell);
    return await life.judge(errors);
  } finally {
    await process.kill();
    await clouds.close();
    database.close();
  }
}

type Parts = {
  clock: VirtualClock;
  clouds: Clouds;
  process: Process;
  config: Config;
  hours: number;
};

class Life {
  private readonly parts: Parts;
  private readonly agents = new Map<string, Agent>();
  private readonly samples: Sample[] = [];
  private readonly wanted = new Map<PoolName, { at: number; desired: number }[]>();
  private readonly real = { lambdaMs: 0, gcpMs: 0 };
  private readonly known = new Set<string>();
  private readonly broken = new Set<string>();
  private faults = 0;

  constructor(parts: Parts) {
    this.parts = parts;
  }

  /** Hour of the whole day that this instant stands for. */
  private hour(): number {
    return (this.parts.clock.monoMs() / HOUR_MS / this.parts.hours) * DAY_HOURS;
  }

  async run(tell: (hour: number) => void): Promise<void> {
    const { clock, hours } = this.parts;
    const end = hours * HOUR_MS;
    let [minute, report, told] = [0, 0, 0];
    while (clock.monoMs() < end) {
      this.makeWeather();
      if (clock.monoMs() >= report) {
        report += REPORT_MS;
        await this.ask();
        await this.reportAll();
      }
      await this.turn();
      if (clock.monoMs() >= minute) {
        minute += MINUTE_MS;
        this.sample();
      }
      if (this.hour() >= told) tell(told++);
      this.tally();
      await passBy(STEP_MS, this.parts);
    }
  }

  private async turn(): Promise<void> {
    const { process, clouds } = this.parts;
    const end = await rest(process.reconciler, {
      activationsMax: 100,
      untilQuiet: true,
      settle: () => clouds.quiet(),
      isDead: () => false,
    });
    if (end !== "rested") this.broken.add("the plan never rests");
  }

  private makeWeather(): void {
    const now = weatherAt(this.hour());
    for (const name of ["lambda", "gcp"] as const) {
      const kinds = now.filter(({ cloud }) => cloud === name).map(({ kind }) => kind);
      const { proxy } = this.cloud(name);
      proxy.sky = "fair";
      for (const sky of ["outage", "rate limits", "lost replies"] as const) {
        if (kinds.includes(sky)) proxy.sky = sky;
      }
      const quota = { class: "quota", message: "the account's limit is reached" } as const;
      this.cloud(name).setFaults({
        ...(kinds.includes("stock-out") ? { stockOut: true } : {}),
        ...(kinds.includes("quota") ? { refuse: quota } : {}),
      });
    }
    const due = FAULTS[this.faults];
    if (due === undefined || this.hour() < due) return;
    const [sick] = this.serving("training");
    if (sick === undefined) return;
    this.faults++;
    logXid(this.agent(sick, "training"), 79, 0, this.parts.clock.wallMs());
  }

  private cloud(name: "lambda" | "gcp"): Cloud {
    return this.parts.clouds[name];
  }

  private serving(pool: PoolName): string[] {
    const { nodes } = this.parts.process.reconciler.fleet();
    return [...nodes.values()]
      .filter((node) => node.pool === pool && node.phase.kind === "serving")
      .map(({ id }) => id);
  }

  /** The queue of the training pool, as its scheduler's own adapter would report it. */
  private async ask(): Promise<void> {
    const { process, clock } = this.parts;
    const jobs = trainingJobs(this.hour());
    const room = this.serving("training").length * GPUS.training;
    const now = clock.wallMs();
    await process.reconciler.change((work) => {
      const state = work.pool("training" as PoolConfig["name"]);
      if (state === null) return;
      const pendingJobs = Math.max(0, jobs - room);
      work.putPool({
        ...state,
        demand: { pendingJobs, queueDepth: jobs, observedAt: now, by: "day" },
      });
    });
  }

  private agent(id: string, pool: PoolName): Agent {
    const known = this.agents.get(id);
    if (known !== undefined) return known;
    const uuids = Array.from({ length: GPUS[pool] }, (_, i) => `GPU-${id}-${i}`);
    const agent: Agent = { ...newAgent(id), uuids };
    this.agents.set(id, agent);
    return agent;
  }

  /** Every machine that runs has an agent, busy by its share of what is asked for. */
  private async reportAll(): Promise<void> {
    const { clock, process, clouds } = this.parts;
    const pending: Promise<void>[] = [];
    const jobs = trainingJobs(this.hour());
    let left = jobs;
    const load = inferenceLoad(this.hour());
    for (const pool of POOLS) {
      const own = this.liveIn(pool).filter(({ state }) => state === "running");
      const spread = Math.min(100, (100 * load) / Math.max(1, own.length));
      for (const instance of own) {
        const id = instance.tags["navarch-node"] ?? "";
        const agent = this.agent(id, pool);
        const gpus = pool === "inference" ? 1 : Math.min(GPUS.training, Math.max(0, left));
        left -= gpus;
        agent.processes = gpus;
        const busy = pool === "inference" ? spread : (100 * gpus) / GPUS.training;
        pending.push(this.send(id, agent, busy));
      }
    }
    await clock.pass(20);
    await Promise.all(pending);
    process.reconciler.wakeUp();
    await clouds.quiet();
  }

  private async send(id: string, agent: Agent, busy: number): Promise<void> {
    const made = reportOf(id, agent, this.parts.clock.wallMs());
    const { sample, check } = made;
    const gpus = agent.uuids.length;
    const report: Report = {
      ...made,
      sample: sample && {
        ...sample,
        gpus: sample.gpus.map((gpu) => ({ ...gpu, utilization_percent: busy })),
      },
      check: check && { ...check, expected_gpus: gpus, present_gpus: gpus },
    };
    const answer = await this.parts.process.ingest.accept(report, id as NodeId);
    if (answer.kind !== "reply") return;
    agent.registered = !answer.reply.want_inventory;
    agent.spool = agent.spool.filter((one) => one.seq > answer.reply.ack_seq);
  }

  private liveIn(pool: PoolName): Instance[] {
    return this.cloud(pool === "training" ? "lambda" : "gcp").live();
  }

  /** What is really billed, step by step, and whether anything was bought beyond what is wanted. */
  private tally(): void {
    const { clock, process, config } = this.parts;
    const now = clock.monoMs();
    for (const pool of POOLS) {
      const live = this.liveIn(pool);
      if (pool === "training") this.real.lambdaMs += live.length * STEP_MS;
      else this.real.gcpMs += live.length * STEP_MS;
      const setting = config.pools.find(({ name }) => name === pool);
      if (setting === undefined) throw new Error(`no pool ${pool}`);
      const state = process.reconciler.fleet().pools.get(setting.name);
      const recent = (this.wanted.get(pool) ?? []).filter(({ at }) => now - at < 30 * MINUTE_MS);
      recent.push({ at: now, desired: desiredOf(setting, state) });
      this.wanted.set(pool, recent);
      const most = Math.max(...recent.map(({ desired }) => desired));
      const staying = live.filter(({ state }) => state !== "terminating").length;
      if (staying > setting.scaling.maxNodes) {
        this.broken.add(`${pool}: ${staying} machines, at most ${setting.scaling.maxNodes}`);
      }
      const isNew = live.some(({ id }) => !this.known.has(id));
      if (isNew && staying > most) {
        const when = `hour ${this.hour().toFixed(2)}`;
        this.broken.add(`${pool} overshoots at ${when}: ${staying} machines, ${most} wanted`);
      }
      for (const { id } of live) this.known.add(id);
    }
  }

  private sample(): void {
    const { process, config } = this.parts;
    const pools = Object.fromEntries(
      POOLS.map((pool) => [pool, this.samplePool(pool, config, process)]),
    ) as Sample["pools"];
    const of = (take: (cloud: Cloud) => number) => {
      return { lambda: take(this.cloud("lambda")), gcp: take(this.cloud("gcp")) };
    };
    this.samples.push({
      hour: this.hour(),
      pools,
      dollars: (this.real.lambdaMs / HOUR_MS) * LAMBDA_PRICE,
      calls: of(({ proxy }) => proxy.calls),
      refused: of(({ proxy }) => proxy.statuses.get(429) ?? 0),
    });
  }

  private samplePool(pool: PoolName, config: Config, process: Process): PoolSample {
    const setting = config.pools.find(({ name }) => name === pool);
    if (setting === undefined) throw new Error(`no pool ${pool}`);
    const live = this.liveIn(pool);
    const asked =
      pool === "training"
        ? Math.ceil(trainingJobs(this.hour()) / GPUS.training)
        : Math.ceil(inferenceLoad(this.hour()) / 0.6);
    return {
      asked,
      desired: desiredOf(setting, process.reconciler.fleet().pools.get(setting.name)),
      serving: this.serving(pool).length,
      live: live.length,
      staying: live.filter(({ state }) => state !== "terminating").length,
    };
  }

  async judge(errors: readonly string[]): Promise<Day> {
    for (const error of errors.slice(0, 5)) this.broken.add(`error: ${error}`);
    const { reconciler } = this.parts.process;
    for (const orphan of orphansIn(reconciler.fleet(), this.parts.clouds)) this.broken.add(orphan);
    const money = this.judgeMoney();
    const short = (pool: PoolName): number => {
      const { minutes, wrong } = longestShort(this.samples, pool, this.parts.hours);
      if (wrong !== null) this.broken.add(wrong);
      return minutes;
    };
    const { store } = this.parts.process;
    const query = { node: null, pool: null, since: null, after: 0, limit: 100_000 };
    const events = await store.events(query);
    const counts = (kind: string) => events.filter((event) => event.kind === kind).length;
    const callsOf = ({ proxy }: Cloud) => ({
      calls: proxy.calls,
      rateLimited: proxy.statuses.get(429) ?? 0,
      failed: [...proxy.statuses].reduce((sum, [status, n]) => sum + (status >= 500 ? n : 0), 0),
    });
    return {
      hours: this.parts.hours,
      samples: this.samples,
      ...money,
      calls: { lambda: callsOf(this.cloud("lambda")), gcp: callsOf(this.cloud("gcp")) },
      shortMinutes: { training: short("training"), inference: short("inference") },
      purchases: counts("node.booting"),
      replaced: counts("node.replaced"),
      broken: [...this.broken],
    };
  }

  /** The product's account against what really ran, from the first minute on. */
  private judgeMoney(): Pick<Day, "dollars" | "unknownHours"> {
    const { process, clock, config } = this.parts;
    const now = clock.wallMs();
    const whole = { from: dayOf(BEGIN).from, to: dayOf(now).to };
    const view = viewCost({ fleet: process.reconciler.fleet(), config, now }, whole);
    const at = (name: string) => view.providers.find((row) => row.name === name);
    const dollars = {
      counted: at("lambda")?.period ?? 0,
      real: (this.real.lambdaMs / HOUR_MS) * LAMBDA_PRICE,
    };
    const unknownHours = {
      counted: at("gcp")?.unknown_hours ?? 0,
      real: this.real.gcpMs / HOUR_MS,
    };
    for (const wrong of [
      differenceOf("dollars at lambda", dollars),
      differenceOf("instance-hours at gcp", unknownHours),
    ]) {
      if (wrong !== null) this.broken.add(wrong);
    }
    return { dollars, unknownHours };
  }
}
