/** The bodies are those of kube-apiserver 1.37.1, letter for letter, unless a row says otherwise. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Cause, KubeAnswer } from "./api.ts";
import { judgeEviction } from "./eviction.ts";

const UID = "11111111-1111-1111-1111-111111111111";
const VIOLATE = "Cannot evict pod as it would violate the pod's disruption budget.";

function refused(
  status: number,
  reason: string,
  message: string,
  causes: Partial<Cause>[] = [],
  retryAfterMs: number | null = null,
): KubeAnswer {
  const full = causes.map((cause) => ({ reason: "", message: "", field: "", ...cause }));
  return { kind: "refused", status, reason, message, causes: full, retryAfterMs };
}

const budget = (message: string, retryAfterMs: number | null = null): KubeAnswer =>
  refused(429, "TooManyRequests", VIOLATE, [{ reason: "DisruptionBudget", message }], retryAfterMs);

const FORBIDDEN =
  'pods "b" is forbidden: User "low" cannot create resource "pods/eviction" in API group "" ' +
  'in the namespace "default"';
const OTHER =
  `Operation cannot be fulfilled on Pod "b": the UID in the precondition (${UID}) does not match ` +
  "the UID in record (01d17290-eb57-4620-a5cf-f470b2341252). The object might have been deleted " +
  "and then recreated";
/** The wording of `preconditions` in `apiserver/pkg/storage`, which other deletions go through. */
const OTHER_STORAGE =
  `Operation cannot be fulfilled on pods "b": Precondition failed: UID in precondition: ${UID}, ` +
  "UID in object meta: 01d17290-eb57-4620-a5cf-f470b2341252";
const SEVERAL =
  "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
const TOO_BIG =
  'poddisruptionbudget.policy "web" is forbidden: DisruptedPods map too big - too many evictions ' +
  "not confirmed by PDB controller";
/** Not to be had from a 1.37 server: validation refuses the status that leads to it. */
const NEGATIVE =
  'poddisruptionbudget.policy "web" is forbidden: pdb disruptions allowed is negative';
const DYING =
  'pods "d" is forbidden: unable to create new content in namespace dying because it is being ' +
  "terminated";

