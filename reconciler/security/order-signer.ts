/**
 * Signs what agents are ordered to do. All replicas of a fleet sign with the same key, because it
 * is derived from the secret that they share (`route/release-key.ts`). The expiry counts from the
 * system's clock: the control plane's own follows a clock that was set only slowly, and agents
 * compare with theirs. Pure.
 */
import type { NodeId } from "../../schema/id.ts";
import { ORDER_LIFE_MS, orderText, type ShownKey } from "../../schema/order.ts";
import type { AgentCommand } from "../../schema/report.ts";
import type { ReleaseKey } from "./release-key.ts";

export type OrderSigner = {
  /** For agents that do not know the key yet. */
  shown: ShownKey;
  fingerprint: string;
  /** `node` is the name under which the agent reports. The order is good for half an hour. */
  sign(command: AgentCommand, node: NodeId): AgentCommand;
};

export function openOrderSigner(
  key: Pick<ReleaseKey, "publicBase64" | "fingerprint" | "shown" | "sign">,
  systemMs: () => number,
): OrderSigner {
  return {
    shown: key.shown,
    fingerprint: key.fingerprint,
    sign(command, node) {
      const expires_at = systemMs() + ORDER_LIFE_MS;
      const text = orderText({ ...command, node, expires_at });
      const value = Buffer.from(key.sign(Buffer.from(text))).toString("base64");
      return { ...command, signature: { key: key.publicBase64, expires_at, value } };
    },
  };
}
