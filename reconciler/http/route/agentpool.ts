/**
 * AgentPools and claims: a claim is one slot of one worker in use. A claim that is asked for again
 * under its key, because the answer was lost, is answered as it is and takes no second slot.
 */
import type { Context } from "hono";
import * as v from "valibot";
import { CommandId } from "../../../schema/id.ts";
import { amount } from "../../../schema/number.ts";
import type { ClaimAnswer, PoolView, Refused } from "../../core/agentpool/service.ts";
import { summarize, viewAgentPool, viewAnswer, viewClaims } from "../view/agentpool.ts";
import type { Env, RoutePorts, Route } from "./route.ts";
import { durationOf, idempotencyKey, invalid, readAsked, Refusal, sayNear } from "./request.ts";

/** A job may run for weeks; what holds a slot for longer than a year is forgotten. */
const TTL_MS_MAX = 366 * 24 * 3_600_000;
const LABEL_CHARS_MAX = 256;

const Asked = v.strictObject({
  label: v.optional(
    v.pipe(
      v.string(),
      v.maxLength(LABEL_CHARS_MAX, `must have at most ${LABEL_CHARS_MAX} characters`),
      v.regex(/^[^\p{Cc}\p{Cs}]*$/u, "must have no control characters"),
    ),
    "",
  ),
  /** A duration such as `5m`, or seconds. */
  ttl: v.optional(v.union([v.pipe(v.string(), v.maxLength(64)), amount])),
  /** As the header `Idempotency-Key`: the claim's own id. */
  id: v.optional(CommandId),
});

type Asked = v.InferOutput<typeof Asked>;

/** All pools, where AgentPools are served. */
export function servedPools({ agentPools }: Pick<RoutePorts, "agentPools">): readonly PoolView[] {
  const why = agentPools.whyNot();
  if (why !== null) throw refusalOf(why);
  return agentPools.pools();
}

/** The pool that the path names. */
function locateAgentPool(c: Context<Env>, ports: RoutePorts): PoolView {
  const name = c.req.param("pool") ?? "";
  const namespace = c.req.param("namespace") ?? "";
  return agentPoolNamed(ports, namespace, name);
}

export function agentPoolNamed(ports: RoutePorts, namespace: string, name: string): PoolView {
  const all = servedPools(ports);
  const key = `${namespace}/${name}`;
  const view = ports.agentPools.pool(key);
  if (view !== null) return view;
  const why = ports.agentPools.whyNot(namespace);
  if (why !== null) throw refusalOf(why);
  const keys = all.map(({ pool }) => pool.key);
  const elsewhere = all.find(({ pool }) => pool.name === name);
  const there = elsewhere === undefined ? "" : ` (there is ${elsewhere.pool.key})`;
  throw new Refusal("not_found", `no AgentPool ${key}${there || sayNear(key, keys)}`);
}

const showPool = (c: Context<Env>, ports: RoutePorts): Response =>
  c.json(viewAgentPool(locateAgentPool(c, ports)));

async function claim(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  const { body, by } = await readAsked(c, ports, Asked);
  const id = idOf(c, body) ?? ports.newId();
  const { pool } = locateAgentPool(c, ports);
  const ttlMs = ttlOf(body);
  const { label } = body;
  const answer = await ports.agentPools.claim({ id, pool: pool.key, label, ttlMs, by });
  if (answer.kind === "refused") throw refusalOf(answer);
  const { claim: made } = answer;
  if (made.pool !== pool.key || made.label !== label) {
    const what = `a claim in ${made.pool} with label "${made.label}"`;
    throw new Refusal("conflict", `Idempotency-Key ${id} was used for: ${what}`);
  }
  c.set("detail", `claim ${id}`);
  c.header("Location", `/v1/claims/${encodeURIComponent(id)}`);
  const status = answer.kind === "running" ? 201 : answer.kind === "queued" ? 202 : 200;
  return c.json(viewAnswer(answer), status);
}

