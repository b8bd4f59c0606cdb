/**
 * Tells one story of AgentPools from its seed: pools with callers, a list of faults, and a quiet
 * end in which all comes to rest. After each step the books are judged.
 */
import { VirtualClock } from "../../../simulator/engine/clock.ts";
import { nameOf, uidOf } from "../../../simulator/cluster/json.ts";
import type { KubeObject } from "../../../simulator/cluster/json.ts";
import { NO_FAULT } from "../../../simulator/cluster/fault.ts";
import * as say from "../../../simulator/cluster/status.ts";
import { MemoryDatabase } from "../../../simulator/engine/sql.ts";
import { migrate } from "../../../reconciler/store/migrate.ts";
import { openStream, type Stream } from "../swarm/stream.ts";
import { Books, type Broken, scalerOf } from "./books.ts";
import { ARRIVALS_MS, Callers } from "./caller.ts";
import { drawScaler, type PoolFault, type PoolTrouble } from "./fault.ts";
import { Ground, NAMESPACE, phaseOf } from "./ground.ts";
import { Planes, SILENT_MS } from "./plane.ts";

const STEP_MS = 2_000;
const HOUR = 3_600_000;
/** Faults are over, claims are given back; then what takes longest is a worker a minute. */
const CALM_MS = 45 * 60_000;
const REST_MS = 10 * 60_000;

export type PoolTold = {
  broken: (Broken & { at: number })[];
  totals: Books["totals"];
  lives: number;
  freezes: number;
  crashes: number;
  faults: number;
  lines: string[];
};

export type PoolShape = { seed: number; pools: number; hours: number };

export async function tellPools(
  { seed, pools, hours }: PoolShape,
  faults: readonly PoolFault[],
): Promise<PoolTold> {
  const story = new PoolStory(seed, pools);
  try {
    await story.tell(faults, hours * HOUR);
    return story.told(faults.length);
  } finally {
    story.close();
  }
}

class PoolStory {
  private readonly clock = new VirtualClock();
  private readonly database = MemoryDatabase.empty();
  private readonly r: Stream;
  private readonly arrivals: Stream;
  private readonly ground: Ground;
  private readonly books: Books;
  private readonly planes: Planes;
  private readonly callers: Callers;
  private readonly names: string[];
  private readonly lines: string[] = [];
  private readonly broken: (Broken & { at: number })[] = [];
  private isQuiet = false;

  constructor(seed: number, pools: number) {
    const { clock, database } = this;
    this.r = openStream(seed, "story");
    this.arrivals = openStream(seed, "callers");
    this.ground = new Ground(clock, openStream(seed, "cluster"), (write) => {
      if (write.resource === "pods") this.note(`${write.by} ${write.verb} ${write.name}`);
      this.books.wrote(write);
    });
    this.books = new Books(database, this.ground);
    this.planes = new Planes({
      ...{ clock, database, api: this.ground.kube, random: openStream(seed, "plane").next },
      log: (line) => this.note(line),
      isFatal: (node) => this.ground.agents.get(node)?.isFatal === true,
    });
    this.callers = new Callers({ ...this, r: openStream(seed, "claims") });
    this.names = Array.from({ length: pools }, (_, i) => `p${i}`);
    for (const name of this.names) this.ground.applyPool(name, drawScaler(this.r));
  }

  private note(line: string): void {
    this.lines.push(`${(this.clock.monoMs() / 1_000).toFixed(0)} s  ${line}`);
  }

  async tell(faults: readonly PoolFault[], endMs: number): Promise<void> {
    await migrate(this.database.client(), this.clock.wallMs());
    for (const name of this.names) this.arrive(name, endMs);
    for (const { at, who, what } of faults) {
      this.clock.after(at, () => {
        this.note(`${what.kind} ${JSON.stringify(what)}`);
        this.happen(what, who);
      });
    }
    await this.pass(endMs);
    this.calm();
    await this.pass(CALM_MS);
    this.isQuiet = true;
    this.books.judgeRest();
    const before = this.ground.kube.journal.filter(isPodWrite).length;
    await this.pass(REST_MS);
    const after = this.ground.kube.journal.filter(isPodWrite).length;
    if (after > before) this.blame("V35", `${after - before} pod writes at rest`);
    if (this.callers.open > 0) this.blame("V43", `${this.callers.open} callers are not answered`);
    this.judge();
  }

  private arrive(pool: string, endMs: number): void {
    const { clock, arrivals } = this;
    clock.after(arrivals.wait(ARRIVALS_MS), () => {
      if (clock.monoMs() > endMs) return;
      const count = arrivals.chance(0.1) ? arrivals.whole(2, 12) : 1;
      for (let i = 0; i < count; i++) this.callers.come(pool);
      this.arrive(pool, endMs);
    });
  }

  private async pass(ms: number): Promise<void> {
    const { clock, ground, planes, callers } = this;
    for (let left = ms; left > 0 && this.broken.length < 20; left -= STEP_MS) {
      await clock.pass(Math.min(left, STEP_MS));
      planes.tend();
      ground.tend();
      ground.report(planes.leader);
      callers.tend();
      this.judge();
    }
  }

  private judge(): void {
    const { books, clock } = this;
    books.judge(clock.monoMs(), clock.wallMs());
    for (const one of books.broken.splice(0)) this.blame(one.rule, one.message);
  }

  private blame(rule: string, message: string): void {
    this.note(`BROKEN ${rule}: ${message}`);
    this.broken.push({ rule, message, at: this.clock.monoMs() });
  }

