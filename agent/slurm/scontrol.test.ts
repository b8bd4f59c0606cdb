/** What `scontrol -o show node` prints (Slurm 22.05.8 and 24.11.5), read. */
import { expect, test } from "bun:test";
import { parseShown } from "./scontrol.ts";

const LINE =
  "NodeName=n0 Arch=x86_64 CoresPerSocket=1 Gres=gpu:8 OS=Linux 6.1 #1 SMP State= " +
  "RealMemory=1 State=IDLE+DRAIN ThreadsPerCore=1 BootTime=2026-11-23T00:44:46 ";

test("parseShown() reads state and reason", () => {
  const end = "Reason=maint by alice [until Monday] [root@2026-11-23T12:19:37]";
  expect(parseShown(`${LINE}${end}`)).toEqual({
    state: ["IDLE", "DRAIN"],
    reason: "maint by alice [until Monday]",
  });
  expect(parseShown(`${LINE}${end} Comment=State=DOWN`)?.state).toEqual(["IDLE", "DRAIN"]);
  expect(parseShown("NodeName=n0 State=MIXED* ThreadsPerCore=1")).toEqual({
    state: ["MIXED"],
    reason: null,
  });
  expect(parseShown("Node n0 not found")).toBeNull();
  expect(parseShown("")).toBeNull();
});
