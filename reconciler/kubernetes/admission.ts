/**
 * Recognises refusals by admission and their source: pure. Webhooks choose their HTTP code freely
 * (500, 503, 504 and 429 are in use), so only the message identifies them. Admission runs before
 * the object is stored or a pod's deletion begins, so nothing was done, whatever the code. Wording
 * of kube-apiserver 1.37.1 (`apiserver/pkg/admission/plugin/webhook/errors`,
 * `…/plugin/policy/validating`).
 */
import { textsBetween } from "./between.ts";

export type Admission = {
  by: "webhook" | "policy";
  name: string;
  /** False: the webhook could not be called. */
  isDenied: boolean;
  said: string;
};

/** Messages of webhooks may be whole pages. */
const SAID_CHARS_MAX = 400;
/** A DNS subdomain. */
const NAME_CHARS_MAX = 253;

const WEBHOOK = 'admission webhook "';
const CALL = 'failed calling webhook "';
const POLICY = "ValidatingAdmissionPolicy '";

/** `null`: the refusal is the server's own. */
export function readAdmission(message: string): Admission | null {
  const denied = textsBetween(message, WEBHOOK, '" denied the request: ');
  if (denied !== null) return admissionOf("webhook", true, denied[0], denied[1]);
  const silent = textsBetween(message, WEBHOOK, '" denied the request without explanation');
  if (silent !== null) return admissionOf("webhook", true, silent[0], "no explanation");
  const failed = textsBetween(message, CALL, '": ');
  if (failed !== null) return admissionOf("webhook", false, failed[0], failed[1]);
  const policy = textsBetween(message, POLICY, "' with binding '", "' denied request: ");
  return policy === null ? null : admissionOf("policy", true, policy[0], policy[2]);
}

function admissionOf(by: Admission["by"], isDenied: boolean, name = "", said = ""): Admission {
  const line = said.replace(/\s+/g, " ").trim();
  return {
    by,
    name: name.slice(0, NAME_CHARS_MAX),
    isDenied,
    said: line.slice(0, SAID_CHARS_MAX),
  };
}

export function formatAdmission({ by, name, isDenied, said }: Admission): string {
  if (by === "policy") return `refused by ValidatingAdmissionPolicy ${name}: ${said}`;
  if (isDenied) return `refused by admission webhook ${name}: ${said}`;
  return `refused because admission webhook ${name} could not be called: ${said}`;
}
