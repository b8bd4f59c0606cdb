/**
 * Who may speak. Only a hash is stored; the secret is shown once, when it is made. Roles and what
 * they may do: the table "Auth on day one" of the decisions, `navarch/api.md` B8.
 */
import * as v from "valibot";
import { NodeId } from "./id.ts";

export const ROLES = ["admin", "operator", "viewer", "node"] as const;
export type Role = (typeof ROLES)[number];

export const Credential = v.object({
  id: v.string(),
  role: v.picklist(ROLES),
  /** SHA-256 of the secret, hex. Secrets have 256 bits, so a slow hash would add nothing. */
  hash: v.string(),
  /** The only node that a `node` credential may speak for. */
  node: v.nullable(NodeId),
  label: v.string(),
  createdAt: v.number(),
  createdBy: v.string(),
  expiresAt: v.nullable(v.number()),
  revokedAt: v.nullable(v.number()),
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
