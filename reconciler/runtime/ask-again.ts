/**
 * Selects agents that must resend active conditions. If two senders used one credential, one may
 * have cleared the other's conditions. A request is kept until it is sent, and sent twice, because
 * a reply may be lost. Pure but for its own memory.
 */
import type { NodeId } from "../../schema/id.ts";
import type { AgentFact } from "../../schema/node.ts";
import { isFormerBoot } from "../core/fold/former-boot.ts";
import { Paced } from "./paced.ts";

/** Pause between requests, so that records in the agent's spool can be acknowledged. */
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
