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
import type { App, Env, RoutePorts } from "./env.ts";
import {
  durationOf,
  idempotencyKey,
  invalid,
  needs,
  readAsked,
  Refusal,
  sayNear,
  takes,
} from "./request.ts";

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

export function agentPoolRoutes(api: App, ports: RoutePorts): void {
  const { agentPools } = ports;
  api.get("/agentpools", needs("viewer"), (c) => {
    return c.json({ pools: servedPools(ports).map(summarize) });
  });
  // The second path is the one of claims; pools of machines have `/pools/:pool/status` before it.
  for (const path of ["/agentpools/:namespace/:pool", "/pools/:namespace/:pool"]) {
    api.get(path, needs("viewer"), (c) => c.json(viewAgentPool(locateAgentPool(c, ports))));
  }
  api.get("/pools/:namespace/:pool/claims", needs("viewer"), (c) => {
    return c.json({ claims: viewClaims(locateAgentPool(c, ports)) });
  });
  api.get("/claims", needs("viewer"), (c) => {
    return c.json({ claims: servedPools(ports).flatMap(viewClaims) });
  });
  api.post("/pools/:namespace/:pool/claims", needs("operator"), takes(Asked), (c) =>
    claim(c, ports),
  );
  api.get("/claims/:id", needs("viewer"), async (c: Context<Env>) => {
    const id = c.req.param("id") ?? "";
    return c.json(viewAnswer(found(id, await agentPools.claimOf(id))));
  });
  api.delete("/claims/:id", needs("operator"), async (c: Context<Env>) => {
    const id = c.req.param("id") ?? "";
    const released = found(id, await agentPools.release(id, c.get("principal").name));
    c.set("namespace", released.claim.pool.split("/")[0] ?? "");
    return c.json(viewAnswer(released));
  });
}

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

async function claim(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  c.set("namespace", c.req.param("namespace") ?? "");
  c.set("target", c.req.param("pool") ?? "");
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
