/**
 * Any fleet of one pool of up to eight nodes, each in a slot of its own: what `decide` itself can
 * have made.
 */
import fc from "fast-check";
import type { InstanceId } from "../../schema/id.ts";
import type { Health, Node, Phase, PoolState } from "../../schema/node.ts";
import type { Fleet } from "../../reconciler/core/fleet.ts";
import { newHealth } from "../../reconciler/core/fold/new-node.ts";
import { newPoolState } from "../../reconciler/core/fold/new-pool.ts";
import { orderOf } from "./ask.ts";
import { agentOf, heldOf, instanceOf, nodeOf, sessionOf } from "./part.ts";

/** The instant around which everything happens. */
export const AROUND = 1_000_000;
const NOW = AROUND;
export const SIZE = 4;

/** Any phase, with instants around now. */
const since = fc.integer({ min: 0, max: NOW });
const purpose = fc.constantFrom(
  "replace",
  "scale_down",
  "operator",
  "failed",
  "surplus",
  "lost",
) as fc.Arbitrary<"replace">;
const phase: fc.Arbitrary<Phase> = fc.oneof(
  fc.record({
    kind: fc.constant("requested" as const),
    since,
    attempt: fc.integer({ min: 1, max: 4 }),
    notBefore: fc.integer({ min: 0, max: 2 * NOW }),
    refusal: fc.constant(null),
  }),
  fc.record({ kind: fc.constant("booting" as const), since }),
  fc.record({ kind: fc.constant("verifying" as const), since }),
  fc.record({ kind: fc.constant("serving" as const), since }),
  fc.record({ kind: fc.constant("suspect" as const), since }),
  fc.record({
    kind: fc.constant("draining" as const),
    since,
    deadlineAt: fc.constantFrom(0, NOW - 1, NOW + 60_000),
    drainedAt: fc.constantFrom(null, NOW - 5),
    sawWork: fc.boolean(),
    purpose,
  }),
  fc.record({
    kind: fc.constant("terminating" as const),
    since,
    purpose,
    accepted: fc.constantFrom(null, NOW - 70_000, NOW - 1_000),
    notBefore: fc.constantFrom(0, NOW + 5_000),
  }),
  fc.record({ kind: fc.constant("gone" as const), since, purpose }),
  fc.record({
    kind: fc.constant("held" as const),
    since,
    heldBy: fc.constant("ann"),
    why: fc.constant("x"),
  }),
);

const held = (result: "unhealthy" | "degraded", definitive: boolean): Health["held"][number] =>
  heldOf({ result, definitive, because: "XID 79" }, { code: 79 }, { key: "xid/79/GPU-0" });

const health: fc.Arbitrary<Health> = fc
  .record({
    result: fc.constantFrom("clean", "degraded", "unhealthy", "proof"),
    run: fc.integer({ min: 0, max: 4 }),
    checked: fc.boolean(),
    silent: fc.boolean(),
  })
  .map(({ result, run, checked, silent }) => {
    const list =
      result === "clean"
        ? []
        : [held(result === "degraded" ? "degraded" : "unhealthy", result === "proof")];
    const verdict =
      result === "clean"
        ? checked
          ? "healthy"
          : "unknown"
        : result === "degraded"
          ? "degraded"
          : "unhealthy";
    return {
      ...newHealth(),
      held: list,
      verdict,
      unhealthyRun: verdict === "unhealthy" ? Math.max(1, run) : 0,
      lastCountedAt: NOW - 20_000,
      lastCheckAt: checked ? NOW - 1_000 : null,
      silentSince: silent ? NOW - 90_000 : null,
    };
  });

const cordon = fc.constantFrom(
  null,
  { by: "navarch", why: "XID 79", at: 1 },
  { by: "navarch", why: "scale down: x", at: 1 },
);
const human = fc.constantFrom(null, null, null, { by: "human:ann", why: "mine", at: 1 });

const parts = fc.record({
  phase,
  health,
  product: cordon,
  human,
  instance: fc.constantFrom("running", "stopped", "terminated", "provisioning" as const),
  order: fc.constantFrom(null, null, "drain", "terminate", "replace" as const),
});

export const anyNodes: fc.Arbitrary<Node[]> = fc
  .array(parts, { minLength: 0, maxLength: 8 })
  .map((list) => list.map(nodeFrom));

function nodeFrom(one: typeof parts extends fc.Arbitrary<infer T> ? T : never, slot: number): Node {
  const { kind } = one.phase;
  const isNew = kind === "requested" || kind === "booting";
  const isLeaving = kind === "draining" || kind === "terminating";
  const isOrdered = one.order !== null && kind !== "gone" && !isNew;
  const owned = { id: `i-${slot}` as InstanceId, state: one.instance, pricePerHour: null };
  return nodeOf(`fleet-p-${slot}-${slot + 1}`, {
    slot,
    gen: slot + 1,
    phase: one.phase,
    agent: isNew ? null : agentOf(),
    health: one.health,
    // A node is only ever drained or ordered out behind a cordon.
    cordon: {
      product: one.product ?? (isLeaving ? { by: "navarch", why: "w", at: 1 } : null),
      human: isOrdered ? { by: "human:ann", why: "o", at: 1 } : one.human,
    },
    instance: kind === "requested" || kind === "gone" ? null : instanceOf(owned),
    session: kind === "suspect" || isLeaving ? sessionOf({ definitive: true }) : null,
    order:
      isOrdered && one.order !== null ? orderOf(one.order, { by: "ann", why: "o", at: 1 }) : null,
  });
}

export function fleetOfPool(list: readonly Node[], desired = SIZE): Fleet {
  const pool: PoolState = { ...newPoolState("p" as never, desired, 1), nextGen: 100 };
  return {
    fleetId: "fleet",
    nodes: new Map(list.map((n) => [n.id, n])),
    pools: new Map([[pool.name, pool]]),
    operations: new Map(),
    facts: new Map(),
  };
}
