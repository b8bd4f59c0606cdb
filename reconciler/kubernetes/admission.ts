/**
 * Recognises refusals by admission and their source: pure. Webhooks choose their HTTP code freely
 * (500, 503, 504 and 429 are in use), so only the message identifies them. Admission runs before
 * the object is stored or a pod's deletion begins, so nothing was done, whatever the code. Wording
 * of kube-apiserver 1.37.1 (`apiserver/pkg/admission/plugin/webhook/errors`,
 * `…/plugin/policy/validating`).
 */

export type Admission = {
  by: "webhook" | "policy";
  name: string;
  /** False: the webhook could not be called. */
  isDenied: boolean;
  said: string;
};

/** Messages of webhooks may be whole pages. */
const SAID_CHARS_MAX = 400;

const WEBHOOK =
  /admission webhook "([^"]{1,253})" denied the request(?:: ([^]*)| without explanation)/;
const CALL = /failed calling webhook "([^"]{1,253})": ([^]*)/;
const POLICY =
  /ValidatingAdmissionPolicy '([^']{1,253})' with binding '[^']{1,253}' denied request: ([^]*)/;

/** `null`: the refusal is the server's own. */
export function readAdmission(message: string): Admission | null {
  const denied = WEBHOOK.exec(message);
  if (denied !== null) return admissionOf("webhook", true, denied);
  const failed = CALL.exec(message);
  if (failed !== null) return admissionOf("webhook", false, failed);
  const policy = POLICY.exec(message);
  return policy === null ? null : admissionOf("policy", true, policy);
}

function admissionOf(by: Admission["by"], isDenied: boolean, found: RegExpExecArray): Admission {
  const said = (found[2] ?? "no explanation").replace(/\s+/g, " ").trim();
  return { by, name: found[1] ?? "", isDenied, said: said.slice(0, SAID_CHARS_MAX) };
}

export function formatAdmission({ by, name, isDenied, said }: Admission): string {
  if (by === "policy") return `refused by ValidatingAdmissionPolicy ${name}: ${said}`;
  if (isDenied) return `refused by admission webhook ${name}: ${said}`;
  return `refused because admission webhook ${name} could not be called: ${said}`;
}
