/**
 * Draws a story's faults from its seed. GPU faults come at the rate that large fleets publish. All
 * other faults come more often than in reality, about equally often for small and large fleets.
 */
import type { Faults } from "../../../reconciler/provider/fake/fault.ts";
import type * as kube from "../../../simulator/cluster/fault.ts";
import type * as slurm from "../../world/slurm/fake.ts";
import type { SlurmAct } from "./sinks.ts";
import { type Fault, type HumanAct, nameOf, type ProviderEdit, type What } from "./fault.ts";
import type { Shape } from "./shape.ts";
import { openStream, type Stream } from "./stream.ts";

const MINUTE = 60_000;
const DAY = 86_400_000;
/** 3.8–6.5 failures per 1,000 node-days (docs/reference/safety.md#failure-rate). */
const XID_PER_NODE_DAY = 5 / 1_000;
/** Application faults come beside them, and must never cost a node. */
const FATAL = [79, 79, 48, 95, 94, 64, 74, 119, 154] as const;
const ANSWERS = ["refused", "ambiguous"] as const;
const HARMLESS = [13, 31, 43, 45] as const;

export type Dials = {
  days: number;
  /** Faults of all other kinds a day; 0 = GPU faults only. */
  troublesPerDay: number;
  /** GPU faults a day besides the published rate, for small fleets. */
  extraXidPerDay: number;
  /** Edits of the file's providers a day; absent = none. */
  editsPerDay?: number;
  /** Losses of the database, restores of backups and old copies put in place a day; absent = none. */
  restoresPerDay?: number;
};

export function drawFaults(shape: Shape, dials: Dials): Fault[] {
  const nodes = shape.pools.reduce((sum, pool) => sum + pool.size, 0);
  const endMs = dials.days * DAY;
  const faults: Fault[] = [];
  const come = (name: string, perDay: number, draw: (r: Stream) => What): void => {
    if (perDay <= 0) return;
    const r = openStream(shape.seed, name);
    for (let at = r.wait(DAY / perDay); at < endMs; at += r.wait(DAY / perDay)) {
      faults.push({ at: Math.floor(at), what: draw(r) });
    }
  };
  const who = (r: Stream): number => r.whole(0, 1_000_000);
  const xids = nodes * XID_PER_NODE_DAY + dials.extraXidPerDay;
  come("xid", xids, (r) => ({ kind: "xid", who: who(r), code: r.pick(FATAL) }));
  come("app", xids / 2, (r) => ({ kind: "xid", who: who(r), code: r.pick(HARMLESS) }));
  for (const [name, weight, draw] of TROUBLES) {
    come(name, (dials.troublesPerDay * weight) / TOTAL, (r) => draw(r, nodes));
  }
  come("edit", dials.editsPerDay ?? 0, drawEdit);
  come("state", dials.restoresPerDay ?? 0, drawState);
  const more = sinkTroubles(shape);
  const sum = more.reduce((total, [, weight]) => total + weight, 0);
  for (const [name, weight, draw] of more) {
    come(name, (dials.troublesPerDay * weight) / (2 * sum), (r) => draw(r, nodes));
  }
  if (shape.planes === 2) come("freeze", dials.troublesPerDay / 3, drawFreeze);
  // A third of the fleet's time.
  if (isInSlurm(shape)) come("job", 60 * nodes, drawJob);
  return faults.sort((a, b) => a.at - b.at || (nameOf(a.what) < nameOf(b.what) ? -1 : 1));
}

const EDITS: readonly ProviderEdit[] = ["renamed", "added", "reordered", "moved"];

const drawEdit = (r: Stream): What => {
  return { kind: "provider", edit: r.pick(EDITS), undoMs: r.whole(2, 60) * MINUTE };
};

const drawState = (r: Stream): What => {
  const downMs = r.whole(1, 20) * 5_000;
  if (r.chance(0.2)) return { kind: "database-lost", downMs };
  return { kind: "database-old", agoMs: r.whole(1, 60) * MINUTE, downMs, raw: r.chance(0.5) };
};

