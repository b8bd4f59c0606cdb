/** What the built-in policy makes of the machine around the GPUs. */
import { expect, test } from "bun:test";
import * as v from "valibot";
import { Finding } from "../../schema/finding.ts";
import { NodeId } from "../../schema/id.ts";
import { compiledBuiltin } from "./builtin.ts";
import { judgeReport } from "./judge.ts";

const node = {
  id: v.parse(NodeId, "n1"),
  pool: "default",
  labels: {},
  gpu_count: 8,
  driver_version: "570.86.16",
  fake: false,
};

function judge(reason: string) {
  const finding = v.parse(Finding, {
    kind: "host",
    reason,
    at: "2026-03-01T10:00:00Z",
    boot_id: "b1",
    severity: "serious",
    message: reason,
    source: "probe",
  });
  const { judgements, errors } = judgeReport([finding], compiledBuiltin, node, []);
  expect(errors).toEqual([]);
  const [judgement] = judgements;
  if (!judgement) throw new Error(`no judgement of ${reason}`);
  return judgement;
}

const DEGRADES = [
  ...["port_down", "port_missing", "port_rate", "port_flap", "port_module", "port_power"],
  ...["full", "read_only", "file_system_stuck", "file_system", "io_error", "nvme", "nvme_lost"],
  ...["port_temperature", "port_health", "port_command", "nvme_path", "raid", "raid_failed"],
  ...["pcie_fatal", "pcie_error", "pcie_contained", "memory_uncorrected", "hardware_error", "oops"],
  ...["hung_task", "soft_lockup", "hard_lockup", "rcu_stall", "nfs", "oom", "panic", "peermem"],
];

test("the built-in policy degrades a node for what is around its GPUs, and ends none for it", () => {
  for (const reason of DEGRADES) {
    const { result, action } = judge(reason);
    expect([reason, result]).toEqual([reason, "degraded"]);
    expect(["none", "inspect"]).toContain(action);
  }
});

test("the built-in policy takes out of service only a node whose root became read-only", () => {
  expect(judge("root_read_only")).toMatchObject({
    result: "unhealthy",
    action: "inspect",
    hold: "while_active",
    rule: "host-root-read-only",
  });
});

test("the built-in policy records what is no fault of the node", () => {
  const corrected = ["memory_corrected", "hardware_corrected"];
  for (const reason of ["oom_cgroup", "persistence", "mixed_models", ...corrected]) {
    expect(judge(reason)).toMatchObject({ result: "healthy", rule: "host-record" });
  }
});
