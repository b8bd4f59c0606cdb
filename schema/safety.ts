/**
 * Durable facts of the safety limits beyond nodes and pools, one row each; a fact with the same key
 * replaces the first. A restart or the next leader continues from them
 * (docs/reference/safety.md#sessions). Instants are wall milliseconds.
 */
import * as v from "valibot";
import { CostFact } from "./cost.ts";
import { amount, count, instant } from "./number.ts";
import { CampaignFact, UpgradingFact } from "./upgrade.ts";

const text = v.string();

/** `open` is restrained with a known cause (docs/reference/safety.md#breaker). */
export const BREAKER_STATES = ["restrained", "open", "half-open"] as const;
export type BreakerState = (typeof BREAKER_STATES)[number];

/** What the sessions of a burst share (docs/reference/safety.md#common-cause). */
export const Cause = v.object({
  attribute: v.picklist(["rule", "agent", "driver", "zone", "rack", "provider"]),
  value: text,
  /** Share of the burst's sessions, and of the scope's nodes, that have the value; 0…1. */
  ofSessions: amount,
  ofNodes: amount,
});
export type Cause = v.InferOutput<typeof Cause>;

/** What a freeze stops, in one sentence: the same in help, output, explain, console and docs. */
export function sayFreezeEffect(all: boolean): string {
  const stops = "Navarch drains, reboots, replaces, terminates and buys nothing";
  if (all) return `${stops}, and cordons nothing: a node that breaks keeps taking work.`;
  return `${stops}; it still cordons a node with a definitive fault.`;
}

/** `unsupported`: this kind of provider cannot show machines of other fleets. */
export const LOOK_OUTCOMES = ["seen", "failed", "unsupported"] as const;

/** Machines of one other fleet; none = it was seen before, and is not any more. */
export const StrangeFleet = v.object({
  fleet: text,
  count: count,
  /** US dollars of those with a known price, and how many have none. */
  perHour: amount,
  unpriced: count,
  /** The first of them. */
  machines: v.array(v.object({ id: text, type: text, region: v.nullable(text) })),
});
export type StrangeFleet = v.InferOutput<typeof StrangeFleet>;

export const Fact = v.variant("kind", [
  /** A person froze the fleet. `until` `null` = until unfrozen. */
  v.object({
    kind: v.literal("freeze"),
    by: text,
    why: text,
    at: instant,
    until: v.nullable(instant),
    /** Cordons stop too; absent = no. */
    all: v.optional(v.boolean()),
  }),
  /** A scope with more faults than its hardware explains. Absent = closed. */
  v.object({
    kind: v.literal("breaker"),
    /** `fleet`, `pool:<name>` or `domain:<domain>`. */
    scope: text,
    state: v.picklist(BREAKER_STATES),
    /** Since when in this state. */
    since: instant,
    /** The last time at which arrivals were not plausible. */
    trippedAt: instant,
    why: text,
    cause: v.nullable(Cause),
    /** Half-open: how many may be out, since when, and how many batches passed before. */
    batch: count,
    batchAt: instant,
    passed: count,
    /** Arrivals when the cause was last looked for. */
    looked: v.nullish(count, 0),
  }),
  /** Confirmed hardware failures against exposure, both decaying: the learned rate. */
  v.object({
    kind: v.literal("rate"),
    failures: amount,
    nodeDays: amount,
    at: instant,
  }),
  /** When a rule, agent or driver version was first seen in this fleet. */
  v.object({
    kind: v.literal("seen"),
    attribute: v.picklist(["rule", "agent", "driver"]),
    value: text,
    at: instant,
  }),
  /** A rule whose verdicts do not count, `<name>@<version>`. */
  v.object({ kind: v.literal("quarantine"), rule: text, at: instant, why: text }),
  /** An agent version to which a burst was traced; its reports are discarded. */
  v.object({ kind: v.literal("discredited"), agent: text, at: instant, why: text }),
  /** A person trusts this version of a rule: it is not suspended again. */
  v.object({ kind: v.literal("trusted"), rule: text, by: text, at: instant, why: text }),
  /** Since when this store belongs to the fleet: first activation, or restore of a backup. */
  v.object({
    kind: v.literal("record"),
    since: instant,
    /** Machines by provider that a restored backup knew, until a list of the provider counts. */
    knew: v.optional(v.record(text, count)),
  }),
  /** A provider at which nothing can be bought, or whose machines do not come up. */
  v.object({ kind: v.literal("impaired"), provider: text, why: text, at: instant }),
  /** A Node object without a node, which may still have our mark, taints or labels. */
  v.object({
    kind: v.literal("leaving"),
    uid: text,
    name: text,
    node: text,
    pool: v.nullable(text),
    at: instant,
  }),
  /** A place, a quota's scope or a provider at which purchases were refused; all pools share it. */
  v.object({
    kind: v.literal("rest"),
    /** A place's key, `quota:…` or `provider:…` (`reconciler/core/safety/rest.ts`). */
    scope: text,
    /** Refusals since a node of the place was last verified; a burst counts once. */
    failures: count,
    notBefore: instant,
    /** Class, message and time of the last refusal. */
    class: text,
    message: text,
    at: instant,
    /** A purchase was accepted since, so purchases are no longer tried one at a time. */
    isOpen: v.boolean(),
  }),
  /** An instance billed long after its termination was requested: the alarm was raised. */
  v.object({ kind: v.literal("billed"), instance: text, at: instant }),
  /** Hardware that failed and may come back under another instance id. */
  v.object({
    kind: v.literal("lemon"),
    /** GPU UUID, the key. */
    uuid: text,
    serial: v.nullable(text),
    sessions: count,
    firstAt: instant,
    lastAt: instant,
    because: text,
    /** Newest last, bounded. */
    nodes: v.array(text),
    instances: v.array(text),
    provider: text,
    place: text,
    /** How often it was returned and refused. */
    refused: count,
  }),
  /** The configuration that the leader last ran with. */
  v.object({ kind: v.literal("config"), hash: text, policy: text, at: instant, by: text }),
  /** A pool that a person removed from the configuration: its nodes are drained and terminated. */
  v.object({
    kind: v.literal("removed_pool"),
    pool: text,
    by: text,
    at: instant,
    /** Its last configuration, and those of the providers of its nodes; other versions read it. */
    config: v.unknown(),
    providers: v.array(v.unknown()),
  }),
  /**
   * What the look for machines of other fleets with the pool's name found, before the first
   * purchase of the pool at the provider.
   */
  v.object({
    kind: v.literal("strangers"),
    pool: text,
    provider: text,
    outcome: v.picklist(LOOK_OUTCOMES),
    /** Why nothing was seen; `null` = the provider answered. */
    why: v.nullable(text),
    /** Since when the outcome is this. */
    since: instant,
    fleets: v.array(StrangeFleet),
  }),
  /** A fleet whose machines a person left alone: they hold no pool. */
  v.object({ kind: v.literal("ignored_fleet"), fleet: text, by: text, at: instant }),
  /** The fleet that a person gave this store: a control plane of another id does not act for it. */
  v.object({ kind: v.literal("fleet"), id: text, by: text, at: instant }),
  CampaignFact,
  UpgradingFact,
  CostFact,
]);
export type Fact = v.InferOutput<typeof Fact>;
export type FactOf<K extends Fact["kind"]> = Extract<Fact, { kind: K }>;

