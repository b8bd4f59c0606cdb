import { describe, expect, test } from "bun:test";
import type { OperationId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import { agentOf, kubeOf, nodeOf, unboughtOf } from "../../../test/world/part.ts";
import { judgeForget } from "./forget.ts";

const silentHealth = { ...nodeOf("x").health, silentSince: 0 };
const silent = (more: Partial<Node> = {}): Node =>
  unboughtOf("n1", { health: silentHealth, ...more });
const asked = (node: Node, silentMs: number | null, isStranded = false) =>
  judgeForget(node, { silentMs, heartbeatTimeoutMs: 60_000, isStranded });

describe("judgeForget()", () => {
  const mark = kubeOf({ name: "gpu-1", uid: "u", isolatedUid: "u" });

  test.each<[string, Node, number | null]>([
    ["was silent for long enough", silent(), 60_000],
    ["was not heard in this process's life", silent(), null],
    ["is not marked in the cluster", silent({ kube: { ...mark, isolatedUid: null } }), null],
    ["has a mark on an older object only", silent({ kube: { ...mark, isolatedUid: "v" } }), null],
    ["has an object that is gone", silent({ kube: { ...mark, absentSince: 1 } }), null],
  ])("allows it for a machine that %s", (_what, node, silentMs) => {
    expect(asked(node, silentMs)).toEqual({ kind: "legal" });
  });

  const operation = "n1.1.cordon" as OperationId;
  test.each<[string, Node, number | null]>([
    [
      "node n1 was bought by this fleet: terminate it, and its record goes by itself",
      nodeOf("n1", { health: silentHealth }),
      null,
    ],
    ["node n1 still reports (last 60 s ago): stop its agent first", silent(), 59_999],
    ["node n1 still reports (last 1 s ago): stop its agent first", silent(), 1_400],
    [
      "node n1 has not been silent for 60 s yet: stop its agent, then ask again",
      unboughtOf("n1"),
      60_000,
    ],
    [
      "node n1 has not been silent for 60 s yet: stop its agent, then ask again",
      unboughtOf("n1"),
      null,
    ],
    ["node n1 is being changed right now: ask again in a moment", silent({ operation }), null],
    [
      "node n1 cannot be forgotten: its Node gpu-1 in Kubernetes still has Navarch's cordon; " +
        "delete the Node, or uncordon it first",
      silent({ kube: mark }),
      null,
    ],
  ])("refuses it: %s", (message, node, silentMs) => {
    expect(asked(node, silentMs)).toEqual({ kind: "refused", message });
  });

  test("allows it for a bought machine that its provider no longer reaches, once it is silent", () => {
    const bought = nodeOf("n1", { health: silentHealth });
    expect(asked(bought, null, true)).toEqual({ kind: "legal" });
    expect(asked(nodeOf("n1", { agent: null }), null, true)).toEqual({ kind: "legal" });
    expect(asked(bought, 1_000, true).kind).toBe("refused");
    const booted = nodeOf("n1", { agent: agentOf() });
    expect(asked(booted, null, true).kind).toBe("refused");
  });
});
