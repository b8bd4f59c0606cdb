/**
 * The file format of saved activations, one JSON document a line: a header with the configuration,
 * each node once before the first activation that has it, the activations, and an end line that
 * proves that the file is complete. Pure.
 */
import * as v from "valibot";
import { Config } from "../../../schema/config.ts";
import { PROVIDER_TYPES } from "../../../schema/config/provider.ts";
import { NodeId, PoolName } from "../../../schema/id.ts";
import { Node, PoolState } from "../../../schema/node.ts";
import { amount, count, finite, INTEGER_MAX, positive } from "../../../schema/number.ts";
import { Operation } from "../../../schema/operation.ts";
import { Fact, factKey } from "../../../schema/safety.ts";
import type { Round } from "./activation.ts";
import type { Fleet, Sight } from "../fleet.ts";
import { REACHES_ANY } from "../reach.ts";
import { sayPlan } from "../plan.ts";

export const SAVED_KIND = "navarch.activations";

const text = v.string();

const SavedWork = v.variant("kind", [
  v.object({ kind: v.literal("empty"), seenAt: finite }),
  v.object({
    kind: v.literal("busy"),
    remaining: count,
    message: text,
    deadlineAt: v.exactOptional(finite),
    paused: v.exactOptional(v.boolean()),
    jobs: v.exactOptional(v.array(text)),
  }),
  v.object({ kind: v.literal("unknown"), forMs: finite }),
  v.object({ kind: v.literal("dark"), message: text }),
]);

const SavedOffer = v.object({
  pricePerHour: v.nullable(finite),
  available: v.nullable(v.boolean()),
  availableSince: v.nullable(finite),
  seenAt: finite,
});

const SavedProvider = v.object({
  class: v.picklist(["token", "name", "tag-only"]),
  settleMs: amount,
  listed: v.boolean(),
  /** Absent in files of older releases. */
  unlooked: v.nullish(v.boolean(), false),
  unavailable: v.nullable(text),
  trouble: v.nullable(text),
  bringsAgent: v.boolean(),
  canReboot: v.boolean(),
  /** Absent in files of older releases. */
  reach: v.nullish(
    v.object({
      type: v.nullable(v.picklist(PROVIDER_TYPES)),
      account: v.nullable(text),
      region: v.nullable(text),
    }),
    REACHES_ANY,
  ),
  /** Absent in files of older releases. */
  offers: v.nullish(v.array(v.tuple([text, SavedOffer])), null),
});

const SavedKube = v.object({
  dark: v.nullable(text),
  known: v.boolean(),
  forbidden: v.boolean(),
  mirrorsCordon: v.boolean(),
  ambiguous: v.array(v.tuple([NodeId, text])),
});

const SavedQueue = v.object({
  pendingJobs: finite,
  queueDepth: finite,
  pendingGpus: finite,
  gpuDepth: finite,
  widePods: v.exactOptional(finite),
  widest: v.exactOptional(finite),
  observedAt: finite,
  source: text,
});

const SavedMetric = v.object({
  reading: v.nullable(v.object({ value: finite, at: finite })),
  problem: v.nullable(text),
});

const SavedSlurm = v.object({
  dark: v.nullable(text),
  known: v.boolean(),
  mirrorsCordon: v.boolean(),
  ambiguous: v.array(v.tuple([NodeId, text])),
});

/** Maps as lists of pairs, which keep their order whatever the keys look like. */
export const SavedSight = v.object({
  now: count,
  blind: v.array(text),
  attentiveMs: finite,
  work: v.array(v.tuple([NodeId, SavedWork])),
  utilization: v.array(v.tuple([NodeId, finite])),
  providers: v.array(v.tuple([text, SavedProvider])),
  frozen: v.nullable(text),
  /** Absent in activations of older releases, whose freezes stopped every cordon. */
  frozenAll: v.optional(v.boolean(), true),
  kube: v.nullable(SavedKube),
  slurm: v.nullish(SavedSlurm, null),
  keys: v.nullable(v.array(v.tuple([text, v.nullable(text)]))),
  queues: v.array(v.tuple([PoolName, SavedQueue])),
  tasks: v.nullish(v.array(v.tuple([PoolName, SavedQueue])), []),
  metrics: v.nullish(v.array(v.tuple([text, SavedMetric])), []),
});
type SavedSight = v.InferOutput<typeof SavedSight>;

