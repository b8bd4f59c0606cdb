/** A control plane's key, made for a test. Adapter: randomness. */
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import type { NodeId } from "../../schema/id.ts";
import type { AgentCommand } from "../../schema/report.ts";
import { vouchText } from "../../schema/order.ts";
import { openOrderSigner } from "../../reconciler/security/order-signer.ts";
import type { ReleaseKey } from "../../reconciler/security/release-key.ts";

/** `older` vouches for it. */
export function makeKey(older: ReleaseKey | null = null): ReleaseKey {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const spki = publicKey.export({ type: "spki", format: "der" });
  const publicBase64 = spki.toString("base64");
  const fingerprint = `sha256:${createHash("sha256").update(spki).digest("hex")}`;
  const text = Buffer.from(vouchText(fingerprint));
  const vouched =
    older === null
      ? []
      : [{ by: older.publicBase64, value: Buffer.from(older.sign(text)).toString("base64") }];
  return {
    publicBase64,
    publicPem: `-----BEGIN PUBLIC KEY-----\n${publicBase64}\n-----END PUBLIC KEY-----\n`,
    fingerprint,
    shown: { key: publicBase64, vouched },
    sign: (bytes) => new Uint8Array(sign(null, bytes, privateKey)),
  };
}

/** Signed now, by the clock of this machine unless another time is given. */
export function signed(
  key: ReleaseKey,
  command: AgentCommand,
  node: string,
  now = Date.now(),
): AgentCommand {
  return openOrderSigner(key, () => now).sign(command, node as NodeId);
}
