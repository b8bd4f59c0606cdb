/**
 * Why a sick node waits stands on its Node object, for people who have kubectl alone: a budget, a
 * hold, a refused cordon, a drain's deadline, a repair that a person called off. Written when the
 * reason changes, never because a count or a time moves.
 */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { policyDenied } from "../fixture/kubernetes/admission.ts";
import type { World } from "../world/world.ts";
import { clusterOf, isMarked, joined, nameOf, neverLeaving, objectOf } from "../world/cluster.ts";
import { closeWorlds, order, phaseOf, told } from "../world/story.ts";

afterEach(closeWorlds);
setDefaultTimeout(60_000);

const managed = (w: World, id: string) =>
  objectOf(w, id).conditions.find(({ type }) => type === "NavarchManaged");
const healthy = (w: World, id: string) =>
  objectOf(w, id).conditions.find(({ type }) => type === "GPUHealthy");
const statusWrites = (w: World): number => clusterOf(w).kube.asked.get("patch nodes/status") ?? 0;

describe("NavarchManaged says why a sick node waits", () => {
  test("for a budget", async () => {
    const safety = "safety: { budgets: { isolate: { pool: 1, domain: 1, fleet: 1 } } }\n";
    const w = await joined(3, { kube: safety });
    const [one = "", two = ""] = w.serving();
    w.xid(one, 48);
    await w.until(() => isMarked(objectOf(w, one)), 120);
    w.xid(two, 48);
    await w.until(() => managed(w, two)?.reason === "BudgetExhausted", 60);
    expect(objectOf(w, two).unschedulable).toBe(false);
    expect(managed(w, two)?.message).toContain("no room in a budget: ");
    expect(managed(w, two)?.message).toContain("1 of at most 1 were cordoned lately");
  });

  test("for a hold on the Node", async () => {
    const w = await joined(2);
    const [id = ""] = w.serving();
    const hold = (value: string | null): void =>
      clusterOf(w).kube.person.annotate("nodes", "", nameOf(w, id), { "navarch.dev/hold": value });
    hold("true");
    await w.live(5);
    w.xid(id, 79);
    await w.until(() => managed(w, id)?.reason === "OnHold", 60);
    expect(managed(w, id)?.message).toContain(`navarch.dev/hold is set on Node ${nameOf(w, id)}`);
    hold(null);
    await w.until(() => managed(w, id)?.reason !== "OnHold", 60);
  });

  test("for a cordon that is refused, and steadily so between the tries", async () => {
    const w = await joined(2);
    const [id = ""] = w.serving();
    const { kube } = clusterOf(w);
    kube.admission = ({ lane }) =>
      lane === "cordon" ? policyDenied("ticket", 'nodes "n"', "cordons need a ticket") : null;
    w.xid(id, 79);
    await w.until(() => managed(w, id)?.reason === "CordonRefused", 60);
    expect(managed(w, id)?.message).toContain("cordons need a ticket");
    const reasons = new Set<string | undefined>();
    for (let i = 0; i < 120; i++) {
      await w.live(1);
      reasons.add(managed(w, id)?.reason);
    }
    expect([...reasons]).toEqual(["CordonRefused"]);
    kube.admission = () => null;
    await w.until(() => managed(w, id)?.reason === "Draining" || phaseOf(w, id) === "gone", 600);
  });

  test("for its drain, with the instant of its deadline, in few writes", async () => {
    const pool =
      "    health: { unhealthy_threshold: 1 }\n    drain: { timeout: 1h, fatal_timeout: 20m }\n";
    const w = await joined(2, { pool });
    const [id = ""] = w.serving();
    neverLeaving(w, 3);
    w.xid(id, 79);
    await w.until(() => /cut off at/.test(managed(w, id)?.message ?? ""), 120);
    const node = w.nodes().find((one) => one.id === id);
    const deadlineAt = node?.phase.kind === "draining" ? node.phase.deadlineAt : 0;
    const said = `what is left is cut off at ${new Date(deadlineAt).toISOString().slice(0, 19)}Z`;
    await w.live(70);
    expect(managed(w, id)).toMatchObject({ reason: "Draining" });
    expect(managed(w, id)?.message).toContain("waiting for PodDisruptionBudget");
    expect(managed(w, id)?.message).toEndWith(said);
    const before = statusWrites(w);
    await w.live(240);
    // The renewal of each of the two Nodes, and no write for the tries in between.
    expect(statusWrites(w) - before).toBeLessThanOrEqual(3);
  });
});

describe("a repair that a person's uncordon called off", () => {
  test("reads so on the Node, with what to do, as long as the hardware is broken", async () => {
    const w = await joined(3);
    const [id = ""] = w.serving();
    const name = nameOf(w, id);
    w.xid(id, 79);
    await w.until(() => isMarked(objectOf(w, id)), 60);
    clusterOf(w).kube.person.uncordon(name);
    await w.until(() => phaseOf(w, id) === "serving", 60);
    await w.live(20);
    expect(healthy(w, id)?.status).toBe("False");
    expect(managed(w, id)?.reason).toBe("RepairCalledOff");
    expect(managed(w, id)?.message).toContain("uncordoned in Kubernetes by hand at ");
    expect(managed(w, id)?.message).toContain("XID 79");
    expect(managed(w, id)?.message).toContain(`navarch replace ${id}`);
    await w.live(4_000);
    expect(managed(w, id)?.reason).toBe("RepairCalledOff");
  });

  const notes = (w: World, id: string) => {
    const { annotations } = objectOf(w, id);
    const of = (key: string) => annotations[`navarch.dev/${key}`];
    return [of("session"), of("reason"), of("cordon-preexisting")];
  };

  test.each([
    ["by a person: the repair resumes", "true"],
    ["by an order", "false"],
  ])("leaves nothing of ours on it, and the next cordon %s decides again", async (_by, was) => {
    const w = await joined(3);
    const [id = ""] = w.serving();
    const name = nameOf(w, id);
    const { kube } = clusterOf(w);
    neverLeaving(w, 3);
    w.xid(id, 79);
    await w.until(() => isMarked(objectOf(w, id)), 60);
    const first = notes(w, id);
    expect(first).toEqual([expect.any(String), expect.any(String), "false"]);
    kube.person.uncordon(name);
    await w.until(() => notes(w, id).every((one) => one === undefined), 30);
    expect(objectOf(w, id)).toMatchObject({ unschedulable: false, own: false });
    expect(objectOf(w, id).noted).toBeUndefined();
    // What the person's word called off is still called off: a write of ours is not the mark.
    await w.live(60);
    expect(phaseOf(w, id)).toBe("serving");
    expect(told(w, "kube.uncordoned")).toHaveLength(1);
    if (was === "true") kube.person.cordon(name);
    else await order(w, id, "cordon");
    await w.until(() => objectOf(w, id).own, 60);
    expect(notes(w, id)[2]).toBe(was);
    expect(notes(w, id)[0]).not.toBe(first[0]);
  });
});
