/** The messages are those of kube-apiserver 1.37.1. */
import { expect, test } from "bun:test";
import { readAdmission, formatAdmission } from "./admission.ts";
import { judgeAnswer } from "./answer.ts";
import { isThrottled } from "./limiter.ts";
import { failureOf } from "./node-call.ts";

const DENIED = 'admission webhook "gate.example" denied the request: change\n  window';
const MUTE = 'admission webhook "gate.example" denied the request without explanation';
const FAILED =
  'Internal error occurred: failed calling webhook "gate.example": failed to call webhook: an ' +
  'error on the server ("broken") has prevented the request from succeeding';
const POLICY =
  "nodes \"n1\" is forbidden: ValidatingAdmissionPolicy 'no-cordon' with binding 'b' denied " +
  "request: cordons need a ticket";

test.each([
  [DENIED, "refused by admission webhook gate.example: change window"],
  [MUTE, "refused by admission webhook gate.example: no explanation"],
  [
    FAILED,
    "refused because admission webhook gate.example could not be called: failed to call webhook: " +
      'an error on the server ("broken") has prevented the request from succeeding',
  ],
  [POLICY, "refused by ValidatingAdmissionPolicy no-cordon: cordons need a ticket"],
])("readAdmission() names who refused: %#", (message, said) => {
  const admission = readAdmission(message);
  expect(admission === null ? null : formatAdmission(admission)).toBe(said);
});

test("readAdmission() leaves the server's own words alone, and cuts pages", () => {
  for (const message of ["", "etcdserver: no leader", 'pods "webhook" not found']) {
    expect(readAdmission(message)).toBeNull();
  }
  expect(readAdmission(`${DENIED}${"x".repeat(5_000)}`)?.said.length).toBe(400);
});

const bodyOf = (code: number, message: string) => {
  return { kind: "Status", status: "Failure", code, reason: "", message };
};

test.each([403, 409, 422, 429, 500, 503, 504])("admission's %d did nothing, for sure", (code) => {
  const answer = judgeAnswer({ status: code, retryAfter: null }, bodyOf(code, DENIED), 0);
  expect(answer).toMatchObject({ kind: "refused", status: code });
  if (answer.kind !== "refused") throw new Error("a refusal");
  expect(isThrottled(answer)).toBe(false);
  expect(failureOf(answer)).toMatchObject({
    kind: "refused",
    message: "refused by admission webhook gate.example: change window",
  });
});
