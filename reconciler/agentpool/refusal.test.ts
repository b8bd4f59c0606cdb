import { expect, test } from "bun:test";
import { judgeRefusal, type Refused } from "./refusal.ts";

const refused = (status: number, message: string): Refused => {
  return { kind: "refused", status, reason: "", message, causes: [], retryAfterMs: null };
};

const FORBIDDEN = 'pods "a" is forbidden: ';
const RBAC =
  'pods is forbidden: User "u" cannot create resource "pods" in API group "" in the namespace "d"';
const POLICY = "ValidatingAdmissionPolicy 'deny' with binding 'deny' denied request: no pods";

test("V25: refusals are sorted by what a person does about them", () => {
  const rows: [number, string, string][] = [
    [403, `${FORBIDDEN}exceeded quota: q, requested: pods=1, used: pods=2`, "QuotaExceeded"],
    [403, `${FORBIDDEN}failed quota: q: must specify limits.cpu for: c`, "InvalidTemplate"],
    [403, `${FORBIDDEN}error looking up service account d/x: not found`, "InvalidTemplate"],
    [403, `${FORBIDDEN}violates PodSecurity "restricted:latest": x`, "AdmissionDenied"],
    [403, `${FORBIDDEN}unable to create new content because it is being terminated`, "Unavailable"],
    [403, `${FORBIDDEN}for another reason`, "Forbidden"],
    [403, RBAC, "Forbidden"],
    [422, `pods "a" is forbidden: ${POLICY}`, "AdmissionDenied"],
    [403, 'admission webhook "w" denied the request: no', "AdmissionDenied"],
    [500, 'failed calling webhook "w": connection refused', "Unavailable"],
    [422, 'Pod "a" is invalid: spec.x', "InvalidTemplate"],
    [400, "cannot unmarshal string into Go struct field", "InvalidTemplate"],
    [409, "the object has been modified", "Unavailable"],
    [429, "too many requests", "Unavailable"],
    [503, "the server is starting", "Unavailable"],
    [401, "Unauthorized", "Forbidden"],
  ];
  for (const [status, message, reason] of rows) {
    expect([message, judgeRefusal(refused(status, message)).reason]).toEqual([message, reason]);
  }
});

test("V25: a refusal names the missing permission, and the server's words are bounded", () => {
  expect(judgeRefusal(refused(403, RBAC)).message).toBe(
    "forbidden: u may not create pods (the pods of an AgentPool)",
  );
  const page = judgeRefusal(refused(422, "é".repeat(5_000))).message;
  expect(new TextEncoder().encode(page).length).toBeLessThanOrEqual(600);
});
