/**
 * Faults of AgentPools in a simulated cluster, as data, and how a story's are drawn from its seed.
 * Each carries every choice it needs; its target is a number that is resolved when it happens.
 */
import type { KubeFault } from "../../../simulator/cluster/fault.ts";
import { openStream, type Stream } from "../swarm/stream.ts";

const SECOND = 1_000;
const MINUTE = 60_000;

export type Autoscaler = {
  minReplicas: number;
  maxReplicas: number;
  minIdle: number;
  maxIdle: number;
  idleDecaySecond: number;
  killUnknownAfterSecond: number;
  defaultSlotsPerAgent: number;
};

export type PoolFault = { at: number; who: number; what: PoolTrouble };

export type PoolTrouble =
  | { kind: "edit"; scaler: Autoscaler }
  /** Another template; `recycles`: its annotation with it. */
  | { kind: "template"; recycles: boolean }
  /** `kubectl delete agentpool`, and the same name applied again. */
  | { kind: "remove"; drains: boolean; againMs: number }
  /** A person deletes a pod; `vanish`: without its grace; `relabel`: takes all labels from it. */
  | { kind: "kill" | "vanish" | "evict" | "fail" | "finish" | "relabel" }
  /** A pod that has no owner, or that a pool owns only by hand, or that another controller owns. */
  | { kind: "stranger"; owner: "none" | "pool" | "other" }
  | { kind: "silence"; forMs: number }
  | { kind: "die" | "fatal" }
  /** Every Node is cordoned, or images cannot be pulled. */
  | { kind: "cordon" | "image"; forMs: number }
  | { kind: "refuse"; forMs: number }
  | { kind: "api"; name: string; forMs: number; fault: Partial<KubeFault> }
  | { kind: "compact" }
  | { kind: "crash"; calls: number; side: "before" | "after"; forMs: number }
  | { kind: "freeze"; calls: number; side: "before" | "after"; forMs: number };

export function drawScaler(r: Stream): Autoscaler {
  const minReplicas = r.whole(0, 3);
  const minIdle = r.whole(0, 3);
  return {
    ...{ minReplicas, minIdle, maxReplicas: minReplicas + r.whole(2, 8) },
    maxIdle: minIdle + r.whole(0, 4),
    idleDecaySecond: r.pick([0, 5, 60]),
    killUnknownAfterSecond: r.pick([20, 60, 300]),
    defaultSlotsPerAgent: r.whole(1, 3),
  };
}

const api = (r: Stream): PoolTrouble => {
  const forMs = r.whole(5, 240) * SECOND;
  const [name, fault] = r.pick<[string, Partial<KubeFault>]>([
    ["down", { down: true }],
    ["hang", { hang: true }],
    ["slow", { latencyMs: r.whole(200, 20_000) }],
    ["lost answers", { lostAnswers: 0.5 }],
    ["429", { storms: [{ status: 429, probability: 0.7, retryAfterMs: 2_000 }] }],
    ["500", { storms: [{ status: 500, probability: 0.6 }] }],
    ["504", { storms: [{ status: 504, probability: 0.6, done: 0.5 }] }],
    ["frozen watch", { frozenWatch: true }],
    ["late watch", { watchLagMs: r.whole(1, 30) * SECOND }],
  ]);
  return { kind: "api", name, forMs, fault };
};

const death =
  (kind: "crash" | "freeze") =>
  (r: Stream): PoolTrouble => ({
    kind,
    calls: r.whole(0, 12),
    side: r.pick(["before", "after"]),
    // A frozen leader goes on when its lease is over.
    forMs: (kind === "freeze" ? r.whole(14, 120) : r.whole(0, 60)) * SECOND,
  });

type Draw = (r: Stream) => PoolTrouble;

const TROUBLES: readonly [name: string, weight: number, Draw][] = [
  ["edit", 6, (r) => ({ kind: "edit", scaler: drawScaler(r) })],
  ["template", 2, (r) => ({ kind: "template", recycles: r.chance(0.5) })],
  [
    "remove",
    2,
    (r) => ({ kind: "remove", drains: r.chance(0.5), againMs: r.whole(0, 300) * SECOND }),
  ],
  ...(["kill", "vanish", "evict", "fail", "finish", "relabel"] as const).map(
    (kind): [string, number, Draw] => [kind, 2, () => ({ kind })],
  ),
  ["stranger", 2, (r) => ({ kind: "stranger", owner: r.pick(["none", "pool", "other"]) })],
  ["silence", 4, (r) => ({ kind: "silence", forMs: r.whole(5, 600) * SECOND })],
  ["die", 2, () => ({ kind: "die" })],
  ["fatal", 2, () => ({ kind: "fatal" })],
  ["cordon", 1, (r) => ({ kind: "cordon", forMs: r.whole(1, 10) * MINUTE })],
  ["image", 1, (r) => ({ kind: "image", forMs: r.whole(1, 40) * MINUTE })],
  ["refuse", 2, (r) => ({ kind: "refuse", forMs: r.whole(10, 300) * SECOND })],
  ["api", 8, api],
  ["compact", 3, () => ({ kind: "compact" })],
  ["crash", 5, death("crash")],
];

export type Dials = { hours: number; troublesPerHour: number; planes: 1 | 2 };

export function drawPoolFaults(seed: number, dials: Dials): PoolFault[] {
  const { hours, troublesPerHour, planes } = dials;
  const freeze: [string, number, Draw] = ["freeze", 8, death("freeze")];
  const all = planes === 2 ? [...TROUBLES, freeze] : TROUBLES;
  const total = all.reduce((sum, [, weight]) => sum + weight, 0);
  const faults = all.flatMap(([name, weight, draw]) => {
    const r = openStream(seed, name);
    const mean = (60 * MINUTE * total) / (troublesPerHour * weight);
    const list: PoolFault[] = [];
    for (let at = r.wait(mean); at < hours * 60 * MINUTE; at += r.wait(mean)) {
      list.push({ at: Math.floor(at), who: r.whole(0, 1_000_000), what: draw(r) });
    }
    return list;
  });
  return faults.sort((a, b) => a.at - b.at || (a.what.kind < b.what.kind ? -1 : 1));
}
