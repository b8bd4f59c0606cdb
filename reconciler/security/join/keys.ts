/**
 * The life of nodes' credentials: use, rotation, revocation. Every change is durable before
 * anything that depends on it leaves this process.
 */
import type { Credential, NodeKey } from "../../../schema/credential.ts";
import type { NodeId } from "../../../schema/id.ts";
import { type Authority, nodeCredentialId, type Principal } from "../auth.ts";
import type { Clock, Log } from "../../core/clock.ts";
import type { Store } from "../../core/store.ts";
import { FIRST_KEY, GRACE_MS, isDue, isOffered, ROTATION_MS, rotateKey, useKey } from "../key.ts";

export type KeysFrom = {
  authority: Authority;
  store: Pick<Store, "saveCredential">;
  clock: Clock;
  log: Log;
};

/** The first row of a node. Its hash is not a digest, so that no token can match it. */
export function nodeCredential(
  node: NodeId,
  from: { now: number; by: string; key: NodeKey },
): Credential {
  const id = nodeCredentialId(node);
  return {
    id,
    role: "node",
    hash: id,
    node,
    label: "",
    createdAt: from.now,
    createdBy: from.by,
    expiresAt: null,
    revokedAt: null,
    key: from.key,
  };
}

/** A report that was under way when the newer credential was first used is no second sender. */
const UNDER_WAY_MS = 60_000;
const TOLD_EACH_MS = 3_600_000;

export class Keys {
  private readonly from: KeysFrom;
  private readonly openedAt: number;
  /** Nodes of which a refused older credential was told, and when; quiet ones are forgotten. */
  private readonly told = new Map<string, number>();
  /** Nodes whose row is being written; another report in that time changes nothing. */
  private readonly busy = new Set<string>();

  constructor(from: KeysFrom) {
    this.from = from;
    this.openedAt = from.clock.wallMs();
  }

  /**
   * Records which credential an accepted report used, and returns the one that the agent should use
   * from now on, or `null`. If the store cannot be written, nothing changes. While two senders use
   * the credential (`isShared`), the day's rotation waits: a thief that asks more often would get
   * the new one, and the machine's own agent would be locked out.
   */
  async heard(principal: Principal, isShared = false): Promise<string | null> {
    const { node, rotation } = principal;
    if (node === null || rotation === null || this.busy.has(node)) return null;
    const { authority, clock, log } = this.from;
    const now = clock.wallMs();
    const key = authority.keyOf(node);
    const make = (from: NodeKey): NodeKey | null =>
      useKey(from, rotation, now) ?? (isShared ? null : this.due(node, from, now));
    const offer = (): string | null => {
      const { number, deadline } = authority.keyOf(node);
      const waits = isShared && deadline === null;
      return rotation < number && !waits ? authority.issueNode(node) : null;
    };
    if (make(key) === null) return offer();
    this.busy.add(node);
    try {
      // Judged again: a person's order may have come first.
      await this.change(node, "navarch", now, (own) => {
        const key = make(own.key ?? FIRST_KEY);
        return own.revokedAt !== null || key === null ? null : { ...own, key };
      });
    } catch (error) {
      log("warn", "cannot record use of a node credential", { node, error: String(error) });
      return null;
    } finally {
      this.busy.delete(node);
    }
    return offer();
  }

  /**
   * Whether a person should hear of an older credential that was refused: somebody uses the newer
   * one, and one of the two is not the machine's own agent.
   */
  tellsOutdated(node: NodeId): boolean {
    const now = this.from.clock.wallMs();
    const { usedAt } = this.from.authority.keyOf(node);
    if (usedAt === null || now - usedAt < UNDER_WAY_MS) return false;
    // The map's order is that of the times.
    for (const [one, at] of this.told) {
      if (at <= now && now - at < TOLD_EACH_MS) break;
      this.told.delete(one);
    }
    if (this.told.has(node)) return false;
    this.told.set(node, now);
    return true;
  }

  private due(node: string, key: NodeKey, now: number): NodeKey | null {
    if (isOffered(key)) return null;
    // Only the use of rotation 0, which needs no row, is not recorded.
    const since = key.usedAt ?? this.openedAt;
    return isDue(node, since, now, ROTATION_MS) ? rotateKey(key, now, null) : null;
  }

  /** A rotation by a person: the next report gets a new key, older ones end after `GRACE_MS`. */
  async rotate(node: NodeId, by: string): Promise<Credential> {
    const now = this.from.clock.wallMs();
    return this.change(node, by, now, (own) => {
      return { ...own, key: rotateKey(own.key ?? FIRST_KEY, now, GRACE_MS) };
    });
  }

  /** Revokes all of a node's credentials. Only a join token for that node makes another. */
  async revoke(node: NodeId, by: string): Promise<Credential> {
    const now = this.from.clock.wallMs();
    return this.change(node, by, now, (own) => ({ ...own, revokedAt: own.revokedAt ?? now }));
  }

  /** Applies `make` to the current row, serialised by node, and commits; `null` = no change. */
  private change(
    node: NodeId,
    by: string,
    now: number,
    make: (own: Credential) => Credential | null,
  ): Promise<Credential> {
    const { authority, store } = this.from;
    return authority.change(node, async () => {
      const own = authority.ofNode(node) ?? nodeCredential(node, { now, by, key: FIRST_KEY });
      const made = make(own);
      if (made === null) return own;
      await store.saveCredential(made);
      authority.put(made);
      return made;
    });
  }
}