export const SavedHeader = v.object({
  kind: v.literal(SAVED_KIND),
  format: v.literal(1, "expected format 1"),
  version: text,
  commit: text,
  taken_at: text,
  config: Config,
});
export type SavedHeader = v.InferOutput<typeof SavedHeader>;

const SavedRound = v.object({
  /** Compared as JSON, so that plans of older releases are accepted. */
  actions: v.array(v.looseObject({ kind: text })),
  waits: v.array(v.looseObject({ reason: text })),
  broken: v.array(v.tuple([v.nullable(text), text])),
});

export const SavedDecided = v.variant("kind", [
  v.object({ kind: v.literal("decided"), rounds: v.array(SavedRound) }),
  v.object({ kind: v.literal("failed"), message: text }),
]);
export type SavedDecided = v.InferOutput<typeof SavedDecided>;

export const SavedActivation = v.object({
  kind: v.literal("activation"),
  fleet_id: text,
  acts: v.boolean(),
  /** Places of its nodes among the node lines before it, counted from 0. */
  nodes: v.array(count),
  pools: v.array(PoolState),
  operations: v.array(Operation),
  facts: v.array(Fact),
  sight: SavedSight,
  decided: SavedDecided,
});
export type SavedActivation = v.InferOutput<typeof SavedActivation>;

export const SavedNode = v.object({ kind: v.literal("node"), node: Node });
export const SavedEnd = v.object({ kind: v.literal("end"), activations: positive });
export const SavedLine = v.variant("kind", [SavedNode, SavedActivation, SavedEnd]);

export function saveSight(sight: Sight): SavedSight {
  const { kube, slurm, keys } = sight;
  return {
    now: sight.now,
    blind: sight.blind,
    attentiveMs: bounded(sight.attentiveMs),
    work: [...sight.work].map(([node, work]) => [
      node,
      work.kind === "empty" ? { ...work, seenAt: bounded(work.seenAt) } : work,
    ]),
    utilization: [...sight.utilization],
    providers: [...sight.providers].map(([name, provider]) => [
      name,
      { ...provider, offers: provider.offers && [...provider.offers] },
    ]),
    frozen: sight.frozen,
    frozenAll: sight.frozenAll,
    kube: kube === null ? null : { ...kube, ambiguous: [...kube.ambiguous] },
    slurm: slurm === null ? null : { ...slurm, ambiguous: [...slurm.ambiguous] },
    keys: keys === null ? null : [...keys],
    queues: [...sight.queues],
    tasks: [...sight.tasks],
    metrics: [...sight.metrics],
  };
}

/** JSON has no infinity, which a simulated scheduler returns. */
function bounded(value: number): number {
  return Math.max(-INTEGER_MAX, Math.min(INTEGER_MAX, value));
}

export function readSight(saved: SavedSight): Sight {
  const { kube, slurm, keys } = saved;
  return {
    ...saved,
    work: new Map(saved.work),
    utilization: new Map(saved.utilization),
    providers: new Map(
      saved.providers.map(([name, { offers, ...one }]) => [
        name,
        { ...one, offers: offers && new Map(offers) },
      ]),
    ),
    kube: kube === null ? null : { ...kube, ambiguous: new Map(kube.ambiguous) },
    slurm: slurm === null ? null : { ...slurm, ambiguous: new Map(slurm.ambiguous) },
    keys: keys === null ? null : new Map(keys),
    queues: new Map(saved.queues),
    tasks: new Map(saved.tasks),
    metrics: new Map(saved.metrics),
  };
}

export function readFleet(saved: SavedActivation, nodes: readonly Node[]): Fleet {
  return {
    fleetId: saved.fleet_id,
    nodes: new Map(nodes.map((node) => [node.id, node])),
    pools: new Map(saved.pools.map((pool) => [pool.name, pool])),
    operations: new Map(saved.operations.map((operation) => [operation.id, operation])),
    facts: new Map(saved.facts.map((fact) => [factKey(fact), fact])),
  };
}

export function saveRounds(rounds: readonly Round[]): SavedDecided {
  const saved = rounds.map(({ plan, broken }) => ({ ...sayPlan(plan), broken: [...broken] }));
  return { kind: "decided", rounds: saved };
}
