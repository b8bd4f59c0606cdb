/**
 * Control planes that serve AgentPools, one of which leads by the product's own lease: store,
 * lease, cluster adapter and actor are the product's. The leader can be killed at any of its calls,
 * or frozen there and go on under the next one.
 */
import { AgentPoolActor, type WorkerNode } from "../../../reconciler/agentpool/actor.ts";
import { openPoolCluster } from "../../../reconciler/agentpool/cluster.ts";
import type { Clock } from "../../../reconciler/core/clock.ts";
import type { KubeApi } from "../../../reconciler/kubernetes/api.ts";
import { openLibsqlStore } from "../../../reconciler/store/libsql.ts";
import type { NodeId } from "../../../schema/id.ts";
import { settle } from "../../../simulator/engine/clock.ts";
import type { MemoryDatabase } from "../../../simulator/engine/sql.ts";
import { CrashInjector } from "../../world/crash-injector.ts";
import { Seat } from "../swarm/seat.ts";

export const SILENT_MS = 15_000;
/** What a frozen leader had begun ends within this, once it goes on. */
const FADING_MS = 30_000;

export type PlanePorts = {
  clock: Clock;
  api: KubeApi;
  database: MemoryDatabase;
  random(): number;
  /** At level warn and error. */
  log(line: string): void;
  /** GPU faults, by name of the pod. */
  isFatal(node: string): boolean;
};

type Heard = { at: number; uid: string };

/** One process that leads. */
export class Leader {
  readonly actor: AgentPoolActor;
  readonly heard = new Map<string, Heard>();
  readonly seat: Seat;
  readonly injector: CrashInjector;

  private constructor(from: {
    actor: AgentPoolActor;
    seat: Seat;
    injector: CrashInjector;
    heard: Map<string, Heard>;
  }) {
    this.actor = from.actor;
    this.seat = from.seat;
    this.injector = from.injector;
    this.heard = from.heard;
  }

  static async open(ports: PlanePorts, seat: Seat): Promise<Leader> {
    const { database, api, random, log, isFatal } = ports;
    const { clock } = seat;
    const injector = new CrashInjector();
    const client = () => injector.client(database.client());
    const clients = { writer: client(), reader: client() };
    const store = await openLibsqlStore({ url: "http://memory", now: clock.wallMs(), clients });
    const heard = new Map<string, Heard>();
    const say = (level: string, message: string, fields?: unknown): void => {
      if (level !== "warn" && level !== "error") return;
      if (!injector.dead) log(`${message} ${JSON.stringify(fields ?? {})}`);
    };
    const cluster = openPoolCluster({
      ...{ api: injector.kube(api), clock, random, log: say, namespaces: [], instance: "sim" },
    });
    const actor = await AgentPoolActor.open({
      ...{ cluster, clock, random, log: say, table: seat.led(store).workerTable() },
      review: () => Promise.resolve({ kind: "unknown", problem: "" }),
      leads: () => seat.permit.leads(),
      syncMs: 60_000,
      agent(node) {
        const known = heard.get(node);
        if (known === undefined) return null;
        const isSilent = clock.monoMs() - known.at > SILENT_MS;
        return { isHeard: true, isSilent, isFatal: isFatal(node) };
      },
      workerNodes: () => [...heard].map(([id, { uid }]): WorkerNode => ({ id: id as NodeId, uid })),
      retire: async (nodes) => nodes.forEach(({ id }) => heard.delete(id)),
      push: () => undefined,
    });
    actor.start();
    return new Leader({ actor, seat, injector, heard });
  }
}

export class Planes {
  private readonly ports: PlanePorts;
  private seat: Seat | null = null;
  private current: Leader | null = null;
  private opening: Promise<void> | null = null;
  private stale: (() => void) | null = null;
  private downUntil = 0;
  lives = 0;
  freezes = 0;
  crashes = 0;

  constructor(ports: PlanePorts) {
    this.ports = ports;
  }

  /** The process that leads and is not frozen, if there is one. */
  get leader(): Leader | null {
    const { current } = this;
    return current !== null && !current.injector.dead && current.seat.leads ? current : null;
  }

  /** A dead process is replaced, and a candidate waits for the lease. */
  tend(): void {
    const { current, ports } = this;
    if (current !== null && (current.injector.dead || current.seat.isOver)) {
      if (current.injector.dead) this.crashes++;
      this.end(current);
      this.current = null;
    }
    const isDown = ports.clock.monoMs() < this.downUntil;
    if (this.current !== null || this.opening !== null || isDown) return;
    this.opening = this.open().finally(() => (this.opening = null));
  }

  private async open(): Promise<void> {
    const { ports } = this;
    const named = `plane-${this.lives + 1}`;
    this.seat ??= await Seat.take(ports.clock, ports.database.client(), named);
    await settle();
    if (this.seat.isOver) {
      this.seat.leave();
      this.seat = null;
    }
    if (this.seat?.leads !== true) return;
    this.current = await Leader.open(ports, this.seat);
    this.seat = null;
    this.lives++;
  }

  /** It dies at its n-th call from now. */
  crash(calls: number, side: "before" | "after", forMs: number): void {
    this.leader?.injector.arm(calls + 1, side);
    this.downUntil = this.ports.clock.monoMs() + forMs;
  }

  /** It stops at its n-th call from now, as by SIGSTOP, and goes on `forMs` later. */
  freeze(calls: number, side: "before" | "after", forMs: number, at: (what: string) => void): void {
    const { leader } = this;
    if (leader === null || this.stale !== null) return;
    const { injector, seat } = leader;
    const from = injector.count + calls + 1;
    const gate = Promise.withResolvers<void>();
    let isFrozen = false;
    injector.hold = ({ n, side: where, what }) => {
      if (!isFrozen && n >= from && where === (side === "before" ? "b" : "a")) {
        if (this.current !== leader || this.stale !== null) return null;
        isFrozen = true;
        this.freezes++;
        this.current = null;
        seat.clock.stop();
        at(what);
        this.stale = () => this.thaw(leader, gate.resolve);
        this.ports.clock.after(forMs, () => this.stale?.());
      }
      return isFrozen ? gate.promise : null;
    };
  }

  /** What it had begun comes first, and then its timers, which tell it that it lost the lead. */
  private thaw({ actor, seat, injector }: Leader, goOn: () => void): void {
    this.stale = null;
    goOn();
    const { clock } = this.ports;
    clock.after(1, () => seat.clock.goOn());
    clock.after(1_000, () => void actor.stop());
    clock.after(FADING_MS, () => {
      injector.dead = true;
      seat.leave();
    });
  }

  /** Nothing is frozen, and nothing dies, from here on. */
  calm(): void {
    this.stale?.();
    if (this.current !== null) this.current.injector.hold = null;
    this.downUntil = 0;
  }

  private end({ actor, seat, injector }: Leader): void {
    injector.dead = true;
    void actor.stop();
    seat.leave();
  }
}
