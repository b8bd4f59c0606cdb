/**
 * Joining: a machine without a credential presents a short-lived join token once and receives its
 * own. Requests and replies travel between versions; the views are for people.
 */
import * as v from "valibot";
import { NodeId, PoolName } from "./id.ts";
import { InstantText } from "./instant.ts";
import { LIMIT } from "./limit.ts";
import { count, instant, positive } from "./number.ts";

const short = (max: number) => v.pipe(v.string(), v.maxLength(max));

export const JOIN_PREFIX = "nvj.";

/**
 * 256 bits in base64url, then the fingerprint of the control plane's key (hex). An agent sends the
 * first part; older agents send both.
 */
export const JoinSecret = v.pipe(
  v.string(),
  v.regex(
    /^nvj\.[A-Za-z0-9_-]{43}(\.[0-9a-f]{64})?$/,
    "must be nvj. and 43 characters, and may end in a dot and 64 hex digits",
  ),
);

/** `fingerprint` is `null` where the token has none. */
export function readJoinToken(token: string): { secret: string; fingerprint: string | null } {
  const [, secret = token, hex = null] = /^(nvj\.[^.]*)\.([0-9a-f]{64})$/.exec(token) ?? [];
  return { secret, fingerprint: hex === null ? null : `sha256:${hex}` };
}

export function formatJoinToken(secret: string, fingerprint: string | null): string {
  return fingerprint === null ? secret : `${secret}.${fingerprint.replace("sha256:", "")}`;
}

export const JoinRequest = v.object({
  token: JoinSecret,
  /** The id that the agent proposes; the reply has the id to use. */
  node_id: NodeId,
  /**
   * Chosen by the agent and stored before the request: a repeat with the same token and nonce is
   * the same join. At least 128 bits, because token and nonce together give the credential.
   */
  nonce: v.pipe(
    v.string(),
    v.regex(/^[A-Za-z0-9_-]{22,86}$/, "must be 22 to 86 of A-Z a-z 0-9 _ -"),
  ),
  agent_version: v.nullish(short(64), null),
  hostname: v.nullish(short(255), null),
  /** Identities that cannot be reused: cloud instance id, DMI system UUID. */
  provider_ids: v.nullish(v.pipe(v.array(short(256)), v.maxLength(8)), []),
});
export type JoinRequest = v.InferOutput<typeof JoinRequest>;

/** The compact form of a signed JWT (RFC 7515 §3.1). */
export const PodToken = v.pipe(
  short(LIMIT.podTokenCharsMax),
  v.regex(/^[\w-]+\.[\w-]+\.[\w-]+$/, "must be a service-account token"),
);

/** A worker pod of an AgentPool joins with its own service-account token, as often as it starts. */
export const WorkerJoinRequest = v.object({
  ...v.omit(JoinRequest, ["token", "nonce", "provider_ids"]).entries,
  /** Reviewed and never stored. */
  pod_token: PodToken,
  /** The AgentPool that the agent names, in the pod's namespace; `null` = it names none. */
  pool: v.nullish(short(255), null),
});
export type WorkerJoinRequest = v.InferOutput<typeof WorkerJoinRequest>;

export const JoinReply = v.object({
  /** The id as the control plane knows it. */
  node_id: NodeId,
  credential: short(512),
  server_time: InstantText,
});
export type JoinReply = v.InferOutput<typeof JoinReply>;

/** A join token as stored; `uses` is counted beside it. Instants are wall milliseconds. */
export const JoinToken = v.object({
  id: v.string(),
  /** SHA-256 of the secret, hex. */
  hash: v.string(),
  /** Only a machine of this pool, or of no pool yet, may join with it. */
  pool: PoolName,
  /** The only node that may join with it; it may also come back after a revocation. */
  node: v.nullable(NodeId),
  label: v.string(),
  usesMax: positive,
  createdAt: instant,
  createdBy: v.string(),
  expiresAt: instant,
  revokedAt: v.nullable(instant),
});
export type JoinToken = v.InferOutput<typeof JoinToken>;

export const JoinUse = v.object({
  /** The agent's own id, and the id of the credential. */
  asked: NodeId,
  node: NodeId,
  /** Number of the credential that was given (`NodeKey`). */
  rotation: count,
  hostname: v.nullable(v.string()),
  remote: v.string(),
});
export type JoinUse = v.InferOutput<typeof JoinUse>;

export const JOIN_STATES = ["open", "used", "expired", "revoked"] as const;
export type JoinState = (typeof JOIN_STATES)[number];

/** Times are RFC 3339. */
export type JoinTokenView = {
  id: string;
  pool: string;
  node_id: string | null;
  label: string;
  state: JoinState;
  uses: number;
  uses_max: number;
  created_at: string;
  created_by: string;
  expires_at: string;
  revoked_at: string | null;
  /** Only in the answer to its creation. */
  token?: string;
};
