/**
 * Maps a bearer token to a principal. Tokens have 256 bits, are compared by hash in constant time,
 * and are never returned or logged. A node's token is derived from the fleet's secret, the node's
 * id and a rotation number, so a repeated create injects the same one, and no plain token is
 * stored (`schema/credential.ts`).
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import * as v from "valibot";
import type { WorkerFact } from "../../schema/agentpool.ts";
import type { Credential, NodeKey, Role } from "../../schema/credential.ts";
import { NodeId } from "../../schema/id.ts";
import { acceptsKey, FIRST_KEY } from "./key.ts";

export type Principal = {
  role: Role;
  /** For the audit: `admin`, `token:<id>`, `node:<id>`, `shared`, `anonymous`. */
  name: string;
  /** The only node this principal may speak for, for role `node`. */
  node: NodeId | null;
  /** The one token that operators and agents share. */
  shared: boolean;
  /** Which of a node's credentials was presented; `null` for other principals. */
  rotation: number | null;
};

/** Why a token is refused. `revoked` and `outdated` ones were once issued by this fleet. */
export type Rejection = "absent" | "unknown" | "forged" | "revoked" | "outdated" | "expired";

export type Judgement =
  | { kind: "known"; principal: Principal }
  /** `name` is proven for `revoked`, `outdated` and `expired`, and only claimed for `forged`. */
  | { kind: "rejected"; why: Rejection; name: string | null };

export function hashToken(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

/** Compares in constant time. */
export function isSame(a: string, b: string): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}

const NODE_PREFIX = "nvn.";

/**
 * `nvn.<node id, base64url>.<mac>` for rotation 0, `nvn.<node id>.<rotation>.<mac>` for later ones.
 * An id has no line break, so the texts that are signed cannot be equal. `pod` is the UID of a
 * worker pod: without the row that names it, its tokens are forged ones.
 */
export function nodeToken(secret: string, node: string, rotation = 0, pod = ""): string {
  const own = pod === "" ? "" : `\n${pod}`;
  const text = rotation === 0 ? `node:${node}` : `node:${node}\n${rotation}${own}`;
  const mac = createHmac("sha256", secret).update(text).digest("base64url");
  const number = rotation === 0 ? "" : `${rotation}.`;
  return `${NODE_PREFIX}${Buffer.from(node).toString("base64url")}.${number}${mac}`;
}

/** The id of the row with a node's rotation number. */
export function nodeCredentialId(node: string): string {
  return `node:${node}`;
}

export class Authority {
  private readonly secret: string;
  private readonly shared: string[];
  private readonly admins: string[];
  private readonly byHash = new Map<string, Credential>();
  private readonly byId = new Map<string, Credential>();
  private readonly anonymous: boolean;
  private readonly turns = new Map<string, Promise<unknown>>();

