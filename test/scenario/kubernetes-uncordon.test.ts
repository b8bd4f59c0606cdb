/**
 * Uncordons by others: of hardware that is certainly broken, which is honoured and stays loud, and
 * by a program that does it again and again, which is recognised and named.
 */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { World } from "../world/world.ts";
import { openWorldApp } from "../world/app.ts";
import {
  clusterOf,
  freeze,
  isMarked,
  joined,
  nameOf,
  neverLeaving,
  objectOf,
} from "../world/cluster.ts";
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
  test("takes work again, and people are told then and at each review until it is repaired", async () => {
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

describe("a cordon by others after they called a repair off", () => {
  /** A node with XID 79 whose repair a person has called off. */
  const calledOff = async (kube = "") => {
    const w = await joined(3, { kube });
    // A budget keeps these: without them a drain is over before the next turn.
    neverLeaving(w, 6);
    const node = first(w);
    const instance = instanceOf(w, node.id);
    w.xid(node.id, 79);
    await w.until(() => isMarked(objectOf(w, node.id)), 60);
    clusterOf(w).kube.person.uncordon(node.name);
    await w.until(() => phaseOf(w, node.id) === "serving", 60);
    return { w, ...node, instance, person: clusterOf(w).kube.person, app: openWorldApp(w) };
  };
  const cordons = (w: World): string[] => told(w, "kube.cordoned").map(({ message }) => message);

  test("resumes it: the node is drained and replaced", async () => {
    const { w, id, name, instance, person } = await calledOff();
    await w.live(300);
    expect(lives(w, instance)).toBe(true);
    person.cordon(name);
    await w.until(() => isMarked(objectOf(w, id)), 60);
    expect(cordons(w).at(-1)).toEndWith("its repair resumes");
    await w.until(() => !lives(w, instance) && w.serving().length === 3, 1_800);
    expect(told(w, "kube.uncordoned_broken")).toHaveLength(1);
  });

  test("begins nothing that is held up: it waits as any repair does, and says why", async () => {
    const { w, id, name, instance, person, app } = await calledOff();
    const thaw = await freeze(w, true);
    person.cordon(name);
    await w.live(600);
    expect(lives(w, instance)).toBe(true);
    expect(isMarked(objectOf(w, id))).toBe(false);
    const explained = await app.call("GET", `/v1/nodes/${id}/explain`);
    expect(String(explained.body["next"])).toContain("the fleet is frozen");
    await thaw();
    await w.until(() => !lives(w, instance), 1_800);
  });

  test("adds the product's share to theirs, and notes that theirs was there before", async () => {
    const { w, id, name, person } = await calledOff();
    person.cordon(name);
    await w.until(() => isMarked(objectOf(w, id)), 60);
    expect(objectOf(w, id).others).not.toEqual([]);
    expect(objectOf(w, id).annotations["navarch.dev/cordon-preexisting"]).toBe("true");
  });

  test.each([
    ["every 30 s", 30],
    ["every 25 min, slower than a loop is told by", 1_500],
  ])("by a program that also uncordons, %s: starts no repair for ever", async (_name, seconds) => {
    const { w, id, name, instance, person, app } = await calledOff("  uncordon_review: 30m\n");
    for (let turn = 0; turn < 6 && lives(w, instance); turn++) {
      person.cordon(name);
      await w.live(5);
      person.uncordon(name);
      await w.live(seconds);
    }
    expect(lives(w, instance)).toBe(true);
    const begun = told(w, "node.suspect").filter(({ node }) => node === id);
    expect(begun).toHaveLength(3);
    expect(w.node(id).session).toBeNull();
    person.cordon(name);
    await w.live(5);
    expect(cordons(w).at(-1)).toContain("a cordon does not resume it");
    const { body } = await app.call("GET", `/v1/nodes/${id}/explain`);
    expect(String(body["next"])).toContain("its repair was cancelled: uncordoned in Kubernetes");
    expect(String(body["next"])).toContain(`\`navarch replace ${id}\``);
    const page = (await app.call("GET", "/metrics", undefined, null)).text;
    expect(page).toContain('navarch_kube_uncordoned_broken_nodes{pool="p"} 1');
    const before = told(w, "kube.uncordoned_broken").length;
    await w.live(3_700);
    expect(told(w, "kube.uncordoned_broken").length).toBeGreaterThan(before);
    await order(w, id, "replace");
    await w.until(() => !lives(w, instance) && w.serving().length === 3, 1_800);
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
