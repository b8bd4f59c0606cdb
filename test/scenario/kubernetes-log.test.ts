/**
 * What `kubectl logs` of the control plane tells of a repair: each transition once, with the node,
 * its Node object and the reason, and no key with two meanings.
 */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { Story } from "../../reconciler/runtime/story.ts";
import type { NodeId } from "../../schema/id.ts";
import type { World } from "../world/world.ts";
import { clusterOf, isMarked, joined, nameOf, objectOf } from "../world/cluster.ts";
import { closeWorlds, phaseOf } from "../world/story.ts";

afterEach(closeWorlds);
setDefaultTimeout(60_000);

type Line = { level: string; msg: string; fields: Record<string, unknown> };

/** All lines of the process from now on, as a leader writes them. */
function listen(w: World): Line[] {
  const lines: Line[] = [];
  w.heard = (level, msg, fields = {}) => {
    if (level !== "debug") lines.push({ level, msg, fields });
  };
  const node = (id: NodeId) => w.reconciler.fleet().nodes.get(id);
  const { clock } = w;
  const story = new Story({ clock, node, log: (...line) => w.heard(...line) });
  w.store?.on("committed", (change) => story.change(change));
  return lines;
}

const first = (w: World): { id: string; name: string } => {
  const [id = ""] = w.serving();
  return { id, name: nameOf(w, id) };
};

/** The words of the lines about one node, each once, in their order. */
const saysOf = (lines: readonly Line[], id: string): string[] => [
  ...new Set(lines.filter(({ fields }) => fields["node"] === id).map(({ msg }) => msg)),
];

/** No line names a Node object as a node, nor a node as a Node object. */
function judgeKeys(w: World, lines: readonly Line[]): void {
  const nodes = [...w.reconciler.fleet().nodes.values()];
  const ids = new Set<unknown>(nodes.map(({ id }) => id));
  const names = new Set<unknown>(nodes.flatMap(({ kube }) => kube?.name ?? []));
  const odd = lines.filter(({ fields: { node, kube_node: kube } }) => {
    const isNode = node === undefined || node === null || ids.has(node);
    const isKube = kube === undefined || kube === null || names.has(kube);
    return !isNode || !isKube;
  });
  expect(odd).toEqual([]);
  for (const { fields } of lines.filter((line) => "node" in line.fields)) {
    expect(Object.keys(fields)).toContain("kube_node");
    expect(fields["reason"]).not.toBe("");
  }
}

describe("the log of a control plane", () => {
  test("tells a repair from the fault to the replacement, each step once", async () => {
    const w = await joined(3);
    const lines = listen(w);
    const { id, name } = first(w);
    w.xid(id, 79);
    await w.until(() => phaseOf(w, id) === "gone" && w.serving().length === 3, 900);
    await w.live(300);
    expect(saysOf(lines, id)).toEqual([
      "node unhealthy",
      "node cordoned",
      "drain started",
      "drain in progress",
      "drain ended",
      "machine terminating",
      "machine terminated",
      "node replaced",
      "Node object removed",
    ]);
    const own = lines.filter(({ fields }) => fields["node"] === id);
    expect(own.every(({ fields }) => fields["kube_node"] === name)).toBe(true);
    expect(String(own[0]?.fields["reason"])).toContain("XID 79");
    const cordons = own.filter(({ msg }) => msg === "node cordoned");
    expect(cordons).toHaveLength(1);
    const bought = lines.filter(({ msg }) => msg === "machine bought");
    expect(bought).toHaveLength(1);
    judgeKeys(w, lines);
  });

  test("tells an uncordon by hand, and that the repair is called off", async () => {
    const w = await joined(3);
    const lines = listen(w);
    w.tolerant = true;
    const { id, name } = first(w);
    w.xid(id, 79);
    await w.until(() => isMarked(objectOf(w, id)), 60);
    clusterOf(w).kube.person.uncordon(name);
    await w.until(() => phaseOf(w, id) === "serving", 60);
    const [seen] = lines.filter(({ msg }) => msg === "Node uncordoned by hand");
    expect(seen).toMatchObject({ level: "warn", fields: { node: id, kube_node: name } });
    expect(String(seen?.fields["reason"])).toContain("the repair is cancelled");
    const [broken] = lines.filter(({ msg }) => msg === "broken node uncordoned");
    expect(broken).toMatchObject({ level: "error", fields: { node: id, kube_node: name } });
    judgeKeys(w, lines);
  });

  test("tells once for what a repair waits", async () => {
    const w = await joined(3);
    const { id, name } = first(w);
    clusterOf(w).kube.person.annotate("nodes", "", name, { "navarch.dev/hold": "true" });
    await w.live(5);
    const lines = listen(w);
    w.xid(id, 79);
    await w.live(600);
    const waits = lines.filter(({ msg }) => msg === "repair waits");
    expect(waits).toMatchObject([
      { level: "warn", fields: { wait: "human", node: id, kube_node: name } },
    ]);
    expect(String(waits[0]?.fields["reason"])).toContain("navarch.dev/hold");
    judgeKeys(w, lines);
  });

  test("tells that somebody deleted a Node object", async () => {
    const w = await joined(3);
    const lines = listen(w);
    const { id, name } = first(w);
    clusterOf(w).kube.person.remove("nodes", "", name);
    await w.until(() => w.node(id).kube?.absentSince !== null, 60);
    expect(lines.filter(({ msg }) => msg === "Node object deleted")).toMatchObject([
      { level: "warn", fields: { node: id, kube_node: name } },
    ]);
    judgeKeys(w, lines);
  });
});
