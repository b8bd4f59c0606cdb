/**
 * Join tokens: an administrator creates, lists and revokes them. A machine joins with one and needs
 * no other credential for that call.
 */
import type { Context } from "hono";
import * as v from "valibot";
import type { ErrorCode } from "../../../schema/api.ts";
import { NodeId, PoolName } from "../../../schema/id.ts";
import {
  JOIN_PREFIX,
  JoinRequest,
  type JoinReply,
  WorkerJoinRequest,
  type JoinState,
  type JoinTokenView,
  formatJoinToken,
} from "../../../schema/join.ts";
import { positive } from "../../../schema/number.ts";
import { hashToken } from "../../security/auth.ts";
import type { Admission } from "../../security/join/admission.ts";
import type { JoinAnswer } from "../../security/join/joins.ts";
import type { Sight } from "../../security/join/place.ts";
import type { CountedToken } from "../../core/store-table.ts";
import { iso, isoOrNull } from "../view/node.ts";
import { refuse, durationOf, invalid, readAsked, readBody, Refusal, unknown } from "./request.ts";
import type { Env, RoutePorts, Route } from "./route.ts";
import { remoteOf, TOO_MANY, turnAway } from "./gate.ts";
import { LIMIT } from "../../../schema/limit.ts";
import { admissionOf } from "./gate.ts";
import type { Served } from "./release-folder.ts";

const TTL_DEFAULT = "1h";
/** Longer ones are passwords in scripts; a machine image that outlives one needs another way. */
const TTL_MS_MAX = 30 * 24 * 3_600_000;
const TTL_MS_MIN = 60_000;
const USES_MAX = 10_000;
/** Slot and generation (`nodeIdOf`). */
const OWN_NAME_END = /-\d+-\d+$/;

/** Kubernetes and DNS compare names without case, so names here must differ in more than case. */
function isOwnName(id: string, fleetId: string): boolean {
  return id.toLowerCase().startsWith(`${fleetId.toLowerCase()}-`) && OWN_NAME_END.test(id);
}

const NewJoinToken = v.strictObject({
  pool: PoolName,
  node: v.nullish(NodeId, null),
  uses: v.optional(v.pipe(positive, v.maxValue(USES_MAX)), 1),
  ttl: v.nullish(v.string(), null),
  label: v.optional(v.pipe(v.string(), v.maxLength(128)), ""),
});

function stateOf({ token, uses }: CountedToken, now: number): JoinState {
  if (token.revokedAt !== null) return "revoked";
  if (uses >= token.usesMax) return "used";
  return token.expiresAt <= now ? "expired" : "open";
}

function viewJoin(counted: CountedToken, now: number): JoinTokenView {
  const { token, uses } = counted;
  return {
    id: token.id,
    pool: token.pool,
    node_id: token.node,
    label: token.label,
    state: stateOf(counted, now),
    uses,
    uses_max: token.usesMax,
    created_at: iso(token.createdAt),
    created_by: token.createdBy,
    expires_at: iso(token.expiresAt),
    revoked_at: isoOrNull(token.revokedAt),
  };
}

/** One of the two requests, by the token that it carries. */
const AnyJoin = v.lazy((raw) => {
  const isWorker = typeof raw === "object" && raw !== null && "pod_token" in raw;
  return isWorker ? WorkerJoinRequest : JoinRequest;
});

async function joinWorker(
  c: Context<Env>,
  ports: RoutePorts,
  admission: Admission,
  body: WorkerJoinRequest,
): Promise<Response> {
  c.set("target", body.node_id);
  // Before the API server is asked: its answers are what a flood of guesses would cost.
  const waits = admission.logins.waits(remoteOf(c));
  if (waits !== null) return refuse(c, "rate_limited", TOO_MANY, {}, waits);
  const answer = await admission.workers.join(body, ports.agentPools, sightOf(ports));
  if (answer.kind === "unavailable") return refuse(c, "unavailable", answer.message);
  c.set("who", answer.pod === null ? "anonymous" : `pod:${answer.pod}`);
  if (answer.kind === "refused") {
    // The holder of no valid token is a stranger that guesses; the reason names no secret.
    const wait = answer.stranger ? (admission.logins.failed(remoteOf(c)) ?? null) : null;
    if (wait !== null) return refuse(c, "rate_limited", TOO_MANY, {}, wait);
    return refuse(c, answer.stranger ? "unauthenticated" : "permission_denied", answer.message);
  }
  const { node, credential, again } = answer;
  c.set("target", node);
  const server_time = iso(ports.clock.wallMs());
  const reply: JoinReply = { node_id: node, credential, server_time };
  return c.json(reply, again ? 200 : 201);
}