const ROWS: readonly [string, KubeAnswer, object][] = [
  ["begun", { kind: "ok", status: 201, body: { status: "Success" } }, { kind: "begun" }],
  ["a bare success", { kind: "ok", status: 200, body: null }, { kind: "unknown" }],
  [
    "a failure under the code of a success",
    { kind: "ok", status: 201, body: { status: "Failure", message: "no" } },
    { kind: "unknown", message: "no" },
  ],
  ["gone", refused(404, "NotFound", 'pods "nope" not found'), { kind: "gone" }],
  [
    "a namespace that is not there",
    refused(404, "NotFound", 'namespaces "nons" not found'),
    { kind: "unknown" },
  ],
  [
    "a server without this eviction",
    refused(404, "NotFound", "the server could not find the requested resource"),
    { kind: "unknown" },
  ],
  ["another pod", refused(409, "Conflict", OTHER), { kind: "otherPod" }],
  ["another pod, told by storage", refused(409, "Conflict", OTHER_STORAGE), { kind: "otherPod" }],
  [
    "a conflict about somebody else's UID",
    refused(409, "Conflict", OTHER.replaceAll(UID, "22222222-1111-1111-1111-111111111111")),
    { kind: "unknown" },
  ],
  [
    "a lost race for the budget",
    refused(
      409,
      "Conflict",
      'Operation cannot be fulfilled on poddisruptionbudgets.policy "web": the object has been ' +
        "modified; please apply your changes to the latest version and try again",
    ),
    { kind: "unknown" },
  ],
  [
    "a budget that is used up",
    budget("The disruption budget web needs 3 healthy pods and has 2 currently"),
    { kind: "budget", budget: "web", needs: 3, has: 2, retryMs: 5_000 },
  ],
  [
    "a budget without numbers",
    budget("The disruption budget web does not allow evicting pods currently"),
    { kind: "budget", budget: "web", needs: null, has: null, retryMs: 5_000 },
  ],
  [
    "a budget that failed to sync",
    budget(
      "The disruption budget web does not allow evicting pods currently because it failed sync: " +
        'found no controllers for pod "w"',
    ),
    { kind: "budget", budget: "web", needs: null },
  ],
  [
    "a budget that says why",
    budget(
      "The disruption budget web does not allow evicting pods currently (InsufficientPods): hm",
    ),
    { kind: "budget", budget: "web", needs: null },
  ],
  [
    "a budget that was not observed yet",
    budget("The disruption budget web is still being processed by the server.", 10_000),
    { kind: "budget", budget: "web", needs: null, retryMs: 10_000 },
  ],
  [
    "a server that is short of room",
    refused(429, "TooManyRequests", "too many requests, please try again later", [], 2_000),
    { kind: "throttled", retryMs: 2_000 },
  ],
  [
    "a server that is short of room and names no time",
    refused(429, "", "", []),
    { kind: "throttled", retryMs: 1_000 },
  ],
  ["several budgets", refused(500, "", SEVERAL), { kind: "severalBudgets", message: SEVERAL }],
  [
    "a namespace that ends",
    refused(403, "Forbidden", DYING, [
      { reason: "NamespaceTerminating", message: "namespace dying is being terminated" },
    ]),
    { kind: "namespaceTerminating" },
  ],
  [
    "a map of disrupted pods that is too big",
    refused(403, "Forbidden", TOO_BIG, [
      {
        reason: "DisruptionBudget",
        message:
          "The disruption budget web does not allow evicting pods currently: too many pending " +
          "evictions not confirmed by PDB controller",
      },
    ]),
    { kind: "controllerBehind", budget: "web", retryMs: 30_000 },
  ],
  [
    "disruptions below zero, from a server that names no cause",
    refused(403, "Forbidden", NEGATIVE),
    { kind: "controllerBehind", budget: null, retryMs: 30_000 },
  ],
  ["a missing permission", refused(403, "Forbidden", FORBIDDEN), { kind: "forbidden" }],
  ["an invalid request", refused(422, "Invalid", "no"), { kind: "forbidden", message: "no" }],
  ["a token that ran out", refused(401, "Unauthorized", "Unauthorized"), { kind: "unknown" }],
  [
    "a time-out inside the server",
    refused(504, "Timeout", 'Timeout: couldn\'t update PodDisruptionBudget "web" due to conflicts'),
    { kind: "unknown" },
  ],
  ["a server in trouble", refused(500, "InternalError", "etcd"), { kind: "unknown" }],
  // Codes that a webhook chose: what they mean otherwise does not hold.
  ...[403, 404, 409, 422, 429, 500, 503, 504].map((code): [string, KubeAnswer, object] => [
    `a webhook that says no with ${code}`,
    refused(code, "", 'admission webhook "gate.example" denied the request: checkpoint runs'),
    { kind: "admission", by: { by: "webhook", name: "gate.example", said: "checkpoint runs" } },
  ]),
  [
    "a webhook that cannot be called",
    refused(
      500,
      "InternalError",
      'Internal error occurred: failed calling webhook "gate.example": failed to call webhook: ' +
        'Post "https://127.0.0.1:46661/?timeout=2s": context deadline exceeded',
    ),
    { kind: "admission", by: { name: "gate.example", isDenied: false } },
  ],
  [
    "a policy that says no",
    refused(
      403,
      "Forbidden",
      "pods \"p\" is forbidden: ValidatingAdmissionPolicy 'no-evict' with binding 'no-evict' " +
        "denied request: not now",
    ),
    { kind: "admission", by: { by: "policy", name: "no-evict", said: "not now" } },
  ],
  ["no answer", { kind: "lost", message: "timeout" }, { kind: "unknown", message: "timeout" }],
];

for (const [name, answer, expected] of ROWS) {
  test(`judgeEviction() tells ${name}`, () => {
    expect(judgeEviction(answer, UID)).toMatchObject(expected);
  });
}

test("judgeEviction() never takes a refusal for a beginning, nor asks again at once", () => {
  const text = fc.oneof(
    fc.constantFrom(OTHER, SEVERAL, TOO_BIG, NEGATIVE, DYING, FORBIDDEN, VIOLATE, ""),
    fc.string(),
  );
  const cause = fc.record({
    reason: fc.constantFrom("DisruptionBudget", "NamespaceTerminating", ""),
    message: text,
    field: fc.constant(""),
  });
  const refusal = fc.record({
    kind: fc.constant("refused" as const),
    status: fc.integer({ min: 400, max: 599 }),
    reason: fc.string(),
    message: text,
    causes: fc.array(cause, { maxLength: 2 }),
    retryAfterMs: fc.option(fc.integer({ min: 1, max: 60_000 })),
  });
  fc.assert(
    fc.property(refusal, (answer) => {
      const verdict = judgeEviction(answer, UID);
      expect(verdict.kind).not.toBe("begun");
      if ("retryMs" in verdict) expect(verdict.retryMs).toBeGreaterThan(0);
      if (verdict.kind === "gone") expect(answer.status).toBe(404);
      if (verdict.kind === "otherPod") expect(answer.status).toBe(409);
    }),
  );
});
