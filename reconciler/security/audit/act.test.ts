import { afterEach, expect, test } from "bun:test";
import type { AuditRow } from "../../../schema/audit.ts";
import { openWorldApp } from "../../../test/world/app.ts";
import { closeWorlds, fleet } from "../../../test/world/story.ts";
import { actOf, isObject, withAct } from "./act.ts";

afterEach(closeWorlds);

test("every route that changes something has a verb and a kind of its own", async () => {
  const { app } = openWorldApp(await fleet(1));
  const changing = app.routes.filter(({ method, path }) => {
    return !["ALL", "GET", "HEAD"].includes(method) && path.startsWith("/v1/");
  });
  expect(changing.length).toBeGreaterThan(20);
  const acts = new Set<string>();
  for (const { method, path } of changing) {
    const { verb, kind } = actOf(method, path.replace(/:\w+/g, "x"));
    expect([method, path, ["create", "update", "delete"].includes(verb) && kind === null]).toEqual([
      method,
      path,
      false,
    ]);
    expect(kind).not.toBeNull();
    acts.add(`${verb} ${kind}`);
  }
  // `dump` and `backup` are two acts on one kind; no two routes share verb and kind.
  const routes = new Set(changing.map(({ method, path }) => `${method} ${path}`));
  expect(acts.size).toBe(routes.size);
});

test("a call without an entry gets the verb of its method", () => {
  expect(actOf("POST", "/api/v1/nodes/n-1/drain")).toEqual({ verb: "drain", kind: "node" });
  expect(actOf("GET", "/api/admin/audit")).toEqual({ verb: "get", kind: "audit" });
  expect(actOf("GET", "/v1/nodes/n-1")).toEqual({ verb: "get", kind: "node" });
  expect(actOf("UPGRADE", "/v1/agent/stream")).toEqual({ verb: "connect", kind: "node" });
  expect(actOf("PATCH", "/v1/none")).toEqual({ verb: "update", kind: null });
  expect(actOf("POST", "/v1/nodes/a/b/cordon").kind).toBe("node");
  expect(actOf("BREW", "")).toEqual({ verb: "get", kind: null });
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
  expect(withAct(old)).toMatchObject({ verb: "resize", kind: "pool" });
  expect(withAct({ ...old, verb: "restart", kind: "pod" })).toMatchObject({ verb: "restart" });
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