/** The claim's id, where the caller chooses it. */
function idOf(c: Context<Env>, { id: asked }: Asked): string | null {
  const given = asked ?? null;
  const key = idempotencyKey(c);
  if (key !== null && given !== null && key !== given) {
    return invalid(`id: ${given} is not the Idempotency-Key ${key}; give one of them`);
  }
  const id = key ?? given;
  // These are steps of a path and would name no claim.
  if (id === "." || id === "..") return invalid(`id: must not be ${id}`);
  return id;
}

function ttlOf({ ttl }: Asked): number | null {
  if (ttl === undefined) return null;
  const ms = typeof ttl === "number" ? Math.round(ttl * 1_000) : durationOf("ttl", ttl);
  if (ms < 1_000) return invalid("ttl: must be at least 1s; without ttl a claim does not expire");
  if (ms > TTL_MS_MAX) return invalid(`ttl: must be at most ${TTL_MS_MAX / 3_600_000}h`);
  return ms;
}

function found(id: string, answer: ClaimAnswer | null): Exclude<ClaimAnswer, Refused> {
  if (answer === null) {
    throw new Refusal("not_found", `no claim ${id}; ended claims are kept for a day`);
  }
  if (answer.kind === "refused") throw refusalOf(answer);
  return answer;
}

const refusalOf = ({ code, message }: Refused): Refusal => new Refusal(code, message);

export const agentPoolRoutes: readonly Route<RoutePorts>[] = [
  {
    at: "GET /v1/agentpools",
    access: "viewer",
    act: ["get", "agentpool"],
    isLeaders: true,
    says: "[AgentPools](reference/agentpool.md): pools of worker pods",
    run: (c, ports) => {
      return c.json({ pools: servedPools(ports).map(summarize) });
    },
  },
  {
    at: "GET /v1/agentpools/:namespace/:pool",
    access: "viewer",
    act: ["get", "agentpool"],
    isLeaders: true,
    says: "an AgentPool, why it does not grow, workers, claims",
    run: showPool,
  },
  // The path of its claims; pools of machines have `/v1/pools/:pool/status` before it in the table.
  {
    at: "GET /v1/pools/:namespace/:pool",
    access: "viewer",
    act: ["get", "agentpool"],
    isLeaders: true,
    says: "the same, unless `:pool` is `status`, `explain` or `members`, as of a pool of machines",
    run: showPool,
  },
  {
    at: "GET /v1/pools/:namespace/:pool/claims",
    access: "viewer",
    act: ["get", "agentpool"],
    isLeaders: true,
    says: "open claims of an AgentPool, in order of arrival",
    run: (c, ports) => {
      return c.json({ claims: viewClaims(locateAgentPool(c, ports)) });
    },
  },
  {
    at: "GET /v1/claims",
    access: "viewer",
    act: ["get", "claim"],
    isLeaders: true,
    says: "open claims of all AgentPools",
    run: (c, ports) => {
      return c.json({ claims: servedPools(ports).flatMap(viewClaims) });
    },
  },
  {
    at: "POST /v1/pools/:namespace/:pool/claims",
    access: "operator",
    act: ["claim", "agentpool"],
    body: Asked,
    status: [200, 201, 202],
    says:
      "take one slot: body `label`, `ttl` (`5m`, or seconds), `id`; 201 with `worker` and `slot` " +
      "or 202 with `position` and `because`; `id` or `Idempotency-Key` is the claim's id, " +
      "and asked again under it the same claim is answered",
    run: (c, ports) => claim(c, ports),
  },
  {
    at: "GET /v1/claims/:id",
    access: "viewer",
    act: ["get", "claim"],
    isLeaders: true,
    says: "a claim; ended ones are kept for a day",
    run: async (c, ports) => {
      const id = c.req.param("id") ?? "";
      return c.json(viewAnswer(found(id, await ports.agentPools.claimOf(id))));
    },
  },
  {
    at: "DELETE /v1/claims/:id",
    access: "operator",
    act: ["release", "claim"],
    says: "release a claim, or cancel a queued one; repeated, it stays ended",
    run: async (c, ports) => {
      const id = c.req.param("id") ?? "";
      const released = found(id, await ports.agentPools.release(id, c.get("principal").name));
      c.set("namespace", released.claim.pool.split("/")[0] ?? "");
      return c.json(viewAnswer(released));
    },
  },
];
