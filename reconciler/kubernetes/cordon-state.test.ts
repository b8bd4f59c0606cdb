import { describe, expect, test } from "bun:test";
import { objectOf } from "../../test/world/part.ts";
import { cordonRequest, judgeCordon, releaseRequest } from "./cordon-state.ts";
import type { CordonState } from "./cordon-state.ts";
import type { KubeNode } from "../core/kubernetes/object.ts";

const OURS = "navarch.dev/session";

const node = (part: Partial<KubeNode> = {}): KubeNode =>
  objectOf({ name: "gpu-17", uid: "u1", resourceVersion: "8812", gpus: null, ...part });

describe("judgeCordon()", () => {
  const cordoned = (part: Partial<KubeNode> = {}) => node({ unschedulable: true, ...part });
  const open = { uid: "u1", session: "s1" };
  const none = { uid: "u1", session: null };
  const s1 = { annotations: { [OURS]: "s1" } };

  test.each<[string, KubeNode | null, Parameters<typeof judgeCordon>[1], CordonState]>([
    ["no object", null, open, { kind: "absent" }],
    ["another UID", node({ uid: "u2" }), open, { kind: "new_object", uid: "u2" }],
    [
      "cordoned by us alone, open",
      cordoned({ own: true, ...s1 }),
      open,
      { kind: "isolated", current: true, coOwned: false },
    ],
    [
      "cordoned by us in an earlier session",
      cordoned({ own: true, annotations: { [OURS]: "s0" } }),
      open,
      { kind: "isolated", current: false, coOwned: false },
    ],
    [
      "cordoned by us and another",
      cordoned({ own: true, others: ["kubectl"], ...s1 }),
      open,
      { kind: "isolated", current: true, coOwned: true },
    ],
    [
      "cordoned by another, no session",
      cordoned({ others: ["kubectl"] }),
      none,
      { kind: "foreign", others: ["kubectl"] },
    ],
    [
      "cordoned without us, open",
      cordoned({ others: ["unknown"], ...s1 }),
      open,
      { kind: "adopt", others: ["unknown"] },
    ],
    ["schedulable, was isolated", node(s1), open, { kind: "uncordoned" }],
    [
      "schedulable, was isolated as the caller knows",
      node(),
      { ...open, held: true },
      { kind: "uncordoned" },
    ],
    ["schedulable with our share", node({ own: true }), open, { kind: "impossible" }],
    ["schedulable with our share, closed", node({ own: true }), none, { kind: "impossible" }],
    [
      "cordoned by us, closed",
      cordoned({ own: true, others: ["kubectl"] }),
      none,
      { kind: "stale", coOwned: true },
    ],
    ["schedulable, open", node(), open, { kind: "wanted" }],
    [
      "schedulable after an earlier session",
      node({ annotations: { [OURS]: "s0" } }),
      open,
      { kind: "wanted" },
    ],
    ["schedulable, closed", node(s1), none, { kind: "free" }],
  ])("%s", (_, live, want, state) => {
    expect(judgeCordon(live, want)).toEqual(state);
  });
});

describe("cordonRequest()", () => {
  const want = { session: "s1", why: "xid79 gpu3", pool: "a100" };
  const preexisting = (live: KubeNode): unknown =>
    JSON.parse(JSON.stringify(cordonRequest(live, want).body)).metadata.annotations[
      "navarch.dev/cordon-preexisting"
    ];

  test("is an apply with UID and version", () => {
    expect(cordonRequest(node(), want)).toMatchObject({
      verb: "patch",
      path: "/api/v1/nodes/gpu-17",
      query: { fieldManager: "navarch-cordon", force: "true" },
      contentType: "application/apply-patch+yaml",
      lane: "cordon",
      pool: "a100",
      body: {
        apiVersion: "v1",
        kind: "Node",
        metadata: {
          name: "gpu-17",
          uid: "u1",
          resourceVersion: "8812",
          annotations: {
            [OURS]: "s1",
            "navarch.dev/reason": "xid79 gpu3",
            "navarch.dev/cordon-preexisting": "false",
          },
        },
        spec: { unschedulable: true },
      },
    });
  });

  test("keeps what was so before the first own share", () => {
    const key = "navarch.dev/cordon-preexisting";
    expect(preexisting(node({ unschedulable: true, others: ["kubectl"] }))).toBe("true");
    const held = { unschedulable: true, own: true };
    expect(preexisting(node({ ...held, annotations: { [key]: "false" } }))).toBe("false");
    expect(preexisting(node({ ...held, annotations: { [key]: "true" } }))).toBe("true");
    expect(preexisting(node(held))).toBe("true");
    // A tool wiped our share, or a person cordoned again: who was first is not known any more.
    const wiped = node({ unschedulable: true, annotations: { [key]: "false" } });
    expect(preexisting(wiped)).toBe("true");
  });

  test("bounds the reason", () => {
    const { body } = cordonRequest(node(), { ...want, why: "ü".repeat(2_000) });
    const reason = JSON.parse(JSON.stringify(body)).metadata.annotations["navarch.dev/reason"];
    expect(Buffer.byteLength(reason)).toBeLessThanOrEqual(1_024);
    expect(reason).toEndWith("ü…");
  });
});

test("releaseRequest() wants nothing, of this object in this version", () => {
  expect(releaseRequest(node(), null).body).toEqual({
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: "gpu-17", uid: "u1", resourceVersion: "8812" },
  });
});
