/**
 * Writing to a real API server: the four kinds of patches, the status subresource, evictions with
 * every answer that a bare server gives, deletion by UID, and events.
 */
import { PATCH } from "../../../../reconciler/kubernetes/api.ts";
import { isThrottled } from "../../../../reconciler/kubernetes/limiter.ts";
import { MANAGER } from "../../../../reconciler/core/kubernetes/object.ts";
import { NAMESPACE, call, expectThat, readJson, refuse, succeed } from "./case.ts";
import type { Case, Ground, Json } from "./case.ts";

const NODE = "/api/v1/nodes/conformance";
const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`;
const BUDGETS = `/apis/policy/v1/namespaces/${NAMESPACE}/poddisruptionbudgets`;
const EVENTS = `/apis/events.k8s.io/v1/namespaces/${NAMESPACE}/events`;

/** A UID that nothing here has. */
const FOREIGN = "11111111-1111-4111-8111-111111111111";

const text = (value: unknown): string => (typeof value === "string" ? value : "");

async function jsonPatch({ api }: Ground): Promise<string> {
  await succeed(api, {
    verb: "create",
    path: "/api/v1/nodes",
    body: { metadata: { name: "conformance", labels: { a: "1" } } },
  });
  const patch = (value: string) => ({
    verb: "patch" as const,
    path: NODE,
    contentType: PATCH.json,
    body: [
      { op: "test", path: "/metadata/labels/a", value },
      { op: "replace", path: "/metadata/labels/a", value: "2" },
    ],
  });
  const node = await succeed(api, patch("1"));
  expectThat("it is patched", node.at("metadata", "labels", "a") === "2", node.at("metadata"));
  const { reason } = await refuse(api, 422, patch("1"));
  return `a failed test is 422 ${reason}`;
}

async function mergePatch({ api }: Ground): Promise<string> {
  const body = { metadata: { annotations: { "navarch.dev/session": "s-1" }, labels: { a: null } } };
  const node = await succeed(api, { verb: "patch", path: NODE, contentType: PATCH.merge, body });
  expectThat("null removes", node.at("metadata", "labels", "a") === undefined);
  const found = node.at("metadata", "annotations", "navarch.dev/session");
  expectThat("a value is set", found === "s-1", found);
  return "";
}

async function statusPatch({ api }: Ground): Promise<string> {
  const patch = (type: string, status: string) =>
    succeed(api, {
      verb: "patch",
      path: `${NODE}/status`,
      contentType: PATCH.strategic,
      query: { fieldManager: "navarch-status" },
      body: {
        spec: { unschedulable: true },
        status: { conditions: [{ type, status, reason: "Test", message: "" }] },
      },
    });
  await patch("Ready", "True");
  await patch("GPUHealthy", "True");
  const node = await patch("GPUHealthy", "False");
  const conditions = node.at("status", "conditions");
  const shown = Array.isArray(conditions)
    ? conditions.map((one) => `${readJson(one).at("type")}=${readJson(one).at("status")}`)
    : [];
  const isMerged = shown.includes("Ready=True") && shown.includes("GPUHealthy=False");
  expectThat("conditions are merged by type", isMerged && shown.length === 2, shown);
  const spec = node.at("spec", "unschedulable");
  expectThat("the status subresource leaves the spec alone", spec === undefined, spec);
  return shown.join(" ");
}

async function apply({ api }: Ground): Promise<string> {
  const node = await succeed(api, { verb: "get", path: NODE });
  const uid = node.at("metadata", "uid");
  const intent = (metadata: object, spec?: object) => ({
    verb: "patch" as const,
    lane: "cordon" as const,
    path: NODE,
    contentType: PATCH.apply,
    query: { fieldManager: MANAGER.cordon, force: "true" },
    body: {
      apiVersion: "v1",
      kind: "Node",
      metadata: { name: "conformance", uid, ...metadata },
      ...(spec === undefined ? {} : { spec }),
    },
  });
  const cordoned = await succeed(api, intent({}, { unschedulable: true }));
  expectThat("it is cordoned", cordoned.at("spec", "unschedulable") === true);
  const managers = JSON.stringify(cordoned.at("metadata", "managedFields"));
  expectThat("by the product's manager", managers.includes(MANAGER.cordon), managers);
  const stale = node.at("metadata", "resourceVersion");
  await refuse(api, 409, intent({ resourceVersion: stale }, { unschedulable: true }));
  // Of an object that is there the UID cannot change; of one that is not, see `deleteByUid`.
  const { causes } = await refuse(api, 422, intent({ uid: FOREIGN }));
  const fields = causes.map(({ field }) => field);
  expectThat("the UID is the cause", fields.includes("metadata.uid"), causes);
  const released = await succeed(api, intent({}));
  expectThat("it is released", released.at("spec", "unschedulable") === undefined);
  return "cordoned, stale version 409, foreign UID 422, released";
}

/** A pod that runs and is ready, as far as the server knows. */
async function makePod({ api }: Ground, name: string, labels: object): Promise<string> {
  const spec = { nodeName: "conformance", containers: [{ name: "a", image: "example.test/a" }] };
  const pod = await succeed(api, {
    verb: "create",
    path: PODS,
    body: { metadata: { name, labels }, spec },
  });
  const conditions = [{ type: "Ready", status: "True" }];
  await succeed(api, {
    verb: "patch",
    path: `${PODS}/${name}/status`,
    contentType: PATCH.merge,
    body: { status: { phase: "Running", conditions } },
  });
  return text(pod.at("metadata", "uid"));
}

/** Nobody computes budgets here: the status is written as the controller would. */
async function makeBudget({ api }: Ground, name: string, app: string): Promise<void> {
  const body = {
    metadata: { name },
    spec: { minAvailable: 1, selector: { matchLabels: { app } } },
  };
  const budget = await succeed(api, { verb: "create", path: BUDGETS, body });
  const status = {
    observedGeneration: budget.at("metadata", "generation"),
    disruptionsAllowed: 0,
    currentHealthy: 1,
    desiredHealthy: 1,
    expectedPods: 1,
  };
  await succeed(api, {
    verb: "patch",
    path: `${BUDGETS}/${name}/status`,
    contentType: PATCH.merge,
    body: { status },
  });
}

const eviction = (name: string, uid: string) => ({
  verb: "create" as const,
  lane: "evict" as const,
  path: `${PODS}/${name}/eviction`,
  timeoutMs: 7_000,
  body: {
    apiVersion: "policy/v1",
    kind: "Eviction",
    metadata: { name, namespace: NAMESPACE },
    deleteOptions: { preconditions: { uid } },
  },
});

async function evict(ground: Ground): Promise<string> {
  const { api } = ground;
  const uid = await makePod(ground, "free", { app: "free" });
  await refuse(api, 409, eviction("free", FOREIGN));
  const answer = await call(api, eviction("free", uid));
  expectThat("an unguarded pod goes", answer.kind === "ok" && answer.status === 201, answer);
  await refuse(api, 404, eviction("nobody", uid));
  return "201, foreign UID 409, nobody 404";
}

async function evictGuarded(ground: Ground): Promise<string> {
  const uid = await makePod(ground, "guarded", { app: "guarded" });
  await makeBudget(ground, "guard", "guarded");
  const answer = await refuse(ground.api, 429, eviction("guarded", uid));
  const causes = answer.causes.map(({ reason }) => reason);
  expectThat("the budget is the cause", causes.includes("DisruptionBudget"), answer);
  expectThat("it is no throttling", !isThrottled(answer), answer);
  return answer.causes.map(({ message }) => message).join();
}

async function evictTwice(ground: Ground): Promise<string> {
  const uid = await makePod(ground, "doubly", { app: "doubly" });
  await makeBudget(ground, "guard-1", "doubly");
  await makeBudget(ground, "guard-2", "doubly");
  const answer = await refuse(ground.api, 500, eviction("doubly", uid));
  return `${answer.reason || "no reason"}: ${answer.message}`;
}

async function deleteByUid({ api }: Ground): Promise<string> {
  const node: Json = await succeed(api, { verb: "get", path: NODE });
  const request = (uid: unknown) => ({
    verb: "delete" as const,
    path: NODE,
    body: { apiVersion: "v1", kind: "DeleteOptions", preconditions: { uid } },
  });
  await refuse(api, 409, request(FOREIGN));
  await succeed(api, request(node.at("metadata", "uid")));
  await refuse(api, 404, request(node.at("metadata", "uid")));
  const ghost = { name: "conformance", uid: node.at("metadata", "uid") };
  await refuse(api, 409, {
    verb: "patch",
    path: NODE,
    contentType: PATCH.apply,
    query: { fieldManager: MANAGER.cordon, force: "true" },
    body: { apiVersion: "v1", kind: "Node", metadata: ghost, spec: { unschedulable: true } },
  });
  return "foreign UID 409, own 200, again 404; an apply to the dead UID 409";
}

async function event({ api }: Ground): Promise<string> {
  const body = {
    apiVersion: "events.k8s.io/v1",
    kind: "Event",
    metadata: { generateName: "conformance-", namespace: NAMESPACE },
    eventTime: "2026-11-21T12:00:00.000000Z",
    reportingController: "navarch.dev/reconciler",
    reportingInstance: "conformance",
    action: "Test",
    reason: "Test",
    type: "Normal",
    note: "a test",
    regarding: { kind: "Namespace", name: NAMESPACE, namespace: NAMESPACE },
  };
  const made = await succeed(api, { verb: "create", path: EVENTS, body });
  expectThat("it has a name", text(made.at("metadata", "name")).startsWith("conformance-"));
  return text(made.at("metadata", "name"));
}

export const WRITES: readonly Case[] = [
  { name: "JSON patch with a test", run: jsonPatch },
  { name: "merge patch", run: mergePatch },
  { name: "strategic patch of the status subresource", run: statusPatch },
  { name: "server-side apply: cordon and release", run: apply },
  { name: "eviction", run: evict },
  { name: "eviction against a budget", run: evictGuarded },
  { name: "eviction against two budgets", run: evictTwice },
  { name: "event", run: event },
  { name: "delete by UID", run: deleteByUid },
];
