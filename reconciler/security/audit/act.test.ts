import { expect, test } from "bun:test";
import type { AuditRow } from "../../../schema/audit.ts";
import { actOfCall, ROUTES } from "../../http/route/table.ts";
import { actOf, isObject, withAct } from "./act.ts";

test("no two routes that change something share verb and kind", () => {
  const acts = ROUTES.flatMap(({ at, act }) => (at.startsWith("GET ") ? [] : [`${act}`]));
  expect(acts.length).toBeGreaterThan(60);
  // `/v1/nodes` and the console give the same orders.
  expect(acts.length - new Set(acts).size).toBe(4);
});

test("a call is what its route says, else has the verb of its method", () => {
  expect(actOfCall("POST", "/api/v1/nodes/n-1/drain")).toEqual({ verb: "drain", kind: "node" });
  expect(actOfCall("GET", "/api/admin/audit")).toEqual({ verb: "get", kind: "audit" });
  expect(actOfCall("GET", "/v1/nodes/n-1")).toEqual({ verb: "get", kind: "node" });
  expect(actOfCall("POST", "/login")).toEqual({ verb: "log_in", kind: "session" });
  expect(actOf("UPGRADE")).toEqual({ verb: "connect", kind: null });
  expect(actOfCall("PATCH", "/v1/none")).toEqual({ verb: "update", kind: null });
  expect(actOfCall("POST", "/v1/nodes/a/b/cordon")).toEqual({ verb: "create", kind: null });
  expect(actOfCall("BREW", "")).toEqual({ verb: "get", kind: null });
});

const old: AuditRow = {
  id: 1,
  at: 1,
  until: 1,
  count: 1,
  refused: false,
  who: "admin",
  role: "admin",
  method: "PUT",
  path: "/v1/pools/train/size",
  target: "train",
  code: "ok",
  status: 200,
  remote: "10.0.0.1",
  request: "r",
  verb: null,
  kind: null,
  namespace: null,
  detail: null,
  mark: null,
};

test("a row of an older release is read with the verb of its call", () => {
  expect(withAct(old, actOfCall)).toMatchObject({ verb: "resize", kind: "pool" });
  expect(withAct({ ...old, verb: "restart", kind: "pod" }, actOfCall)).toMatchObject({
    verb: "restart",
  });
});

test("an object is named by its name, with its kind, its namespace, or both", () => {
  const pod = { ...old, kind: "pod", namespace: "kai-ml", target: "web-1" };
  for (const name of ["web-1", "pod/web-1", "kai-ml/web-1", "pod/kai-ml/web-1"]) {
    expect([name, isObject(pod, name)]).toEqual([name, true]);
  }
  for (const name of ["web", "node/web-1", "kai/ml-web-1", "null/web-1", ""]) {
    expect([name, isObject(pod, name)]).toEqual([name, false]);
  }
  expect(isObject({ ...pod, target: null }, "pod")).toBe(false);
});
