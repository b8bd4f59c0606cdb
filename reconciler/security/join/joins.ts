/**
 * Join tokens: made by a person, used by machines. A use is durable before its credential leaves. A
 * repeated request with the same nonce gets the same answer, which may have been lost, until the
 * credential was used. Requests are judged one at a time, so that what was read is still true when
 * it is written. A token admits to a pool, never to another machine's place in it (`place.ts`).
 */
import type { Credential, NodeKey } from "../../../schema/credential.ts";
import type { NodeId } from "../../../schema/id.ts";
import { type JoinRequest, type JoinToken, readJoinToken } from "../../../schema/join.ts";
import { LIMIT } from "../../../schema/limit.ts";
import { type Authority, hashToken } from "../auth.ts";
import type { Clock, Log } from "../../core/clock.ts";
import { joinKey } from "../key.ts";
import { nodeCredential } from "./keys.ts";
import { judgePlace, type Place, type Sight } from "./place.ts";
import type { CountedToken, JoinTable } from "../../core/store-table.ts";

export type JoinAnswer =
  | {
      kind: "joined";
      node: NodeId;
      credential: string;
      /** The token's id. */
      token: string;
      /** True for a repeated answer. */
      again: boolean;
    }
  | {
      kind: "refused";
      /** `unknown`: no such token; all others concern the holder of a valid one. */
      why: "unknown" | "used" | "expired" | "revoked" | "other" | "gone";
      message: string;
      /** The token's id. */
      token: string | null;
    }
  | { kind: "unavailable"; message: string };

/** Requests in progress: a booting pool has hundreds of machines. */
const WAITING_MAX = 512;
/** Ended tokens are kept for a week. */
const KEPT_MS = 7 * 24 * 3_600_000;
/**
 * How long after a token's end a lost answer is repeated. An agent retries at least once a minute,
 * and an old token with its nonce must become worthless.
 */
export const AGAIN_MS = 10 * 60_000;

export type JoinsFrom = { table: JoinTable; authority: Authority; clock: Clock; log: Log };

export class Joins {
  private readonly from: JoinsFrom;
  private tail: Promise<unknown> = Promise.resolve();
  private waiting = 0;

  constructor(from: JoinsFrom) {
    this.from = from;
  }

  list(): Promise<CountedToken[]> {
    return this.from.table.list();
  }

  /** `null` if too many are still usable. */
  async create(token: JoinToken): Promise<JoinToken | null> {
    const { table, clock } = this.from;
    const now = clock.wallMs();
    await table.trim(now - KEPT_MS);
    if ((await table.countOpen(now)) >= LIMIT.joinTokensMax) return null;
    await table.save(token);
    return token;
  }

  /** Ends a token at once; `null` if the id is unknown. */
  async revoke(id: string): Promise<CountedToken | null> {
    const { table, clock } = this.from;
    const found = await table.byId(id);
    if (found === null) return null;
    const token = { ...found.token, revokedAt: found.token.revokedAt ?? clock.wallMs() };
    await table.save(token);
    return { token, uses: found.uses };
  }

  /** One machine's request. `remote` is the address from which it calls. */
  async join(request: JoinRequest, sight: Sight, remote: string): Promise<JoinAnswer> {
    if (this.waiting >= WAITING_MAX) {
      return { kind: "unavailable", message: "too many machines are joining at once" };
    }
    this.waiting++;
    const turn = this.tail.then(() => this.take(request, sight, remote));
    this.tail = turn.catch(() => undefined);
    try {
      return await turn;
    } catch (error) {
      this.from.log("warn", "cannot store a join", { error: String(error) });
      return { kind: "unavailable", message: "the store is not writable" };
    } finally {
      this.waiting--;
    }
  }

  private async take(request: JoinRequest, sight: Sight, remote: string): Promise<JoinAnswer> {
    const { table, authority, clock } = this.from;
    const now = clock.wallMs();
    const found = await table.byHash(hashToken(readJoinToken(request.token).secret));
    if (found === null) return refuse("unknown", "this join token is not known", null);
    const { token, uses } = found;
    const nonce = hashToken(request.nonce);
    const before = await table.use(token.id, nonce);
    if (token.revokedAt !== null) return refuse("revoked", "this join token was revoked", token);
    if (before !== null) {
      const key = authority.keyOf(before.node);
      const unseen = key.number === before.rotation && key.usedAt === null;
      if (!unseen || before.asked !== request.node_id || authority.isRevoked(before.node)) {
        return refuse("used", "this join was answered already: use a new join token", token);
      }
      if (now >= token.expiresAt + AGAIN_MS) {
        return refuse("expired", "this join token has expired", token);
      }
      return this.answer(before.node, token.id, true);
    }
    if (uses >= token.usesMax) return refuse("used", "this join token is used up", token);
    if (token.expiresAt <= now) return refuse("expired", "this join token has expired", token);
    const credentialOf = (id: NodeId): Credential | null => authority.ofNode(id);
    const judge = (): Place => judgePlace({ request, token, sight, credentialOf });
    const place = judge();
    if (place.kind === "refused") return refuse(place.why, place.message, token);
    const { node } = place;
    return authority.change(node, async () => {
      // A person may have revoked the node's credentials while this waited.
      const still = judge();
      if (still.kind === "refused") return refuse(still.why, still.message, token);
      const credential = this.credentialFor(node, token, now);
      const use = {
        asked: request.node_id,
        node,
        rotation: credential.key.number,
        hostname: request.hostname ?? null,
        remote,
      };
      await table.give({ token: token.id, ordinal: uses + 1, nonce, at: now, use, credential });
      authority.put(credential);
      return this.answer(node, token.id, false);
    });
  }

  private credentialFor(
    node: NodeId,
    token: JoinToken,
    now: number,
  ): Credential & { key: NodeKey } {
    const { authority } = this.from;
    const key = joinKey(authority.keyOf(node), now);
    const by = `join:${token.id}`;
    // A row exists already only if the token names the node.
    const own = authority.ofNode(node) ?? nodeCredential(node, { now, by, key });
    const named = token.node === null ? {} : { vouched: true };
    return { ...own, key, revokedAt: null, pool: token.pool, ...named };
  }

  private answer(node: NodeId, token: string, again: boolean): JoinAnswer {
    return { kind: "joined", node, credential: this.from.authority.issueNode(node), token, again };
  }
}

function refuse(
  why: Extract<JoinAnswer, { kind: "refused" }>["why"],
  message: string,
  token: JoinToken | null,
): Extract<JoinAnswer, { kind: "refused" }> {
  return { kind: "refused", why, message, token: token?.id ?? null };
}
