/**
 * Selects agents that must resend active conditions: if two senders use one credential, one may
 * have cleared the other's conditions. A request is kept until it is sent, and sent twice, because
 * a reply may be lost. Pure except for its memory.
 */
import type { NodeId } from "../../schema/id.ts";
import type { AgentFact } from "../../schema/node.ts";
import { isFormerBoot } from "../core/fold/former-boot.ts";

/** Between two requests, so that records in the agent's spool can be acknowledged. */
const PAUSE_MS = 15_000;
const ASKS = 2;

export class AskAgain {
  private readonly paced = new Paced(PAUSE_MS);
  /** Latest returning boot id and remaining requests, by node. */
  private readonly owed = new Map<NodeId, { boot: string; left: number }>();

  /** Whether the reply to this report asks; `agent` is what was known before it. */
  asks(id: NodeId, agent: AgentFact | null, boot: string, mono: number): boolean {
    if (!isFormerBoot(agent, boot)) return false;
    const known = this.owed.get(id);
    const isSame = known?.boot === boot && agent?.bootId === boot;
    const owed = isSame ? known : { boot, left: ASKS };
    this.owed.set(id, owed);
    if (owed.left === 0 || !this.paced.take(id, mono)) return false;
    owed.left--;
    return true;
  }
}

/** Permits one occurrence per key in each period of `ms`. */
export class Paced {
  private readonly at = new Map<string, number>();
  private readonly ms: number;

  constructor(ms: number) {
    this.ms = ms;
  }

  /** Whether it may happen now, which is then recorded. */
  take(key: string, mono: number): boolean {
    const before = this.at.get(key);
    if (before !== undefined && mono - before < this.ms) return false;
    this.at.set(key, mono);
    return true;
  }
}
