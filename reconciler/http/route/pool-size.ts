/**
 * The operations of an external autoscaler on a pool: set or change its size, remove named nodes,
 * read target and members. Each change is one transaction, judged inside it. A repeat with the
 * same `Idempotency-Key` changes nothing and returns the pool's current state.
 */
import type { Context } from "hono";
import * as v from "valibot";
import { withArticle } from "../../../schema/article.ts";
import type { PoolConfig } from "../../../schema/config.ts";
import type { NodeId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import { whole } from "../../../schema/number.ts";
import { unitOf, wantsDemand } from "../../core/scaling/demand.ts";
import { recall, remember } from "../../core/scaling/asked.ts";
import { remove, type Removed } from "../../core/scaling/removal.ts";
import { lower, refusal, resize, type Asking, type Resized } from "../../core/scaling/resize.ts";
import { isPowered } from "../../core/slurm/power-save.ts";
import type { UnitOfWork } from "../../core/unit-of-work.ts";
import { desiredOf } from "../../core/fleet.ts";
import { newPoolState } from "../../core/fold/new-pool.ts";
import { viewMembers } from "../view/member.ts";
import type { Env, RoutePorts, Route } from "./route.ts";
import { findNode } from "./find-node.ts";
import { locatePool, nodesOf, statusView } from "./pool.ts";
import { idempotencyKey, readAsked, reasonOrNone, Refusal, sayNear } from "./request.ts";

/** Longer lists are more likely a mistake. */
const REMOVED_MAX = 1_000;

const size = (least: number) =>
  v.pipe(
    whole("expected a whole number"),
    v.minValue(least, `expected a whole number from ${least}`),
    v.maxValue(1_000_000),
  );
const reason = reasonOrNone;
const clamp = v.optional(v.boolean(), false);

const Size = v.strictObject({ nodes: size(0), reason, clamp });
const Grow = v.strictObject({ by: size(1), reason, clamp });
/** `by`, as cluster autoscalers send it, or `to`, which is safe to repeat. */
const Shrink = v.pipe(
  v.strictObject({ by: v.optional(size(1)), to: v.optional(size(0)), reason }),
  v.check(({ by, to }) => (by === undefined) !== (to === undefined), "expected either by or to"),
);
const Remove = v.strictObject({
  nodes: v.pipe(
    v.array(v.pipe(v.string(), v.minLength(1), v.maxLength(256))),
    v.minLength(1, "expected at least one node"),
    v.maxLength(REMOVED_MAX),
  ),
  reason,
});

/** One request: a text that is the same for equal requests, and the judgement. */
type SizeRequest = {
  what: string;
  judge(asking: Asking, desired: number, work: UnitOfWork): Resized | Removed;
};

async function change<S extends v.GenericSchema<unknown, { reason: string }>>(
  c: Context<Env>,
  ports: RoutePorts,
  schema: S,
  requestOf: (body: v.InferOutput<S>) => SizeRequest,
): Promise<Response> {
  const pool = locatePool(c, ports);
  if (isPowered(pool)) {
    const message = `Slurm's power saving sizes pool ${pool.name} (slurm.power_save)`;
    const next = "submit a job, or change its nodes with scontrol update state=power_up|power_down";
    throw new Refusal("conflict", `${message}: ${next}`);
  }
  const { body, by, now } = await readAsked(c, ports, schema);
  const key = idempotencyKey(c);
  const request = requestOf(body);
  let answer: Resized | Removed | { kind: "repeated" } = { kind: "repeated" };
  await ports.reconciler.change((work) => {
    const state = work.pool(pool.name) ?? newPoolState(pool.name, pool.scaling.minNodes, now);
    const before = recall(state, key, request.what);
    if (before.kind === "done") return;
    if (before.kind === "other") {
      const message = `Idempotency-Key ${key} was used for: ${before.what}`;
      answer = refusal("conflict", message);
      return;
    }
    const nodes = nodesOf(ports, pool.name);
    const asking = { pool, state, nodes, by, reason: body.reason, now };
    answer = request.judge(asking, desiredOf(pool, state), work);
    if (answer.kind === "refused") return;
    for (const node of answer.nodes) work.putNode(node);
    work.putPool(remember(answer.state, key, request.what, now));
    work.tell(answer.events);
  });
  const result = answer as Resized | Removed | { kind: "repeated" };
  if (result.kind === "refused") throw new Refusal(result.code, result.message, result.details);
  const more =
    "removed" in result
      ? { removed: idsOf(result.removed), already_leaving: idsOf(result.already) }
      : {};
  return c.json({ ...statusView(ports, pool), ...more, warnings: sizeWarnings(pool) });
}

/** Warns that a pool has an autoscaler, which may change the size again. */
function sizeWarnings({ name, scaling }: PoolConfig): string[] {
  const { autoscaler } = scaling;
  if (autoscaler === null) return [];
  const by = wantsDemand(autoscaler) ? ` (by its queue, in ${unitOf(autoscaler)})` : "";
  const type = `${autoscaler.type} autoscaler${by}`;
  return [`pool ${name} has ${withArticle(type)}: it continues from this size, and may change it`];
}

function idsOf(nodes: readonly Node[]): string[] {
  return nodes.map((node) => node.id);
}

function removeNamed(
  ports: RoutePorts,
  asking: Asking,
  names: readonly string[],
  work: UnitOfWork,
): Resized | Removed {
  const sight = ports.reconciler.lastSight();
  if (sight === null) return refusal("unavailable", "no observations yet: retry later");
  const named = new Map<NodeId, Node>();
  for (const name of names) {
    const found = findNode(ports.reconciler.fleet().nodes, name);
    if (found === null) {
      const hint = sayNear(name, idsOf(asking.nodes));
      return refusal("not_found", `no node ${name}${hint}; nothing was removed`, { name });
    }
    if ("ambiguous" in found) {
      const message = `${name} names several nodes: ${found.ambiguous.join(", ")}`;
      return refusal("conflict", message, { name });
    }
    named.set(found.id, found);
  }
  const operation = (id: Parameters<UnitOfWork["operation"]>[0]) => work.operation(id);
  return remove({ ...asking, sight, operation }, [...named.values()]);
}

export const poolSizeRoutes: readonly Route<RoutePorts>[] = [
  {
    at: "PUT /v1/pools/:pool/size",
    access: "operator",
    act: ["resize", "pool"],
    body: Size,
    says: "set the size: body `nodes`, `clamp`",
    run: (c, ports) =>
      change(c, ports, Size, ({ nodes, clamp: cut }) => ({
        what: `size ${nodes}${cut ? " clamped" : ""}`,
        judge: (asking) => resize(asking, { nodes }, cut),
      })),
  },
  {
    at: "POST /v1/pools/:pool/grow",
    access: "operator",
    act: ["grow", "pool"],
    body: Grow,
    says: "raise the size: body `by`, `clamp`",
    run: (c, ports) =>
      change(c, ports, Grow, ({ by, clamp: cut }) => ({
        what: `grow ${by}${cut ? " clamped" : ""}`,
        judge: (asking) => resize(asking, { by }, cut),
      })),
  },
  {
    at: "POST /v1/pools/:pool/shrink-target",
    access: "operator",
    act: ["shrink", "pool"],
    body: Shrink,
    says: "lower the size without choosing nodes: body `by` or `to`",
    run: (c, ports) =>
      change(c, ports, Shrink, ({ by, to }) => ({
        what: by === undefined ? `lower to ${to}` : `lower by ${by}`,
        judge: (asking, desired) => lower(asking, to ?? desired - (by ?? 0)),
      })),
  },
  {
    at: "POST /v1/pools/:pool/remove",
    access: "operator",
    act: ["remove", "pool"],
    body: Remove,
    says: "remove named nodes: body `nodes`",
    run: (c, ports) =>
      change(c, ports, Remove, ({ nodes }) => ({
        what: `remove ${[...new Set(nodes)].toSorted().join(",")}`,
        judge: (asking, _desired, work) => removeNamed(ports, asking, nodes, work),
      })),
  },
  {
    at: "GET /v1/pools/:pool/members",
    access: "viewer",
    act: ["get", "pool"],
    says: "target size and nodes, for an external autoscaler",
    run: (c, ports) => {
      const pool = locatePool(c, ports);
      const state = ports.reconciler.fleet().pools.get(pool.name);
      return c.json(viewMembers(pool, state, nodesOf(ports, pool.name)));
    },
  },
];
