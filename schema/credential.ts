/** Tokens and their roles. Only a hash is stored; the secret is shown once, when it is created. */
import * as v from "valibot";
import { WorkerFact } from "./agentpool.ts";
import { NodeId, PoolName } from "./id.ts";
import { count, instant } from "./number.ts";

export const ROLES = ["admin", "operator", "viewer", "node", "slurm"] as const;
export type Role = (typeof ROLES)[number];

/**
 * The rotation of a node's credentials, which are derived and numbered (`security/auth.ts`). Number
 * 0 is placed by a provider or the set-up; it has no row.
 */
export const NodeKey = v.object({
  /** Number of the newest credential. */
  number: count,
  /** The newest number that was used, or set by a join; older ones are refused. */
  floor: count,
  /** Wall milliseconds at which the newest was made. */
  at: instant,
  /** First use of the newest; until then (`null`) every reply offers it. */
  usedAt: v.nullable(instant),
  /** Older numbers expire then; `null` = when the newest is first used. */
  deadline: v.nullable(instant),
});
export type NodeKey = v.InferOutput<typeof NodeKey>;

export const Credential = v.object({
  id: v.string(),
  role: v.picklist(ROLES),
  /** SHA-256 of the secret, hex. Secrets have 256 bits, so a slow hash would add nothing. */
  hash: v.string(),
  /** The only node that a `node` credential may speak for. */
  node: v.nullable(NodeId),
  label: v.string(),
  createdAt: instant,
  createdBy: v.string(),
  expiresAt: v.nullable(instant),
  revokedAt: v.nullable(instant),
  /** Only for role `node`; the `hash` of such a credential is its id, which matches no token. */
  key: v.optional(NodeKey),
  /** The node joined with a token that a person made for this node id. */
  vouched: v.optional(v.boolean()),
  /** The pool of that join token: its agent may name no other. Absent in older rows. */
  pool: v.optional(PoolName),
  /** Of a worker of an AgentPool: its tokens name the pod's UID and are worthless without this. */
  worker: v.optional(WorkerFact),
});
export type Credential = v.InferOutput<typeof Credential>;

/** Roles of programs, for their own routes alone. */
export type NarrowRole = "node" | "slurm";

const RANK: Record<Role, number> = { node: 0, slurm: 0, viewer: 1, operator: 2, admin: 3 };

/** True if `role` includes the rights of `needed`. A narrow role has none of them. */
export function roleIncludes(role: Role, needed: Exclude<Role, NarrowRole>): boolean {
  return RANK[role] >= RANK[needed];
}

/** A credential without its hash; times are RFC 3339. */
export type TokenView = {
  id: string;
  role: string;
  label: string;
  node_id: string | null;
  created_at: string;
  created_by: string;
  expires_at: string | null;
  revoked_at: string | null;
  /** Only in the answer to its creation. */
  token?: string;
  /** Only of a node's credential: its number, when that was made, and when it was first shown. */
  rotation?: number;
  rotated_at?: string | null;
  used_at?: string | null;
};

/** A link that logs a browser in once, on the control plane's own address. */
export type LoginLinkView = { path: string; expires_at: string };
