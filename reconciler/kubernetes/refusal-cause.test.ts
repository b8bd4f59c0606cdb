/** The cause of a refusal, from the API server's answer. */
import { expect, test } from "bun:test";
import {
  policyDenied,
  webhookDenied,
  webhookFailed,
} from "../../test/fixture/kubernetes/admission.ts";
import type { RefusalCause } from "../../schema/kube-past.ts";
import { forbidden, type Refused } from "../../simulator/cluster/status.ts";
import { failed, failureOf } from "./node-call.ts";
import { resourceOf } from "../../simulator/cluster/resource.ts";

const account = "system:serviceaccount:navarch:navarch";
const rbac = forbidden(account, "patch", resourceOf("nodes"), "", "gpu-1", "");
const trap = webhookDenied("gate", 403, `forbidden: ${account} may not patch nodes`);

test.each<[string, Refused, RefusalCause]>([
  ["a missing permission", rbac, "permission"],
  ["a webhook's no", webhookDenied("gate", 403, "change window"), "admission"],
  ["a webhook that talks like RBAC", trap, "admission"],
  ["a dead webhook", webhookFailed("gate", "connection refused"), "admission"],
  ["a policy", policyDenied("ticket", 'nodes "n"', "no ticket"), "admission"],
  ["anything else", { ...rbac, status: 422, message: "spec is invalid" }, "other"],
])("failureOf() says what refused: %s", (_, answer, cause) => {
  expect(failed(failureOf(answer)).cause).toBe(cause);
});
