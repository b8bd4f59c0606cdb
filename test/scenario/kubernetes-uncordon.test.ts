/**
 * Uncordons by others: of hardware that is certainly broken, which is honoured and stays loud, and
 * by a program that does it again and again, which is recognised and named.
 */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { World } from "../../simulator/world.ts";
import { openWorldApp } from "../world/app.ts";
import { clusterOf, isMarked, joined, nameOf, objectOf } from "../world/cluster.ts";
import { closeWorlds, lives, instanceOf, order, phaseOf, told } from "../world/story.ts";

afterEach(closeWorlds);
setDefaultTimeout(60_000);

const first = (w: World): { id: string; name: string } => {
  const [id = ""] = w.serving();
  return { id, name: nameOf(w, id) };
};

type Shown = { reason: string; type: string; note: string };
const eventsOf = (w: World, reason: string): Shown[] =>
  (clusterOf(w).kube.list("events") as unknown as Shown[]).filter((one) => one.reason === reason);

describe("broken hardware that a person uncordons", () => {
  test("takes work again, and people are told then and at each review until it is cordoned", async () => {
    const w = await joined(3, { kube: "  uncordon_review: 15m\n" });
    const app = openWorldApp(w);
    const { id, name } = first(w);
    const { kube } = clusterOf(w);
    w.xid(id, 79);
    await w.until(() => isMarked(objectOf(w, id)), 60);
    kube.person.uncordon(name);
    await w.until(() => phaseOf(w, id) === "serving", 60);
    await w.live(60);
    expect(objectOf(w, id).unschedulable).toBe(false);
    expect(lives(w, instanceOf(w, id))).toBe(true);
    expect(told(w, "kube.uncordoned_broken")).toHaveLength(1);
    const [shown] = eventsOf(w, "BrokenNodeUncordoned");
    expect(shown).toMatchObject({ type: "Warning" });
    expect(shown?.note).toContain("although its hardware is broken: XID 79");
    const metric = async (): Promise<string> => {
      const page = (await app.call("GET", "/metrics", undefined, null)).text;
      return /^navarch_kube_uncordoned_broken_nodes\{pool="p"\} (\d+)$/m.exec(page)?.[1] ?? "";
    };
    expect(await metric()).toBe("1");
    const view = await app.call("GET", "/v1/kubernetes");
    expect(String(view.body["uncordoned"])).toContain(`Node ${name} was uncordoned`);
    await w.live(900);
    expect(told(w, "kube.uncordoned_broken")).toHaveLength(2);
    expect(eventsOf(w, "BrokenNodeUncordoned").at(-1)?.note).toStartWith("reminder: ");
    kube.person.cordon(name);
    await w.live(10);
    expect(await metric()).toBe("0");
    await w.live(1_000);
    expect(told(w, "kube.uncordoned_broken")).toHaveLength(2);
  });

  test("kubernetes.uncordon_review sets how often, and 0s is never", async () => {
    const counts: number[] = [];
    for (const review of ["5m", "0s"]) {
      const w = await joined(2, { kube: `  uncordon_review: ${review}\n` });
      const { id, name } = first(w);
      w.xid(id, 79);
      await w.until(() => isMarked(objectOf(w, id)), 60);
      clusterOf(w).kube.person.uncordon(name);
      await w.live(1_000);
      counts.push(told(w, "kube.uncordoned_broken").length);
    }
    expect(counts).toEqual([4, 1]);
  });
});

describe("a program that uncordons what is cordoned", () => {
  test.each([
    ["that leaves its name", { "janitor.example/at": "now" }, "node-janitor"],
    ["that leaves no name", null, "a client that left no field manager"],
  ])("%s: is recognised the third time", async (_name, annotations, who) => {
    const w = await joined(3);
    const app = openWorldApp(w);
    const { id, name } = first(w);
    const { kube } = clusterOf(w);
    const janitor = (turn: number): void => {
      const at = annotations === null ? {} : { metadata: { annotations: mark(turn) } };
      const patch = { spec: { unschedulable: null }, ...at };
      kube.person.edit("nodes", "", name, patch, { manager: "node-janitor" });
    };
    const mark = (turn: number) => ({ "janitor.example/at": String(turn) });
    for (let turn = 1; turn <= 3; turn++) {
      expect(told(w, "kube.uncordon_loop")).toHaveLength(0);
      await order(w, id, "cordon");
      await w.until(() => isMarked(objectOf(w, id)), 60);
      await w.live(60);
      janitor(turn);
      await w.until(() => w.node(id).cordon.human === null, 60);
    }
    const [loop] = told(w, "kube.uncordon_loop");
    expect(loop?.message).toContain(`Node ${name} was uncordoned 3 times within`);
    expect(loop?.message).toContain(`by ${who}`);
    await w.live(5);
    expect(eventsOf(w, "UncordonLoop")[0]?.note).toContain(who);
    const explained = await app.call("GET", `/v1/nodes/${id}/explain`);
    expect(String(explained.body["state"])).toContain("this looks like an automation");
    const view = await app.call("GET", "/v1/kubernetes");
    expect(String(view.body["uncordoned"])).toContain(who);
    // It is over an hour after it stopped.
    await w.live(3_600);
    expect((await app.call("GET", "/v1/kubernetes")).body["uncordoned"]).toHaveLength(0);
  });
});