  private happen(what: PoolTrouble, who: number): void {
    if (this.isQuiet) return;
    const { ground, planes } = this;
    const nth = (list: readonly KubeObject[]): KubeObject | undefined =>
      list[who % Math.max(1, list.length)];
    const pool = nth(ground.pools());
    const pod = nth(ground.pods().filter((one) => phaseOf(one) !== "Failed"));
    const until = "forMs" in what ? ground.now + what.forMs : 0;
    switch (what.kind) {
      case "edit":
        if (pool) ground.editPool(nameOf(pool), { spec: { autoscaler: what.scaler } });
        return;
      case "template":
        if (pool) this.changeTemplate(nameOf(pool), who, what.recycles);
        return;
      case "remove":
        if (pool) this.removePool(pool, what.drains, what.againMs);
        return;
      case "cordon":
        ground.cordonedUntil = until;
        return;
      case "image":
        ground.unpulledUntil = until;
        return;
      case "api":
        ground.kube.setFault({ ...NO_FAULT, ...what.fault });
        this.clock.after(what.forMs, () => ground.kube.setFault(NO_FAULT));
        return;
      case "refuse":
        this.refuse(what.forMs);
        return;
      case "compact":
        ground.kube.compact();
        ground.kube.endWatches({ kind: "expired" });
        return;
      case "crash":
        planes.crash(what.calls, what.side, what.forMs);
        return;
      case "freeze":
        planes.freeze(what.calls, what.side, what.forMs, (at) => this.note(`frozen at ${at}`));
        return;
      case "stranger":
        this.addStranger(what.owner, pool);
        return;
      default:
        if (pod !== undefined) this.hurt(what, pod);
    }
  }

  /** A pod or its agent; claims on it may end. */
  private hurt(what: PoolTrouble, pod: KubeObject): void {
    const { ground, books } = this;
    const name = nameOf(pod);
    if (name.startsWith("stranger")) return;
    const agent = ground.agents.get(name);
    if (what.kind === "relabel") {
      const labels = { app: null, group: null, "navarch.dev/agentpool": null };
      ground.kube.person.label("pods", NAMESPACE, name, labels);
      return;
    }
    if (what.kind !== "silence" || what.forMs > SILENT_MS - 5_000) {
      books.excused.set(name, what.kind);
    }
    if (what.kind === "kill") ground.remove(pod, false);
    else if (what.kind === "vanish") ground.remove(pod, true);
    else if (what.kind === "fail" || what.kind === "evict") {
      ground.status(pod, { phase: "Failed", reason: what.kind === "evict" ? "Evicted" : "Error" });
    } else if (what.kind === "finish") ground.status(pod, { phase: "Succeeded" });
    else if (what.kind === "silence" && agent) agent.silentUntil = ground.now + what.forMs;
    else if (what.kind === "die" && agent) agent.isDead = true;
    else if (what.kind === "fatal" && agent) agent.isFatal = true;
  }

  private changeTemplate(name: string, version: number, recycles: boolean): void {
    const containers = [{ name: "agent", image: `agent:${version}` }];
    const annotations = { "navarch.dev/recycle": recycles ? "OnIdle" : null };
    this.ground.kube.person.annotate("agentpools", NAMESPACE, name, annotations);
    this.ground.editPool(name, { spec: { template: { spec: { containers } } } });
  }

  private removePool(pool: KubeObject, drains: boolean, againMs: number): void {
    const { clock, ground, books } = this;
    const name = nameOf(pool);
    if (books.removed.has(uidOf(pool))) return;
    const annotations = { "navarch.dev/delete-policy": drains ? "Drain" : null };
    ground.kube.person.annotate("agentpools", NAMESPACE, name, annotations);
    books.removed.set(uidOf(pool), { drains });
    ground.kube.person.remove("agentpools", NAMESPACE, name);
    const scaler = scalerOf(pool);
    const again = (): void => {
      if (!ground.applyPool(name, scaler)) clock.after(10_000, again);
    };
    clock.after(againMs, again);
  }

  private refuse(forMs: number): void {
    const { kube } = this.ground;
    kube.admission = ({ verb, path }) => {
      const isPod = verb === "create" && path.endsWith("/pods");
      const message = 'pods "x" is forbidden: exceeded quota: compute';
      return isPod ? say.refused(403, "Forbidden", message) : null;
    };
    this.clock.after(forMs, () => (kube.admission = () => null));
  }

  private addStranger(kind: "none" | "pool" | "other", pool: KubeObject | undefined): void {
    const { ground, books } = this;
    if (kind === "none") ground.addStranger(null);
    else if (kind === "other") {
      const owner = { apiVersion: "apps/v1", kind: "ReplicaSet", name: "x", uid: "x" };
      ground.addStranger({ ...owner, controller: true });
    } else if (pool !== undefined) {
      const owner = { apiVersion: "velda.io/v1", kind: "AgentPool", controller: true };
      const name = ground.addStranger({ ...owner, name: nameOf(pool), uid: uidOf(pool) });
      books.excused.set(name, "stranger");
    }
  }

  /** All faults end. */
  private calm(): void {
    const { ground, planes, callers } = this;
    this.note("calm");
    ground.kube.setFault(NO_FAULT);
    ground.kube.admission = () => null;
    ground.cordonedUntil = 0;
    ground.unpulledUntil = 0;
    for (const agent of ground.agents.values()) agent.silentUntil = 0;
    planes.calm();
    callers.goHome();
  }

  told(faults: number): PoolTold {
    const { broken, lines } = this;
    const { lives, freezes, crashes } = this.planes;
    return { broken, totals: this.books.totals, lives, freezes, crashes, faults, lines };
  }

  close(): void {
    this.planes.calm();
    this.database.close();
  }
}

const isPodWrite = ({ resource, by }: { resource: string; by: string }): boolean =>
  resource === "pods" && by === "api";
