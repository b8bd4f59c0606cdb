import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { NodeId } from "../../schema/id.ts";
import type { Report } from "../../schema/report.ts";
import { type Agent, logXid, newAgent, reportOf } from "../../test/world/agent.ts";
import { poolYaml, World } from "../../test/world/world.ts";
import { joined, nameOf } from "../../test/world/cluster.ts";
import { closeWorlds } from "../../test/world/story.ts";

afterEach(closeWorlds);
setDefaultTimeout(60_000);

/** A fleet of one in a cluster, and what its Node is called there. */
async function one(): Promise<{ w: World; id: NodeId; name: string }> {
  const w = await joined(1);
  const [node] = w.nodes();
  if (node === undefined) throw new Error("there is no node");
  return { w, id: node.id, name: nameOf(w, node.id) };
}

async function accept(w: World, report: Report, only: string | null) {
  const pending = w.ingest.accept(report, only as NodeId | null);
  // The ingest waits a few milliseconds for company.
  await w.clock.pass(10);
  const answer = await pending;
  await w.turn();
  return answer;
}

/** An agent with XID 79 to tell, in this boot of its machine. */
function telling(w: World, boot: number): Agent {
  const agent = { ...newAgent("other"), boot };
  logXid(agent, 79, 0, w.clock.wallMs());
  return agent;
}

describe("Ingest.accept() of an agent that gives its Node's name", () => {
  test.each(["a shared credential", "one for that name"])(
    "takes nothing of another machine for the one that bears it now (with %s)",
    async (credential) => {
      const { w, id, name } = await one();
      const only = credential === "one for that name" ? name : null;
      // Whoever was called so before: another boot, and an XID of its own.
      const old = { ...telling(w, 7), registered: true };
      const answer = await accept(w, reportOf(name, old, w.clock.wallMs()), only);
      if (answer.kind === "reply") expect(answer.reply.node_id).not.toBe(id);
      expect(w.node(id).health.held).toEqual([]);
      expect(w.node(id).phase.kind).toBe("serving");
      // Nor once it has registered under that name.
      await accept(w, reportOf(name, { ...old, registered: false }, w.clock.wallMs()), only);
      expect(w.node(id).health.held).toEqual([]);
      expect(w.node(id).phase.kind).toBe("serving");
    },
  );

  test("takes the machine itself by its boot, as the kubelet and the agent tell it", async () => {
    const { w, id, name } = await one();
    const report = reportOf(name, telling(w, 1), w.clock.wallMs());
    const answer = await accept(w, report, name);
    expect(answer).toMatchObject({ kind: "reply", reply: { node_id: id } });
    expect(w.node(id).health.verdict).toBe("unhealthy");
  });

  test("takes the machine itself after a reboot by the instance that it reads", async () => {
    const { w, id, name } = await one();
    const report = reportOf(name, telling(w, 2), w.clock.wallMs());
    const instance = w.node(id).instance?.id ?? "";
    if (report.inventory !== null) report.inventory.provider_ids = [instance];
    const answer = await accept(w, report, name);
    expect(answer).toMatchObject({ kind: "reply", reply: { node_id: id } });
    expect(w.node(id).agent?.bootId as string).toBe("boot-2");
  });
});

test("accept() takes a report once whose write was done and whose answer was lost", async () => {
  const w = await World.open(poolYaml(1), { store: "memory" });
  try {
    await w.until(() => w.serving().length === 1, 120);
    const [id = ""] = w.serving();
    const store = w.ingest["store"];
    const append = store.appendEntries;
    let writes = 0;
    store.appendEntries = async (...args) => {
      const ids = await append.apply(store, args);
      if (writes++ === 0) throw new Error("no answer in time");
      return ids;
    };
    w.xid(id, 79);
    await w.say(id);
    // Not acknowledged, for nobody knows.
    expect(w.agent(id).spool).toHaveLength(1);
    await w.say(id);
    expect(w.agent(id).spool).toEqual([]);
    await w.turn();
    expect(w.node(id).health.held.map((one) => [one.finding.code, one.count])).toEqual([[79, 1]]);
    // Nothing is left for a later start to find.
    expect((await store.load()).entries).toEqual([]);
  } finally {
    await w.close();
  }
});

describe("Ingest.accept() tells a node how many GPUs it must have", () => {
  test("by its pool, in every reply", async () => {
    const w = await joined(1, { pool: "    gpus: 8\n" });
    const [node] = w.nodes();
    if (node === undefined) throw new Error("there is no node");
    const agent = { ...newAgent(node.id), registered: true };
    const answer = await accept(w, reportOf(node.id, agent, w.clock.wallMs()), null);
    expect(answer).toMatchObject({ reply: { expected: { gpus: 8, from: "pool" } } });
  });

  test("not at all where nothing says", async () => {
    const { w, id } = await one();
    const agent = { ...newAgent(id), registered: true };
    const answer = await accept(w, reportOf(id, agent, w.clock.wallMs()), null);
    expect(answer.kind === "reply" && answer.reply.expected).toBe(undefined);
  });
});

describe("Ingest.accept() of a name that differs from another in case only", () => {
  const plain = (name: string, boot: number) => (w: World) =>
    accept(w, reportOf(name, { ...newAgent("other"), boot }, w.clock.wallMs()), name);

  test("takes the first for a node and refuses the second", async () => {
    const { w } = await one();
    expect(await plain("GPU-9", 1)(w)).toMatchObject({ kind: "reply" });
    const second = await plain("gpu-9", 2)(w);
    expect(second).toMatchObject({ kind: "denied", message: expect.stringContaining("GPU-9") });
    expect(w.nodes().filter((node) => /^gpu-9$/i.test(node.id))).toHaveLength(1);
    expect(await plain("GPU-9", 1)(w)).toMatchObject({ kind: "reply" });
  });

  test("also when both come before either is known", async () => {
    const { w } = await one();
    const now = w.clock.wallMs();
    const said = ["gpu-8", "Gpu-8"].map((name) =>
      w.ingest.accept(reportOf(name, newAgent("other"), now), name as NodeId),
    );
    await w.clock.pass(10);
    const kinds = (await Promise.all(said)).map((answer) => answer.kind);
    expect(kinds).toEqual(["reply", "denied"]);
  });

  test("a stranger's claim to a name reserves nothing", async () => {
    const { w } = await one();
    const report = reportOf("GPU-7", newAgent("other"), w.clock.wallMs());
    expect(await accept(w, report, "someone-else")).toMatchObject({ kind: "denied" });
    expect(await plain("gpu-7", 2)(w)).toMatchObject({ kind: "reply" });
  });
});
