/**
 * Which agents are to tell again what still holds: two senders spoke for their node, and what one
 * of them said may have ended what the other had told. Owed until it was asked for, also where that
 * has to wait, and asked twice, because an answer may be lost. Pure but for its own memory.
 */
import type { NodeId } from "../../schema/id.ts";
import type { AgentFact } from "../../schema/node.ts";
import { isFormerBoot } from "../core/fold/former-boot.ts";
import { Paced } from "./paced.ts";

/** Not with every report, so that what an agent keeps can be acknowledged. */
const PAUSE_MS = 15_000;
const ASKS = 2;

export class AskAgain {
  private readonly paced = new Paced(PAUSE_MS);
  /** The sender that spoke last of those that came back, and how often it is still to be asked. */
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