/** The fields that make a row's key, after its kind. */
const KEY_FIELDS: { [K in Fact["kind"]]: readonly (keyof FactOf<K>)[] } = {
  freeze: [],
  rate: [],
  config: [],
  removed_pool: ["pool"],
  record: [],
  upgrade: [],
  upgrading: ["node"],
  breaker: ["scope"],
  seen: ["attribute", "value"],
  impaired: ["provider"],
  quarantine: ["rule"],
  leaving: ["uid"],
  rest: ["scope"],
  billed: ["instance"],
  discredited: ["agent"],
  trusted: ["rule"],
  lemon: ["uuid"],
  cost: ["provider", "pool", "month"],
  strangers: ["pool", "provider"],
  ignored_fleet: ["fleet"],
  fleet: [],
};

/** The row's key: at most one fact has it. */
export function factKey(fact: Fact): string {
  const fields: readonly string[] = KEY_FIELDS[fact.kind];
  return [fact.kind, ...fields.map((field) => Reflect.get(fact, field))].join(":");
}

/**
 * Facts by their keys, which name their kinds, and by kind beside it: each activation asks a dozen
 * kinds of hundreds of facts.
 */
export class FactMap extends Map<string, Fact> {
  readonly #kinds = new Map<Fact["kind"], Map<string, Fact>>();

  constructor(facts: Iterable<readonly [string, Fact]> = []) {
    super();
    for (const [key, fact] of facts) this.set(key, fact);
  }

  override set(key: string, fact: Fact): this {
    const kind = this.#kinds.get(fact.kind) ?? new Map<string, Fact>();
    this.#kinds.set(fact.kind, kind.set(key, fact));
    return super.set(key, fact);
  }

  override delete(key: string): boolean {
    const before = this.get(key);
    if (before !== undefined) this.#kinds.get(before.kind)?.delete(key);
    return super.delete(key);
  }

  override clear(): void {
    this.#kinds.clear();
    super.clear();
  }

  ofKind(kind: Fact["kind"]): readonly Fact[] {
    return this.#kinds.get(kind)?.values().toArray() ?? [];
  }
}

/** The facts of one kind, in the order in which their keys came. */
export function factsOf<K extends Fact["kind"]>(
  facts: ReadonlyMap<string, Fact>,
  kind: K,
): FactOf<K>[] {
  const isOfKind = (fact: Fact): fact is FactOf<K> => fact.kind === kind;
  if (facts instanceof FactMap) return facts.ofKind(kind).filter(isOfKind);
  return facts.values().filter(isOfKind).toArray();
}