const isInSlurm = ({ sinks }: Shape): boolean => sinks === "slurm" || sinks === "both";

const drawJob = (r: Stream): What => {
  // A few outlast the drain of their node.
  const minutes = r.chance(0.02) ? r.whole(15, 90) : r.whole(1, 15);
  return { kind: "job", lastsMs: minutes * MINUTE, nodeCount: r.chance(0.1) ? 2 : 1 };
};

type SlurmFault = Partial<slurm.SlurmFault>;
type KubeFault = Partial<kube.KubeFault>;
type Draw = (r: Stream, nodes: number) => What;

const somebody = (r: Stream): number => r.whole(0, 1_000_000);

function cloud(name: string, weight: number, draw: (r: Stream) => Faults): [string, number, Draw] {
  return [
    `cloud:${name}`,
    weight,
    (r) => ({ kind: "cloud", name, forMs: r.whole(1, 20) * MINUTE, faults: draw(r) }),
  ];
}

function human(act: HumanAct, weight: number): [string, number, Draw] {
  return [
    `human:${act}`,
    weight,
    (r) => ({
      kind: "human",
      act,
      who: somebody(r),
      force: r.chance(0.3),
      undoMs: r.whole(5, 120) * MINUTE,
    }),
  ];
}

const TROUBLES: readonly [string, number, Draw][] = [
  [
    "storm",
    1,
    (r, nodes) => ({
      kind: "storm",
      who: somebody(r),
      count: Math.max(1, Math.floor(nodes * r.pick([0.05, 0.3, 0.6, 1]))),
      code: r.pick(FATAL),
      overMs: r.whole(0, 10) * MINUTE,
    }),
  ],
  ["silence", 3, (r) => ({ kind: "silence", who: somebody(r), forMs: r.whole(1, 60) * MINUTE })],
  [
    "cut",
    2,
    (r) => ({ kind: "cut", share: r.pick([0.2, 0.6, 1]), forMs: r.whole(1, 20) * MINUTE }),
  ],
  cloud("accepted-then-timeout", 2, () => ({ loseReply: { create: 0.5, terminate: 0.5 } })),
  cloud("ask-lost", 2, () => ({ loseAsk: { create: 0.5, terminate: 0.5 } })),
  cloud("late-short", 1, () => ({ lateLandingMs: 5_000, lateLanding: 0.7 })),
  cloud("late-long", 1, (r) => ({ lateLandingMs: r.whole(60, 600) * 1_000, lateLanding: 0.5 })),
  cloud("capacity", 2, () => ({ stockOut: true })),
  cloud("quota", 1, (r) => ({ refuse: { class: "quota", times: r.whole(1, 2) } })),
  cloud("429", 2, (r) => ({
    refuse: { class: "rate_limit", times: r.whole(1, 5), retryAfterMs: r.whole(1, 30) * 1_000 },
    refuseTerminate: { class: "rate_limit", times: r.whole(1, 3) },
  })),
  cloud("auth", 1, (r) => ({ refuse: { class: "auth", times: r.whole(1, 3) } })),
  cloud("5xx", 2, (r) => ({ loseAsk: { create: 1, terminate: 1 }, listFails: r.whole(1, 20) })),
  cloud("partial-list", 2, (r) => ({ partial: r.pick([0.1, 0.4, 0.7]) })),
  cloud("lagging-list", 2, (r) => ({ listLagMs: r.whole(5, 120) * 1_000 })),
  cloud("empty-list", 1, () => ({ emptyList: true })),
  cloud("duplicate-list", 1, () => ({ duplicateListing: true })),
  cloud("terminate-404", 1, (r) => ({ terminateNotFound: r.whole(1, 3) })),
  cloud("terminate-forgotten", 1, (r) => ({ terminateIgnored: r.whole(1, 3) })),
  ["console-delete", 2, (r) => ({ kind: "console-delete", who: somebody(r) })],
  [
    "plant",
    2,
    (r) => ({
      kind: "plant",
      mark: r.pick(["own", "copied", "foreign", "none"] as const),
      who: somebody(r),
    }),
  ],
  [
    "bad-machine",
    1,
    (r) => ({ kind: "bad-machine", code: r.pick(FATAL), afterMs: r.pick([0, 20_000, 600_000]) }),
  ],
  [
    "crash",
    6,
    (r) => ({
      kind: "crash",
      calls: r.whole(1, 40),
      side: r.pick(["before", "after"] as const),
      downMs: r.pick([5_000, 60_000, 600_000]),
    }),
  ],
  ["pause", 2, (r) => ({ kind: "pause", forMs: r.pick([20_000, 180_000, 3_600_000]) })],
  ["clock", 1, (r) => ({ kind: "clock", byMs: r.pick([-3_600_000, -30_000, 90_000, 3_600_000]) })],
  ["database-lost", 0.3, (r) => ({ kind: "database-lost", downMs: r.whole(1, 20) * 5_000 })],
  [
    "scheduler",
    1,
    (r) => ({
      kind: "scheduler",
      answers: Array.from({ length: r.whole(1, 4) }, () => r.pick(ANSWERS)),
    }),
  ],
  human("cordon", 2),
  human("uncordon", 1),
  human("drain", 1),
  human("terminate", 1),
  human("replace", 1),
  ["scale", 2, (r) => ({ kind: "scale", pool: r.whole(0, 9), by: r.pick([-3, -1, 1, 2, 5]) })],
  ["config", 1, () => ({ kind: "config" })],
];

