import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { heldOf, nodeOf, sessionOf, sickOf } from "../../../test/world/part.ts";
import type { SessionId } from "../../../schema/id.ts";
import { formatReason, parseReason, reasonOf } from "./reason.ts";

const human = { by: "alice", why: "look at the fan", at: 1 };

describe("S27: the reason of a drain", () => {
  test("S27: names the repair, the code and the evidence", () => {
    const session = sessionOf({ id: "n1.s2" as SessionId });
    const held = [heldOf({ because: "XID 79 on GPU 3" }, { code: 79 })];
    const reason = reasonOf(sickOf("n1", { session }, held), "ignored");
    expect(reason).toBe("navarch:n1.s2 XID79 on GPU 3");
    expect(parseReason(reason)).toEqual({ session: "n1.s2", code: "XID79", text: "on GPU 3" });
  });

  test("S27: a lost GPU is told as how many there are and should be", () => {
    const metrics = { present: 7, expected: 8 };
    const lost = heldOf({ because: "GPU 7 is lost" }, { kind: "lost", code: null, metrics });
    expect(reasonOf(sickOf("n1", {}, [lost]), "")).toBe("navarch:s-1 GPU_COUNT 7<8 GPU 7 is lost");
  });

  test("S27: a person's cordon is the operator's, a smaller pool's has the node's name", () => {
    const node = nodeOf("n1", { cordon: { product: null, human } });
    expect(reasonOf(node, human.why)).toBe("navarch:operator CORDON alice: look at the fan");
    expect(reasonOf(nodeOf("n1"), "scale down")).toBe("navarch:n1 CORDON scale down");
  });

  test("S27: silence is the code of a repair, and not of a smaller pool's cordon", () => {
    const { health } = nodeOf("n1");
    const silent = { health: { ...health, silentSince: 5 } };
    expect(reasonOf(nodeOf("n1", silent), "scale down")).toBe("navarch:n1 CORDON scale down");
    const repaired = nodeOf("n1", { ...silent, session: sessionOf() });
    expect(reasonOf(repaired, "no heartbeat")).toBe("navarch:s-1 SILENT no heartbeat");
  });

  test("S27: Slinky's copy and the tail of `scontrol reboot` are ours", () => {
    const copied = parseReason("slurm-operator: navarch:s1 XID79 off the bus");
    expect(copied).toEqual({ session: "s1", code: "XID79", text: "off the bus" });
    const rebooted = "navarch:s1 XID79 off the bus : reboot issued : reboot complete";
    expect(parseReason(rebooted)).toEqual({ session: "s1", code: "XID79", text: "off the bus" });
  });

  test("S27: any other reason is another owner's", () => {
    const others = ["maint by alice", "Not responding", "navarch is away", "navarch: x", "", " "];
    for (const reason of [...others, "xnavarch:s XID79", "slurm-operator: maint"]) {
      expect([reason, parseReason(reason)]).toEqual([reason, null]);
    }
    expect(parseReason(null)).toBeNull();
  });

  test("S27: whatever is said becomes one bounded line that is read as ours again", () => {
    const given = fc.record({ session: fc.string(), code: fc.string(), text: fc.string() });
    fc.assert(
      fc.property(given, (one) => {
        const reason = formatReason(one);
        expect(reason).not.toMatch(/[\u0000-\u001f"]/);
        const read = parseReason(reason);
        expect(read).not.toBeNull();
        expect(read?.session).not.toMatch(/\s/);
        expect((read?.text ?? "").length).toBeLessThanOrEqual(160);
      }),
    );
  });
});
