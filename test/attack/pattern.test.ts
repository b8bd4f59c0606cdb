/**
 * Texts that others supply, at sizes that a file or a reply may have, in the form that costs the
 * most: a pattern that tries each start again, or gives characters back, takes seconds for them.
 */
import { expect, test } from "bun:test";
import { judgeRefusal } from "../../reconciler/agentpool/refusal.ts";
import { parseHttpUrl } from "../../reconciler/config/address.ts";
import { parseHost } from "../../reconciler/config/inventory.ts";
import { hideSecrets } from "../../reconciler/config/secret.ts";
import { readAdmission } from "../../reconciler/kubernetes/admission.ts";
import { explainForbidden } from "../../reconciler/kubernetes/permission.ts";
import { readNodeText, readReservationText } from "../../reconciler/slurm/text.ts";
import { cutBlocks } from "../../simulator/workflow/template-file.ts";
import { withCpuMs } from "../cpu-time.ts";

const CHARS = 200_000;
const CPU_MS_MAX = 500;

const many = (part: string): string => part.repeat(CHARS / part.length);
const refused = (message: string) => {
  const facts = { status: 403, reason: "", causes: [], retryAfterMs: null };
  return { kind: "refused" as const, ...facts, message };
};

const WORST: [what: string, work: () => unknown][] = [
  ["hideSecrets(), halves of a web token", () => hideSecrets(many("-eyJ"))],
  ["hideSecrets(), boundaries", () => hideSecrets(many("a-"))],
  ["hideSecrets(), names", () => hideSecrets(many("-token-"))],
  ["hideSecrets(), names of files", () => hideSecrets(many("-token-file"))],
  ["hideSecrets(), schemes", () => hideSecrets(many("a."))],
  ["hideSecrets(), passwords in addresses", () => hideSecrets(many("a://b:"))],
  ["hideSecrets(), addresses", () => hideSecrets(many("http://"))],
  ["hideSecrets(), spaces", () => hideSecrets(`--token${many(" ")};`)],
  ["hideSecrets(), quotes", () => hideSecrets(many("token=\"token='"))],
  ["hideSecrets(), pool tokens", () => hideSecrets(many(".secret_a_a"))],
  ["judgeRefusal()", () => judgeRefusal(refused(many("failed quota: ")))],
  ["readAdmission(), a web hook", () => readAdmission(many('admission webhook "'))],
  ["readAdmission(), a call", () => readAdmission(many('failed calling webhook "a'))],
  ["readAdmission(), a policy", () => readAdmission(many("ValidatingAdmissionPolicy 'a"))],
  ["explainForbidden()", () => explainForbidden(refused(many('cannot a resource "')))],
  ["parseHost(), colons", () => parseHost(`${many(":")}x`)],
  ["parseHost(), digits", () => parseHost(`${many("1:")}x`)],
  ["parseHttpUrl()", () => parseHttpUrl(`http://a${many("/")}x`)],
  ["readReservationText()", () => readReservationText(many(" Flags"))],
  ["readNodeText()", () => readNodeText(`NodeName=a ${many("Gres ")}`)],
  ["cutBlocks()", () => cutBlocks(`apiVersion: v1${many(" #")}\u2028\nkind: Pod`, "a.yaml")],
];

test.each(WORST)(
  "%s takes no longer than its text",
  (_what, work) => {
    expect(withCpuMs(work).cpuMs).toBeLessThan(CPU_MS_MAX);
  },
  60_000,
);
