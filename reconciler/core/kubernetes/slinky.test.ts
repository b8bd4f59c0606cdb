/** What the conditions of a NodeSet's pod mean, and the reason that its operator is given. */
import { expect, test } from "bun:test";
import { parseReason } from "../slurm/reason.ts";
import { cordonReasonOf, mayWork, type SlurmPod, slurmPodOf } from "./slinky.ts";

const NODESET = { apiVersion: "slinky.slurm.net/v1beta1", kind: "NodeSet" };

function podOf(states: string, phase = "Running", labels: Record<string, string> = {}): SlurmPod {
  const isTrue = new Set(
    states
      .split(" ")
      .filter(Boolean)
      .map((one) => `SlurmNodeState${one}`),
  );
  const pod = slurmPodOf(NODESET, phase, labels, { known: isTrue.size, isTrue });
  if (pod === null) throw new Error("no pod of Slurm");
  return pod;
}

test.each([
  ["Allocated", "busy", false],
  ["Mixed", "busy", false],
  ["Idle Completing", "busy", false],
  ["Allocated Drain", "busy", true],
  ["Idle", "open", false],
  ["Idle Drain", "closed", true],
  ["Idle Drain Undrain", "open", false],
  ["Down", "closed", false],
  ["Down NotResponding Completing", "busy", false],
  ["Unknown", "open", false],
  ["", "unknown", false],
] as const)("S49: a pod whose node in Slurm is %p is %s", (states, state, draining) => {
  expect(podOf(states)).toEqual({ state, draining });
  expect(mayWork(podOf(states))).toBe(state === "busy" || state === "unknown");
});

test("S49: the label pod-protect says busy, and a pod that never ran has no jobs", () => {
  const label = "nodeset.slinky.slurm.net/pod-protect";
  expect(podOf("Idle Drain", "Running", { [label]: "true" }).state).toBe("busy");
  expect(podOf("Idle Drain", "Running", { [label]: "false" }).state).toBe("closed");
  expect(podOf("", "Pending").state).toBe("closed");
});

test.each([
  [null],
  [{ apiVersion: "apps/v1", kind: "StatefulSet" }],
  [{ apiVersion: "slurm.schedmd.com/v1", kind: "NodeSet" }],
  [{ apiVersion: "slinky.slurm.net.example.com/v1", kind: "NodeSet" }],
  [{ apiVersion: "slinky.slurm.net/v1beta1", kind: "LoginSet" }],
])("S47: a pod of %p is no node of Slurm", (controller) => {
  const conditions = { known: 1, isTrue: new Set(["SlurmNodeStateAllocated"]) };
  expect(slurmPodOf(controller, "Running", {}, conditions)).toBeNull();
});

test("S48: the reason is in the grammar of our own drains, and fits the operator's limit", () => {
  const reason = cordonReasonOf("s1", 'XID 79 on GPU 0: "off\nthe bus"');
  expect(reason).toBe("navarch:s1 XID79 XID 79 on GPU 0: 'off the bus'");
  expect(parseReason(`slurm-operator: ${reason}`)).toMatchObject({ session: "s1", code: "XID79" });
  const long = cordonReasonOf("s".repeat(300), "w".repeat(2_000));
  expect(long.length).toBeLessThanOrEqual(200);
  expect(cordonReasonOf("n-1", "scale down").split(" ").slice(0, 2)).toEqual([
    "navarch:n-1",
    "CORDON",
  ]);
});
