import { describe, expect, test } from "bun:test";
import { agentOf, nodeOf, slurmOf } from "../../../test/world/part.ts";
import type { BootId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import type { SlurmFact } from "../../../schema/slurm.ts";
import { hasRegistered } from "./mark.ts";

const MARKED = 10_000_000;
const BOOTED = MARKED + 100_000;
const FIRST = "boot-0" as BootId;

/** Drained in an earlier boot; its agent reports from the present one. */
const drained: Partial<SlurmFact> = {
  ...{ drain: true, markedAt: MARKED, markedBoot: 1_000, markedBootId: FIRST, bootTime: 1_000 },
};
const registered = (slurm: Partial<SlurmFact>, node: Partial<Node> = {}): boolean =>
  hasRegistered(nodeOf("n", { agent: agentOf(), ...node }), slurmOf({ ...drained, ...slurm }));

describe("hasRegistered(): a drain is released once the machine's slurmd has registered", () => {
  test.each<[string, Partial<SlurmFact>, Partial<Node>, boolean]>([
    ["the boot before the drain is all that Slurm knows", {}, {}, false],
    ["Slurm knows a boot after it", { bootTime: BOOTED }, {}, true],
    ["its boot differs by a clock's jitter", { bootTime: 1_001 }, {}, false],
    ["Slurm knows no boot", { bootTime: null }, {}, false],
    ["the machine is the one that was drained", { markedBootId: "boot-1" as BootId }, {}, true],
    [
      "it was rebooted after that boot",
      { bootTime: BOOTED },
      { rebootedAt: BOOTED + 99_000 },
      false,
    ],
    ["it was rebooted before it", { bootTime: BOOTED }, { rebootedAt: MARKED + 1 }, true],
    [
      "the mark has no boot, and the boot is older",
      { markedBoot: null, bootTime: 2_000 },
      {},
      false,
    ],
    [
      "the mark has no boot, and the boot is newer",
      { markedBoot: null, bootTime: BOOTED },
      {},
      true,
    ],
    ["the reason is of the machine before", { stale: true, bootTime: 5 }, { createdAt: 6 }, false],
  ])("%s", (_what, slurm, node, expected) => {
    expect(registered(slurm, node)).toBe(expected);
  });
});
