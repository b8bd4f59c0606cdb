/** What the API server's objects say of a purchase, and lists of several pages. */
import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { contractRequest } from "../../../test/port/provider.contract.ts";
import type { KubeAnswer, KubeApi, KubeRequest } from "../../kubernetes/api.ts";
import { idOf, instanceOf, instancesOf, labelValue, nodePoolOf, partsOf } from "./node-pool.ts";
import { NodePool, PoolEvent, PoolNode } from "./node-pool.ts";
import { listAll } from "../call/cluster-call.ts";
import { whyNotSold } from "./request.ts";

const META = { name: "p1", uid: "u1", creationTimestamp: "2026-11-23T01:00:00Z" };
const SPEC = { instanceType: "gd-8xh100ib-i128" };
const poolOf = (more: object = {}) => v.parse(NodePool, { metadata: META, spec: SPEC, ...more });
const event = (reason: string, lastTimestamp: string, uid = "u1") =>
  v.parse(PoolEvent, { reason, message: "m", lastTimestamp, involvedObject: { uid } });

describe("instanceOf()", () => {
  test("the newest event decides, and another pool's says nothing", () => {
    const short = event("CWInsufficientCapacity", "2026-11-23T01:00:01Z");
    const over = event("CWOverQuota", "2026-11-23T01:00:02Z");
    const failureOf = (...events: PoolEvent[]) => instanceOf(poolOf(), null, events).failure;
    expect(failureOf(over, short)).toMatchObject({ class: "quota" });
    expect(failureOf(short)).toEqual({ class: "capacity", message: "CWInsufficientCapacity: m" });
    expect(failureOf(short, event("CWNodeAssigned", "2026-11-23T01:00:03Z"))).toBeNull();
    expect(failureOf(event("CWInsufficientCapacity", "", "u2"))).toBeNull();
    expect(failureOf(event("SomethingElse", "2026-11-23T01:00:09Z"), short)).not.toBeNull();
  });

  test.each([
    [{ type: "Validated", status: "False" }, "Validated: "],
    [{ type: "Valid", status: "True", reason: "Invalid", message: "no such type" }, "no such type"],
  ])("a type that CoreWeave refuses is a bad request: row %#", (condition, message) => {
    const pool = poolOf({ status: { conditions: [condition] } });
    expect(instanceOf(pool, null, []).failure).toEqual({ class: "bad_request", message });
  });

  test("a condition that is not about validity says nothing", () => {
    const conditions = [{ type: "AtTarget", status: "False", reason: "Pending" }];
    expect(instanceOf(poolOf({ status: { conditions } }), null, []).failure).toBeNull();
  });

  test("annotations that are no JSON are no tags, and the list goes on", () => {
    const metadata = {
      ...META,
      annotations: { "navarch.dev/tags": "{", "navarch.dev/place": "1" },
    };
    const seen = instanceOf(poolOf({ metadata }), null, []);
    expect(seen).toMatchObject({ tags: {}, region: null, zone: null, state: "provisioning" });
  });
});

test("instancesOf() leaves out Nodes that no NodePool made", () => {
  const node = v.parse(PoolNode, { metadata: { ...META, name: "gpu-0" } });
  expect(instancesOf([], [node], [])).toEqual([]);
});

test("an id has the name and the UID, and nothing else is one", () => {
  expect(partsOf(idOf("p1", "u1"))).toEqual({ name: "p1", uid: "u1" });
  for (const id of ["i-1", "nodepool/p1", "nodepool//u1", "nodepool/a/b/c", "pod/a/b"]) {
    expect(partsOf(id as never)).toBeNull();
  }
});

test("a label takes a fleet's id as it is, or its digest", () => {
  expect(labelValue("kfgqvi")).toBe("kfgqvi");
  for (const odd of ["", "a b", "-a", "x".repeat(64)]) {
    expect(labelValue(odd)).toMatch(/^[0-9a-f]{40}$/);
  }
});

test("whyNotSold() refuses racks and reservations, and the body says the market", () => {
  expect(whyNotSold({ instanceType: "gb300-4x", market: "on-demand" })).toContain("18 Nodes");
  expect(whyNotSold({ instanceType: "gd-1xgh200", market: "on-demand" })).toBeNull();
  const spot = nodePoolOf(contractRequest("n1", { market: "spot" }));
  expect(spot).toMatchObject({ spec: { computeClass: "spot", targetNodes: 1 } });
});

describe("listAll()", () => {
  const api = (answers: KubeAnswer[], asked: KubeRequest[] = []): KubeApi => ({
    call: (request) => {
      asked.push(request);
      return Promise.resolve(answers.shift() ?? { kind: "lost", message: "no more" });
    },
    watch: () => Promise.resolve({ kind: "ended" }),
    close: () => undefined,
  });
  const page = (names: string[], next?: string): KubeAnswer => ({
    kind: "ok",
    status: 200,
    body: { items: names, metadata: { continue: next } },
  });
  const query = { a: "b" };
  const all = (from: KubeApi) =>
    listAll(from, { path: "/x", query, schema: v.string(), timeoutMs: 1_000 });

  test("gives every page, or none", async () => {
    const asked: KubeRequest[] = [];
    const two = api([page(["a"], "more"), page(["b"])], asked);
    expect(await all(two)).toEqual({ kind: "ok", items: ["a", "b"] });
    expect(asked.map(({ query }) => query)).toEqual([
      { a: "b", limit: "500" },
      { a: "b", limit: "500", continue: "more" },
    ]);
    expect(await all(api([page(["a"], "more")]))).toMatchObject({ kind: "failed" });
    const odd: KubeAnswer = { kind: "ok", status: 200, body: { items: ["a", 1] } };
    expect(await all(api([odd]))).toMatchObject({ kind: "failed", class: "unavailable" });
    const html: KubeAnswer = { kind: "ok", status: 200, body: null };
    expect(await all(api([html]))).toMatchObject({ kind: "failed", class: "unavailable" });
  });
});
