/** The availability report over what sacctmgr and sacct print (Slurm 22.05.8). */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { reportAvailability } from "./availability.ts";

const window = {
  fromMs: Date.parse("2026-11-23T10:00:00Z"),
  toMs: Date.parse("2026-11-23T12:00:00Z"),
};
const NODES = "n0|gpu:h100:8(S:0-1)\nn1|gpu:h100:8,shard:4\nn2|(null)\n";
const report = (events: string, jobs = "") =>
  reportAvailability({ events, jobs, nodes: NODES }, window);
const nodeOf = (events: string, name: string) =>
  report(events).nodes.find(({ node }) => node === name);

describe("S44: reportAvailability()", () => {
  test("counts what was out of service within the window, and by whose reason", () => {
    const events =
      "|2026-11-23T09:00:00|Unknown||Cluster Registered TRES\n" +
      "n0|2026-11-23T11:00:00|2026-11-23T11:30:00|DRAIN|navarch:s1 XID79 on GPU 0: a|b\n" +
      "n0|2026-11-23T11:30:00|2026-11-23T11:45:00|DOWN*|Not responding\n" +
      "n1|2026-11-23T09:00:00|Unknown|DRAIN|maint by alice\n" +
      "n2|2026-11-23T08:00:00|2026-11-23T09:00:00|DOWN|before the window\n" +
      "n2|2026-11-23T11:00:00|2026-11-23T11:30:00|IDLE+POWERED_DOWN|asleep\n";
    expect(report(events)).toMatchObject({ gpu_hours_out: 8 * 0.75 + 16, unread: 0 });
    expect(nodeOf(events, "n0")).toEqual({
      ...{ node: "n0", gpus: 8, availability: 0.625, down_s: 900, drained_s: 1_800 },
      ...{ navarch_s: 1_800, events: 2, jobs_lost: 0 },
    });
    expect(nodeOf(events, "n1")).toMatchObject({ availability: 0, drained_s: 7_200, navarch_s: 0 });
    expect(nodeOf(events, "n2")).toMatchObject({ availability: 1, gpus: 0, events: 0 });
    expect(report(events).nodes.map(({ node }) => node)).toEqual(["n1", "n0", "n2"]);
  });

  test("a time that no calendar has is not read", () => {
    expect(report("n0|2026-13-45T11:00:00|Unknown|DRAIN|x\n")).toMatchObject({ unread: 1 });
  });

  test("counts jobs that nodes took with them, each once, and on each of its nodes", () => {
    const jobs =
      "1|3600|billing=1,cpu=1,gres/gpu=16,gres/gpu:h100=16,node=2|n[0-1]\n" +
      "2|60|cpu=1|n0\n3|x|cpu=1|n0\n4|1|cpu=1|n[0-\n";
    const all = report("", jobs);
    expect(all).toMatchObject({ jobs_lost: 2, job_gpu_hours_lost: 16, unread: 2 });
    expect(all.nodes.map(({ node, jobs_lost }) => [node, jobs_lost])).toEqual([
      ["n0", 2],
      ["n1", 1],
      ["n2", 0],
    ]);
  });

  test("counts no moment twice, and nothing that it cannot read", () => {
    const twice =
      "n0|2026-11-23T11:00:00|2026-11-23T11:30:00|DRAIN|a\n" +
      "n0|2026-11-23T11:15:00|2026-11-23T11:45:00|DOWN|b\n";
    expect(nodeOf(twice, "n0")).toMatchObject({ down_s: 1_800, drained_s: 900 });
    expect(report("n0|yesterday|Unknown|DOWN|x\n").unread).toBe(1);
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string(), (events, jobs) => {
        for (const { availability } of report(events, jobs).nodes) {
          expect(availability).toBeWithin(0, 1.000001);
        }
      }),
    );
  });
});
