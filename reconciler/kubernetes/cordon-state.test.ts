import { describe, expect, test } from "bun:test";
import { objectOf } from "../../test/world/part.ts";
import { cordonRequest, releaseRequest } from "./cordon.ts";
import type { KubeNode } from "../core/kubernetes/object.ts";

const OURS = "navarch.dev/session";

const node = (part: Partial<KubeNode> = {}): KubeNode =>
  objectOf({ name: "gpu-17", uid: "u1", resourceVersion: "8812", gpus: null, ...part });

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