  /**
   * `admins` and `shared` are tokens from a file, flag or environment. Agents may also use a
   * `shared` one, and are then given their own.
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

  /**
   * One change of a node's credentials at a time: each builds on the one before, or a recorded use
   * would overwrite a concurrent revocation.
   */
  async change<T>(node: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.turns.get(node) ?? Promise.resolve()).then(work);
    const over = turn.catch(() => undefined);
    this.turns.set(node, over);
    try {
      return await turn;
    } finally {
      if (this.turns.get(node) === over) this.turns.delete(node);
    }
  }

  get(id: string): Credential | null {
    return this.byId.get(id) ?? null;
  }

  list(): Credential[] {
    return [...this.byId.values()].sort((a, b) => a.createdAt - b.createdAt);
  }

  /** The stored credentials of a node; `null` = none, so rotation 0 is valid. */
  ofNode(node: string): Credential | null {
    return this.byId.get(nodeCredentialId(node)) ?? null;
  }

  keyOf(node: string): NodeKey {
    return this.ofNode(node)?.key ?? FIRST_KEY;
  }

  /** Whether all of a node's credentials are revoked. */
  isRevoked(node: string): boolean {
    return (this.ofNode(node)?.revokedAt ?? null) !== null;
  }

  /** Whether a person made the join token for exactly this node. */
  isVouched(node: string): boolean {
    return this.ofNode(node)?.vouched === true;
  }

  /** The pool of the join token that made the node's credential; `null` = none, or not recorded. */
  poolOf(node: string): string | null {
    return this.ofNode(node)?.pool ?? null;
  }

  /** The worker pod that the node is; `null` = a machine. */
  workerOf(node: string): WorkerFact | null {
    return this.ofNode(node)?.worker ?? null;
  }

  /** Ends a credential without a trace: its row is deleted. */
  drop({ id, hash }: Pick<Credential, "id" | "hash">): void {
    this.byHash.delete(hash);
    this.byId.delete(id);
  }

  /** The newest token of a node, which its machine is given. */
  issueNode(node: string): string {
    return this.tokenOf(node, this.keyOf(node).number);
  }

  private tokenOf(node: string, rotation: number): string {
    return nodeToken(this.secret, node, rotation, this.workerOf(node)?.uid);
  }

  /** Authenticates one process of this fleet to another; no credential can be derived from it. */
  sign(text: string): string {
    return createHmac("sha256", this.secret).update(`between:${text}`).digest("base64url");
  }

  /** `header` is the `Authorization` header; `null` = refused. */
  identify(header: string | null, now: number): Principal | null {
    const judged = this.judge(header, now);
    return judged.kind === "known" ? judged.principal : null;
  }

  /** The same with the reason, for the audit. */
  judge(header: string | null, now: number): Judgement {
    const token = /^Bearer\s+(\S+)$/i.exec(header ?? "")?.[1];
    if (token === undefined) {
      return this.anonymous ? known("admin", "anonymous") : rejected("absent", null);
    }
    const hash = hashToken(token);
    if (this.admins.some((admin) => isSame(admin, hash))) return known("admin", "admin");
    if (this.shared.some((one) => isSame(one, hash))) return known("admin", "shared", true);
    if (token.startsWith(NODE_PREFIX)) return this.judgeNode(token, now);
    const credential = this.byHash.get(hash);
    if (credential === undefined) return rejected("unknown", null);
    const name = `token:${credential.id}`;
    if (credential.revokedAt !== null) return rejected("revoked", name);
    if (credential.expiresAt !== null && credential.expiresAt <= now) {
      return rejected("expired", name);
    }
    const { role, node } = credential;
    return { kind: "known", principal: { role, name, node, shared: false, rotation: null } };
  }

  /** Valid tokens of a person, as principal and digest; several administrators share a name. */
  proofs(name: string, now: number): { principal: Principal; proof: string }[] {
    if (name === "admin" || name === "shared") {
      const principal = principalOf("admin", name, name === "shared");
      const hashes = name === "shared" ? this.shared : this.admins;
      return hashes.map((proof) => ({ principal, proof }));
    }
    const credential = name.startsWith("token:") ? this.get(name.slice("token:".length)) : null;
    if (credential === null || credential.revokedAt !== null) return [];
    if (credential.expiresAt !== null && credential.expiresAt <= now) return [];
    return [{ principal: principalOf(credential.role, name), proof: credential.hash }];
  }

  private judgeNode(token: string, now: number): Judgement {
    const [encoded = "", ...rest] = token.slice(NODE_PREFIX.length).split(".");
    const rotation = rest.length === 2 ? Number(rest[0]) : 0;
    const parsed = v.safeParse(NodeId, Buffer.from(encoded, "base64url").toString());
    if (!parsed.success) return rejected("forged", null);
    const node = parsed.output;
    const name = nodeCredentialId(node);
    const made = Number.isSafeInteger(rotation) && rotation >= 0;
    if (!made || !isSame(this.tokenOf(node, rotation), token)) {
      return rejected("forged", name);
    }
    if (this.isRevoked(node)) return rejected("revoked", name);
    if (!acceptsKey(this.keyOf(node), rotation, now)) return rejected("outdated", name);
    return { kind: "known", principal: { role: "node", name, node, shared: false, rotation } };
  }
}

function known(role: Role, name: string, shared = false): Judgement {
  return { kind: "known", principal: principalOf(role, name, shared) };
}

function principalOf(role: Role, name: string, shared = false): Principal {
  return { role, name, node: null, shared, rotation: null };
}

function rejected(why: Rejection, name: string | null): Judgement {
  return { kind: "rejected", why, name };
}