function slurmctld(name: string, weight: number, fault: SlurmFault): [string, number, Draw] {
  return [
    `slurmctld:${name}`,
    weight,
    (r) => ({ kind: "slurmctld", name, forMs: r.whole(1, 40) * MINUTE, fault }),
  ];
}

function apiServer(name: string, fault: KubeFault): [string, number, Draw] {
  return [
    `api-server:${name}`,
    1,
    (r) => ({ kind: "api-server", name, forMs: r.whole(1, 20) * MINUTE, fault }),
  ];
}

function scontrol(act: SlurmAct, weight: number): [string, number, Draw] {
  return [
    `scontrol:${act}`,
    weight,
    (r) => ({ kind: "scontrol", act, who: somebody(r), undoMs: r.whole(5, 120) * MINUTE }),
  ];
}

/** Most calls of a leader are lists of its schedulers: those that write are sought out. */
const drawFreeze = (r: Stream): What => ({
  kind: "freeze",
  calls: r.whole(1, 20),
  side: r.pick(["before", "after"] as const),
  sort: r.pick(["any", "commit", "mark", "mark"] as const),
  forMs: r.pick([20_000, 45_000, 600_000]),
});

/** What only a fleet in a scheduler can meet: half as often as the others, and on top of them. */
function sinkTroubles({ sinks }: Shape): [string, number, Draw][] {
  return [
    ...(sinks === "slurm" || sinks === "both" ? SLURM_TROUBLES : []),
    ...(sinks === "kubernetes" || sinks === "both" ? KUBE_TROUBLES : []),
  ];
}

const SLURM_TROUBLES: readonly [string, number, Draw][] = [
  slurmctld("down", 3, { down: true }),
  slurmctld("lost-answers", 1, { lostAnswers: 0.4 }),
  slurmctld("lost-calls", 1, { lostCalls: 0.4 }),
  slurmctld("slow", 1, { latencyMs: 3_000 }),
  scontrol("drain", 4),
  scontrol("resume", 4),
  scontrol("down", 2),
  scontrol("take", 3),
  scontrol("reserve", 3),
  scontrol("reboot", 2),
];

const KUBE_TROUBLES: readonly [string, number, Draw][] = [
  apiServer("down", { down: true }),
  apiServer("hang", { hang: true }),
  apiServer("slow", { latencyMs: 3_000 }),
  apiServer("lost-answers", { lostAnswers: 0.5 }),
  apiServer("storm", { storms: [{ status: 503, probability: 0.6 }] }),
  apiServer("frozen-watch", { frozenWatch: true }),
  apiServer("late-watch", { watchLagMs: 20_000 }),
];

const TOTAL = TROUBLES.reduce((sum, [, weight]) => sum + weight, 0);