function whoOf(answer: JoinAnswer): string {
  const token = answer.kind === "unavailable" ? null : answer.token;
  return token === null ? "anonymous" : `join:${token}`;
}

function sightOf({ reconciler }: RoutePorts): Sight {
  const { providers } = reconciler.activeConfig();
  return {
    node: (id) => reconciler.fleet().nodes.get(id) ?? null,
    isOwnName: (id) => isOwnName(id, reconciler.fleet().fleetId),
    nodeLike: (id) => reconciler.nodeLike(id),
    nodeOfProviderId: (id) =>
      providers.flatMap((one) => reconciler.nodeOfInstance(`${one.name}/${id}`) ?? []),
    nodeOfObject: (name) => reconciler.nodeOfObject(name),
  };
}

export const joinRoutes: readonly Route<RoutePorts & Served>[] = [
  {
    at: "GET /v1/join-tokens",
    access: "admin",
    act: ["get", "join_token"],
    says: "join tokens",
    run: async (c, ports) => {
      const now = ports.clock.wallMs();
      const all = await admissionOf(ports).joins.list();
      return c.json({ join_tokens: all.map((one) => viewJoin(one, now)) });
    },
  },
  {
    at: "POST /v1/join-tokens",
    access: "admin",
    act: ["create", "join_token"],
    body: NewJoinToken,
    status: [201],
    says: "create a join token: body `pool`, `node`, `uses`, `ttl`, `label`",
    run: async (c, ports) => {
      const { body, by, now } = await readAsked(c, ports, NewJoinToken);
      const { pool, node, uses, label } = body;
      const names = ports.reconciler.activeConfig().pools.map(({ name }) => String(name));
      if (!names.includes(pool)) {
        throw unknown("pool", pool, names);
      }
      if (node !== null && uses !== 1) return invalid("uses: a token for one node has one use");
      const lifeMs = durationOf("ttl", body.ttl ?? TTL_DEFAULT);
      if (lifeMs < TTL_MS_MIN || lifeMs > TTL_MS_MAX) return invalid("ttl: expected 1m to 720h");
      const secret = `${JOIN_PREFIX}${ports.newSecret().replace(/^nvt\./, "")}`;
      const made = await admissionOf(ports).joins.create({
        id: ports.newId(),
        hash: hashToken(secret),
        pool,
        node,
        label,
        usesMax: uses,
        createdAt: now,
        createdBy: by,
        expiresAt: now + lifeMs,
        revokedAt: null,
      });
      if (made === null)
        throw new Refusal("conflict", "too many join tokens are open: revoke some");
      c.set("target", made.id);
      const token = formatJoinToken(secret, ports.install?.key.fingerprint ?? null);
      return c.json({ ...viewJoin({ token: made, uses: 0 }, now), token }, 201);
    },
  },
  {
    at: "DELETE /v1/join-tokens/:id",
    access: "admin",
    act: ["revoke", "join_token"],
    says: "revoke a join token",
    run: async (c, ports) => {
      const id = c.req.param("id") ?? "";
      const ended = await admissionOf(ports).joins.revoke(id);
      if (ended === null) throw new Refusal("not_found", `no join token ${id}`);
      return c.json(viewJoin(ended, ports.clock.wallMs()));
    },
  },
  // For machines.
  {
    at: "POST /v1/agent/join",
    access: "join",
    act: ["join", "node"],
    rows: "repeated",
    bytesMax: LIMIT.joinBytesMax,
    body: AnyJoin,
    status: [200, 201],
    says: "a machine becomes a node",
    run: async (c, ports) => {
      const admission = admissionOf(ports);
      const body = await readBody(c, AnyJoin);
      if ("pod_token" in body) return joinWorker(c, ports, admission, body);
      const answer = await admission.joins.join(body, sightOf(ports), remoteOf(c));
      c.set("target", body.node_id);
      c.set("who", whoOf(answer));
      if (answer.kind === "unavailable") return refuse(c, "unavailable", answer.message);
      if (answer.kind === "refused") {
        // A caller without any token is a stranger that guesses, as with a wrong credential.
        if (answer.why === "unknown") return turnAway(c, ports, "unknown", null);
        const code: ErrorCode = answer.why === "gone" ? "gone" : "permission_denied";
        return refuse(c, code, answer.message);
      }
      const { node, credential, again } = answer;
      const server_time = iso(ports.clock.wallMs());
      c.set("target", node);
      return c.json(
        { node_id: node, credential, server_time } satisfies JoinReply,
        again ? 200 : 201,
      );
    },
  },
];
