/**
 * The five operations on a pool's size that an autoscaler from outside needs: set it, grow it,
 * remove named nodes, lower it without deleting, and read target and members. Each change is one
 * transaction, judged inside it; said again under the same `Idempotency-Key` it changes nothing and
 * answers how the pool is now.
 */
import type { Context } from "hono";
import * as v from "valibot";
import { CommandId, type NodeId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import { whole } from "../../../schema/number.ts";
import { recall, remember } from "../../core/scaling/asked.ts";
import { remove, type Removed } from "../../core/scaling/removal.ts";
import { lower, refusal, resize, type Asking, type Resized } from "../../core/scaling/resize.ts";
import type { UnitOfWork } from "../../core/unit-of-work.ts";
import { desiredOf } from "../../core/fleet.ts";
import { newPoolState } from "../../core/fold/new-pool.ts";
import { viewMembers } from "../view/member.ts";
import type { App, Env, RoutePorts } from "./app.ts";
import { findNode } from "./find-node.ts";
import { locatePool, nodesOf, sizeWarnings, statusView } from "./pool-view.ts";
import { invalid, needs, readAsked, reasonOrNone, Refusal, sayNear } from "./request.ts";

/** Far more than one asks to lose at once; a list pasted by mistake is more likely. */
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
/** `by` as cluster autoscalers say it, or `to`, which may be said twice without harm. */
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

export function poolSizeRoutes(api: App, ports: RoutePorts): void {
  api.put("/pools/:pool/size", needs("operator"), (c) =>
    change(c, ports, Size, ({ nodes, clamp: cut }) => ({
      what: `size ${nodes}${cut ? " clamped" : ""}`,
      judge: (asking) => resize(asking, { nodes }, cut),
    })),
  );
  api.post("/pools/:pool/grow", needs("operator"), (c) =>
    change(c, ports, Grow, ({ by, clamp: cut }) => ({
      what: `grow ${by}${cut ? " clamped" : ""}`,
      judge: (asking) => resize(asking, { by }, cut),
    })),
  );
  api.post("/pools/:pool/shrink-target", needs("operator"), (c) =>
    change(c, ports, Shrink, ({ by, to }) => ({
      what: by === undefined ? `lower to ${to}` : `lower by ${by}`,
      judge: (asking, desired) => lower(asking, to ?? desired - (by ?? 0)),
    })),
  );
  api.post("/pools/:pool/remove", needs("operator"), (c) =>
    change(c, ports, Remove, ({ nodes }) => ({
      what: `remove ${[...new Set(nodes)].toSorted().join(",")}`,
      judge: (asking, _desired, work) => removeNamed(ports, asking, nodes, work),
    })),
  );
  api.get("/pools/:pool/members", needs("viewer"), (c) => {
    const pool = locatePool(c, ports);
    const state = ports.reconciler.fleet().pools.get(pool.name);
    return c.json(viewMembers(pool, state, nodesOf(ports, pool.name)));
  });
}

/** What one request asks for: in words that tell equal ones, and how it is judged. */
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
  const { body, by, now } = await readAsked(c, ports, schema);
  const key = v.safeParse(v.optional(CommandId), c.req.header("Idempotency-Key"));
  if (!key.success) return invalid(`Idempotency-Key: ${key.issues[0].message}`);
  const request = requestOf(body);
  let answer: Resized | Removed | { kind: "told" } = { kind: "told" };
  await ports.reconciler.change((work) => {
    const state = work.pool(pool.name) ?? newPoolState(pool.name, pool.scaling.minNodes, now);
    const before = recall(state, key.output ?? null, request.what);
    if (before.kind === "done") return;
    if (before.kind === "other") {
      const message = `Idempotency-Key ${key.output} was used for: ${before.what}`;
      answer = refusal("conflict", message);
      return;
    }
    const nodes = nodesOf(ports, pool.name);
    const asking = { pool, state, nodes, by, reason: body.reason, now };
    answer = request.judge(asking, desiredOf(pool, state), work);
    if (answer.kind === "refused") return;
    for (const node of answer.nodes) work.putNode(node);
    work.putPool(remember(answer.state, key.output ?? null, request.what, now));
    work.tell(answer.events);
  });
  return say(c, ports, pool, answer);
}

function say(
  c: Context<Env>,
  ports: RoutePorts,
  pool: Asking["pool"],
  answer: Resized | Removed | { kind: "told" },
): Response {
  if (answer.kind === "refused") {
    throw new Refusal(answer.code, answer.message, answer.details);
  }
  const more =
    "removed" in answer
      ? { removed: idsOf(answer.removed), already_leaving: idsOf(answer.already) }
      : {};
  return c.json({ ...statusView(ports, pool), ...more, warnings: sizeWarnings(pool) });
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
