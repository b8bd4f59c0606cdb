/**
 * Signs orders for agents. All replicas sign with the same key, derived from their shared secret
 * (`release-key.ts`). The expiry uses the system's clock, because agents compare it with theirs;
 * the control plane's own clock follows a changed system clock only slowly. Pure.
 */
import type { NodeId } from "../../schema/id.ts";
import { ORDER_LIFE_MS, orderText, type ShownKey } from "../../schema/order.ts";
import type { AgentCommand } from "../../schema/report.ts";
import type { ReleaseKey } from "./release-key.ts";

export type OrderSigner = {
  /** For agents that do not know the key yet. */
  shown: ShownKey;
  fingerprint: string;
  /** `node` is the name under which the agent reports. The signature expires in half an hour. */
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
