/**
 * Who is speaking: a bearer token to a principal. Tokens have 256 bits and are compared by hash in
 * constant time; nothing here ever returns or logs one. A node's token is derived from the fleet's
 * secret and the node's id, so a replayed create injects the same one and no plain token is stored.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { Credential, Role } from "../schema/credential.ts";
import type { NodeId } from "../schema/id.ts";

export type Principal = {
  role: Role;
  /** For the audit: `admin`, `token:<id>`, `node:<id>`, `shared`, `anonymous`. */
  name: string;
  /** The only node this principal may speak for, for role `node`. */
  node: NodeId | null;
  /** The guide's one token for operators and agents (F23). */
  shared: boolean;
};

export function hashToken(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

function same(a: string, b: string): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}

const NODE_PREFIX = "nvn.";

/** `nvn.<node id, base64url>.<mac>`. */
export function nodeToken(secret: string, node: string): string {
  const mac = createHmac("sha256", secret).update(`node:${node}`).digest("base64url");
  return `${NODE_PREFIX}${Buffer.from(node).toString("base64url")}.${mac}`;
}

export class Authority {
  private readonly secret: string;
  private readonly shared: string[];
  private readonly admins: string[];
  private readonly byHash = new Map<string, Credential>();
  private readonly byId = new Map<string, Credential>();
  private readonly anonymous: boolean;

  /**
   * `admins` and `shared` are tokens given by file, flag or environment; `shared` ones are also
   * accepted from agents, which are then given their own.
   */
  constructor(from: {
    secret: string;
    admins: string[];
    shared: string[];
    credentials: Credential[];
    anonymous: boolean;
  }) {
    this.secret = from.secret;
    this.admins = from.admins.map(hashToken);
    this.shared = from.shared.map(hashToken);
    this.anonymous = from.anonymous;
    for (const credential of from.credentials) this.put(credential);
  }

  put(credential: Credential): void {
    this.byHash.set(credential.hash, credential);
    this.byId.set(credential.id, credential);
  }

  get(id: string): Credential | null {
    return this.byId.get(id) ?? null;
  }

  list(): Credential[] {
    return [...this.byId.values()].sort((a, b) => a.createdAt - b.createdAt);
  }

  /** The token that a node's machine is given. */
  issueNode(node: string): string {
    return nodeToken(this.secret, node);
  }

  /** `header` is the `Authorization` header; `null` = nobody that may enter. */
  identify(header: string | null, now: number): Principal | null {
    const token = /^Bearer\s+(\S+)$/i.exec(header ?? "")?.[1];
    if (token === undefined) {
      return this.anonymous
        ? { role: "admin", name: "anonymous", node: null, shared: false }
        : null;
    }
    const hash = hashToken(token);
    if (this.admins.some((known) => same(known, hash)))
      return { role: "admin", name: "admin", node: null, shared: false };
    if (this.shared.some((known) => same(known, hash)))
      return { role: "admin", name: "shared", node: null, shared: true };
    if (token.startsWith(NODE_PREFIX)) return this.identifyNode(token);
    const credential = this.byHash.get(hash);
    if (credential === undefined || credential.revokedAt !== null) return null;
    if (credential.expiresAt !== null && credential.expiresAt <= now) return null;
    return {
      role: credential.role,
      name: `token:${credential.id}`,
      node: credential.node,
      shared: false,
    };
  }

  private identifyNode(token: string): Principal | null {
    const [encoded] = token.slice(NODE_PREFIX.length).split(".");
    if (encoded === undefined) return null;
    const node = Buffer.from(encoded, "base64url").toString();
    if (!same(nodeToken(this.secret, node), token)) return null;
    if (this.byId.get(`node:${node}`)?.revokedAt) return null;
    return { role: "node", name: `node:${node}`, node: node as NodeId, shared: false };
  }
}
