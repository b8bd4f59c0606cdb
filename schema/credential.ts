/** Tokens and their roles. Only a hash is stored; the secret is shown once, when it is created. */
import * as v from "valibot";
import { NodeId, PoolName } from "./id.ts";
import { count, instant } from "./number.ts";

export const ROLES = ["admin", "operator", "viewer", "node"] as const;
export type Role = (typeof ROLES)[number];

/**
 * How far the credentials of one node have come. They are derived (`security/auth.ts`), so only
 * numbers are kept: 0 is the one that a provider or bootstrap places and that needs no row.
 */
export const NodeKey = v.object({
  /** The newest that was made. */
  number: count,
  /** Anything older is refused: the newest that was ever shown, or where a join drew the line. */
  floor: count,
  /** Wall milliseconds at which the newest was made. */
  at: instant,
  /** When the newest was shown first; `null` = not yet, so it is offered with every reply. */
  usedAt: v.nullable(instant),
  /**
   * From then on only the newest counts, shown or not: a person asked for it. `null` = an older one
   * lives until the newest was shown, however long its agent is cut off.
   */
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
  /** Only of a `node` credential, whose `hash` is its id and matches no token. */
  key: v.optional(NodeKey),
  /** It was given for a join token that named the node: a person said which machine it is. */
  vouched: v.optional(v.boolean()),
  /** The pool of that join token: its agent may name no other. Absent in older rows. */
  pool: v.optional(PoolName),
});
export type Credential = v.InferOutput<typeof Credential>;

/**
 * What a role may do beyond its own agent calls; each right includes those of the roles below it.
 */
const RANK: Record<Role, number> = { node: 0, viewer: 1, operator: 2, admin: 3 };

/**
 * True if `role` includes what `needed` may do. A node is below every human role and has none of
 * their rights.
 */
export function roleIncludes(role: Role, needed: Exclude<Role, "node">): boolean {
  return RANK[role] >= RANK[needed];
}

/** A credential as it is told; times are RFC 3339. */
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
