/**
 * Asks `decide` about one node: a fleet of it and the others that a test names. Everything is
 * visible by default.
 */
import type { Plan } from "../../reconciler/core/plan.ts";
import type { Config, PoolConfig } from "../../schema/config.ts";
import type { Node, Phase, PoolState, Purpose } from "../../schema/node.ts";
import type { Operation } from "../../schema/operation.ts";
import type { Fact } from "../../schema/safety.ts";
import { decide } from "../../reconciler/core/decide/decide.ts";
import { REACHES_ANY } from "../../reconciler/core/reach.ts";
import type {
  DrainSight,
  KubeSight,
  OfferSight,
  ProviderSight,
  Sight,
  SlurmSight,
} from "../../reconciler/core/fleet.ts";
import { configOnce, poolYaml } from "./setting.ts";
import { alike } from "./alike.ts";
import { fleetOf, poolStateOf } from "./part.ts";
import {
  type SaidAction,
  type SaidPlan,
  type SaidWait,
  sayPlan,
} from "../../reconciler/core/plan.ts";

/** Late enough that a day before it is a time too. */
export const NOW = 1_000_000_000_000;

export function providerSightOf(over: Partial<ProviderSight> = {}): ProviderSight {
  return {
    class: "token" as unknown as ProviderSight["class"],
    settleMs: 0,
    listed: true,
    unavailable: null,
    unlooked: false,
    bringsAgent: true,
    canReboot: true,
    reach: REACHES_ANY,
    trouble: null,
    offers: new Map(),
    ...over,
  };
}

/** Every place of the provider at this price. */
export const priced = (pricePerHour: number) => ({
  offers: alike<string, OfferSight>({
    pricePerHour,
    available: null,
    availableSince: null,
    seenAt: NOW,
  }),
});

export const kubeSightOf = (over: Partial<KubeSight> = {}): KubeSight => ({
  dark: null,
  known: true,
  forbidden: false,
  mirrorsCordon: true,
  ambiguous: new Map(),
  ...over,
});

export const slurmSightOf = (over: Partial<SlurmSight> = {}): SlurmSight => ({
  dark: null,
  known: true,
  mirrorsCordon: true,
  ambiguous: new Map(),
  ...over,
});

export type View = Partial<Sight> & {
  /** Of every node, unless `work` says it of each. */
  left?: DrainSight;
  fake?: Partial<ProviderSight>;
};

export function sightOf({ left, fake, ...over }: View = {}): Sight {
  return {
    now: NOW,
    frozenAll: false,
    blind: [],
    attentiveMs: NOW,
    work: alike(left ?? { kind: "empty", seenAt: NOW }),
    utilization: new Map(),
    providers: new Map([["fake", providerSightOf(fake)]]),
    frozen: null,
    kube: null,
    slurm: null,
    keys: null,
    queues: new Map(),
    tasks: new Map(),
    metrics: new Map(),
    ...over,
  };
}

export type Setting = {
  others?: readonly Node[];
  /** Others that are stored before the node. */
  before?: readonly Node[];
  facts?: readonly Fact[];
  operations?: readonly Operation[];
  sight?: View;
  /** Wanted size; default 4. */
  desired?: number;
  state?: Partial<PoolState>;
  pool?: Partial<PoolConfig>;
  config?: Partial<Config>;
};

const BASE = configOnce(poolYaml(4));

/** Pool `p`, which may have from none to nine nodes and lose all of them at once. */
export function poolOf(over: Partial<PoolConfig> = {}): PoolConfig {
  const [pool] = BASE.pools;
  if (pool === undefined) throw new Error("no pool");
  const health = { ...pool.health, unhealthyThreshold: 1, maxUnavailable: ALL };
  const scaling = { ...pool.scaling, minNodes: 0, maxNodes: 9 };
  return { ...pool, health, scaling, ...over };
}

const ALL = { kind: "percent", percent: 100 } as const;
const LIMITS = { pool: ALL, domain: ALL, fleet: ALL };

/** Budgets are wide open, so that each test closes what it is about. */
export function settingOf(setting: Setting) {
  const { safety } = BASE;
  const budgets = {
    ...safety.budgets,
    isolate: { ...LIMITS, windowMs: 3_600_000 },
    drain: LIMITS,
    reboot: LIMITS,
    replace: LIMITS,
  };
  const pools = [poolOf(setting.pool)];
  return { ...BASE, pools, safety: { ...safety, budgets }, ...setting.config };
}

export function planOf(nodes: readonly Node[], setting: Setting = {}): SaidPlan {
  return sayPlan(barePlanOf(nodes, setting));
}

/** The same, with causes as codes. */
export function barePlanOf(nodes: readonly Node[], setting: Setting = {}): Plan {
  const state = poolStateOf(setting.desired ?? 4, setting.state);
  const fleet = fleetOf(nodes, setting.facts, [state], setting.operations);
  return decide(fleet, settingOf(setting), sightOf(setting.sight));
}

export type Told = {
  action: SaidAction | undefined;
  wait: Omit<SaidWait, "node" | "pool"> | undefined;
};

/** The node's one action, or its one wait. */
export function ask(node: Node, setting: Setting = {}): Told {
  const plan = planOf([...(setting.before ?? []), node, ...(setting.others ?? [])], setting);
  const waits = plan.waits.filter((wait) => wait.node === node.id);
  const actions = plan.actions.filter((action) => action.node === node.id);
  if (waits.length + actions.length > 1) throw new Error("more than one answer");
  const [wait] = waits;
  if (wait === undefined) return { action: actions[0], wait: undefined };
  const { reason, message, until } = wait;
  return { action: undefined, wait: { reason, message, until } };
}

/** What it waits for, as one line; `null` = it does something, or nothing at all. */
export const waitOf = (node: Node, setting: Setting = {}): string | null => {
  const { wait } = ask(node, setting);
  return wait === undefined ? null : `${wait.reason}: ${wait.message}`;
};

/** What is done, as one line: `advance draining replace`, `effect cordon`. */
export function stepOf(node: Node, setting: Setting = {}): string | null {
  const { action } = ask(node, setting);
  if (action === undefined) return null;
  if (action.kind === "effect") {
    const { payload } = action;
    return payload.kind === "drain" ? `drain ${payload.purpose}` : payload.kind;
  }
  if (action.kind === "admit") return "admit";
  const { to } = action;
  return "purpose" in to ? `${to.kind} ${to.purpose}` : to.kind;
}

export const drainingOf = (over: Partial<Extract<Phase, { kind: "draining" }>> = {}): Phase => ({
  kind: "draining",
  since: NOW - 1_000,
  deadlineAt: 0,
  drainedAt: null,
  purpose: "replace",
  sawWork: false,
  ...over,
});

export const endingOf = (
  purpose: Purpose = "replace",
  over: Partial<Extract<Phase, { kind: "terminating" }>> = {},
): Phase => ({
  kind: "terminating",
  since: NOW - 1_000,
  purpose,
  accepted: null,
  notBefore: 0,
  ...over,
});

export const goneOf = (purpose: Purpose, since = 0): Phase => ({ kind: "gone", since, purpose });

export const orderOf = (
  goal: "drain" | "terminate" | "replace",
  over: Partial<NonNullable<Node["order"]>> = {},
): NonNullable<Node["order"]> => ({
  goal,
  by: "human:ann",
  why: "ann wants it",
  force: false,
  at: NOW - 1_000,
  timeoutMs: null,
  ...over,
});

export const OURS = { product: { by: "navarch", why: "XID 48", at: 1 }, human: null };
export const THEIRS = { product: null, human: { by: "human:ann", why: "mine", at: 1 } };
