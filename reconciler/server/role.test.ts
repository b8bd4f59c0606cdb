/** What a standby shows of another one's fleet, and what a process does that leads alone. */
import { afterEach, describe, expect, test } from "bun:test";
import { configOf, poolYaml } from "../../test/world/setting.ts";
import {
  closeLeaderships,
  countOf,
  during,
  OTHER,
  pass,
  setUpParts,
} from "../../test/fixture/plane/leadership.ts";
import { credentialOf, nodeOf } from "../../test/fixture/plane/rows.ts";
import type { EventDraft } from "../../schema/event.ts";
import { hashToken } from "../security/auth.ts";
import { emptyChange, type Store } from "../core/store.ts";
import { openOwnLeadership } from "./leadership.ts";
import { openStandby, type Parts } from "./role.ts";

afterEach(closeLeaderships);

describe("a standby", () => {
  const standBy = async () => {
    const all = await setUpParts();
    await all.table.take(null, { ...OTHER, address: "" });
    const leadership = await all.shared(60_000);
    leadership.begin();
    await pass(all.clock, 100);
    const leader = await all.openStore();
    const led = leader.led(1, () => undefined);
    return { ...all, leadership, led };
  };
  const namesOf = ({ leadership }: Awaited<ReturnType<typeof standBy>>): string[] => [
    ...leadership.front().ports.reconciler.fleet().nodes.keys(),
  ];

  test("shows what the leader has written within a look, and lets in whom it knows", async () => {
    const all = await standBy();
    const { clock, led, page, leadership } = all;
    expect(namesOf(all)).not.toContain("n-7");
    await led.commit({ ...emptyChange(), nodes: [nodeOf("n-7")] });
    await pass(clock, 2_600);
    expect(namesOf(all)).toContain("n-7");
    expect((await page(leadership, "/v1/nodes", "viewer-token")).status).not.toBe(200);
    await led.saveCredential({ ...credentialOf("c"), hash: hashToken("viewer-token") });
    await pass(clock, 2_600);
    expect((await page(leadership, "/v1/nodes", "viewer-token")).status).toBe(200);
  });

  test.each<[string, string, string | null]>([
    ["forgets why it could not lead, once another one leads", "z", null],
    ["still knows why it could not lead, while nobody does", "", "no state folder"],
  ])("%s", async (_name, holder, left) => {
    const { parts, store } = await setUpParts();
    const row = { holder, epoch: 1, renewal: 0, address: "", writes: 0 };
    const unfit = { why: "no state folder" as string | null };
    const standby = await openStandby(parts, { store, lease: () => row, unfit });
    expect(unfit.why).toBe(left);
    await standby.stop(0);
  });

  test("repeats no line of the leader's log", async () => {
    const all = await standBy();
    const { clock, led, lines } = all;
    const about = { at: 1, kind: "node.cordoned", node: "n-7", pool: "p", session: null };
    const written = { ...about, actor: "navarch", message: "XID 79" } as EventDraft;
    await led.commit({ ...emptyChange(), nodes: [nodeOf("n-7")], events: [written] });
    await pass(clock, 2_600);
    expect(namesOf(all)).toContain("n-7");
    expect(lines.filter((line) => JSON.stringify(line).includes("n-7"))).toEqual([]);
  });

  test("that is stopped answers no more of the fleet", async () => {
    const { clock, leadership } = await standBy();
    await during(clock, leadership.stop(0));
    const request = new Request("http://here/v1/nodes");
    const answer = await leadership.front().answer(request, "/v1/nodes", "");
    expect(answer.status).toBe(503);
  });

  test("shows the fleet from the start, before its first look at the lease", async () => {
    const { store, client, clock, shared, table } = await setUpParts();
    await table.take(null, OTHER);
    await client.execute("UPDATE lease SET holder = ''");
    await store.led(1, () => undefined).commit({ ...emptyChange(), nodes: [nodeOf("n-7")] });
    const leadership = await shared();
    expect([...leadership.front().ports.reconciler.fleet().nodes.keys()]).toEqual(["n-7" as never]);
    await pass(clock, 100);
  });

  test("notices another leader by the epoch, though nothing was written", async () => {
    const all = await standBy();
    const { clock, client } = all;
    await client.execute("UPDATE lease SET writes = 1");
    await pass(clock, 2_600);
    const doc = JSON.stringify(nodeOf("n-8"));
    const sql = "INSERT INTO node VALUES ('n-8', 'p', 'serving', null, ?)";
    await client.execute({ sql, args: [doc] });
    await pass(clock, 5_000);
    expect(namesOf(all)).not.toContain("n-8");
    await client.execute("UPDATE lease SET epoch = 2");
    await pass(clock, 2_600);
    expect(namesOf(all)).toContain("n-8");
  });

  test("is old, and says so, while the lease or cannot read the fleet", async () => {
    const all = await standBy();
    const { clock, store, client, page, leadership, said, state } = all;
    await pass(clock, 20_000);
    expect((await page(leadership, "/readyz")).text).not.toContain("not read for");
    const read = store.load.bind(store);
    store.load = () => Promise.reject(new Error("no route"));
    await client.execute("UPDATE lease SET writes = writes + 1");
    await pass(clock, 15_000);
    expect((await page(leadership, "/readyz")).text).toMatch(/store: not read for 1[0-9] s/);
    const told = ["warn", "cannot read the fleet", { error: "Error: no route" }];
    expect(said("cannot read the fleet")[0]).toEqual(told);
    store.load = read;
    await pass(clock, 3_000);
    expect((await page(leadership, "/readyz")).text).not.toContain("not read for");
    expect(state.turned.every(Boolean)).toBe(true);
    await client.execute("UPDATE lease SET renewal = renewal + 1");
    await pass(clock, 2_600);
    const turns = state.turned.length;
    await client.execute("ALTER TABLE lease RENAME TO lost");
    await pass(clock, 15_000);
    expect(state.turned.slice(turns)).toEqual(Array(6).fill(false));
    expect((await page(leadership, "/readyz")).text).toContain("not read for");
    await client.execute("ALTER TABLE lost RENAME TO lease");
  });
});

const TWO = `
providers: { fake: { gpu_count: 2 }, far: { type: gcp, project: x, zone: y } }
pools:
  - { name: q, provider: fake, instance_type: t, scaling: { min_nodes: 0, max_nodes: 1 } }
`;

describe("openOwnLeadership()", () => {
  const openOwn = async (more: (parts: Parts, store: Store) => void | Promise<void> = () => {}) => {
    const all = await setUpParts("memory:");
    await more(all.parts, all.store);
    const leadership = await openOwnLeadership(all.parts, all.store);
    all.keep(leadership);
    return { ...all, leadership };
  };

  test("leads from the start and acts from begin() on, until it is stopped", async () => {
    const { clock, leadership, leads, cloud, state, lines } = await openOwn();
    expect(await leads(leadership)).toBe(true);
    await pass(clock, 3_000);
    expect(await countOf(cloud)).toBe(0);
    leadership.begin();
    await pass(clock, 3_000);
    expect(await countOf(cloud)).toBe(1);
    await during(clock, leadership.stop(0));
    expect(state.closed).toBe(1);
    const request = new Request("http://here/v1/nodes");
    const answer = await leadership.front().answer(request, "/v1/nodes", "");
    expect(answer.status).toBe(503);
    await pass(clock, 100);
    expect(lines.filter(([level]) => level === "error")).toEqual([]);
  });

  test("says that it must not act once somebody else writes there", async () => {
    const { clock, leadership, said, client, cloud } = await openOwn();
    await client.execute("UPDATE lease SET epoch = epoch + 1");
    leadership.begin();
    await pass(clock, 3_000);
    const why = { why: "the database has another writer" };
    const told = ["error", "this process no longer acts", why];
    expect(said("this process no longer acts")).toEqual([told]);
    expect(await countOf(cloud)).toBe(0);
  });

  test("says which pools a provider that cannot be opened leaves without machines", async () => {
    const { said } = await openOwn((parts) => {
      const yaml = poolYaml(1).replace("pools:", TWO.slice(TWO.indexOf("pools:")).trim());
      parts.loaded.config = configOf(yaml);
      parts.openProviders = async () => ({
        providers: new Map(),
        unavailable: new Map([
          ["fake", "no folder"],
          ["far", "no key"],
        ]),
      });
    });
    expect(said("a provider cannot supply machines").map(([, , fields]) => fields)).toEqual([
      { provider: "fake", why: "no folder", pools: ["q", "p"] },
      { provider: "far", why: "no key", pools: [] },
    ]);
  });

  test("sets aside what it cannot read, says so and counts it; knows its credentials", async () => {
    const { clock, leadership, said, page, parts } = await openOwn(async (_parts, store) => {
      await store.saveCredential(credentialOf("c"));
      const writer = Reflect.get(store, "base") as { writer: { execute(sql: string): unknown } };
      await writer.writer.execute("INSERT INTO node VALUES ('n-1','p','serving',null,'{')");
    });
    leadership.begin();
    await pass(clock, 3_000);
    const fields = { source: "node", key: "n-1", node: "n-1", reason: "not JSON, 1 characters" };
    const told = ["error", "a stored row cannot be read and was quarantined", fields];
    expect(said("a stored row cannot be read and was quarantined")).toEqual([told]);
    expect(parts.authority.get("c")?.id).toBe("c");
    const { text } = await page(leadership, "/metrics");
    expect(text).toContain('navarch_store_quarantined_rows_total{source="node"} 1');
  });

  test("logs each event that it commits, whoever wrote it", async () => {
    const { clock, leadership, said } = await openOwn();
    const before = said("machine bought");
    leadership.begin();
    await pass(clock, 3_000);
    expect([before.length, said("machine bought").length]).toEqual([0, 1]);
    const [line] = said("node requested");
    const fields = { event: "node.requested", node: "fleet-p-0-1", kube_node: null, pool: "p" };
    expect(line).toMatchObject(["info", "node requested", fields]);
    const body = JSON.stringify({ role: "viewer", label: "ann" });
    const headers = { Authorization: "Bearer root", "content-type": "application/json" };
    const request = new Request("http://here/v1/tokens", { method: "POST", headers, body });
    await during(clock, leadership.front().answer(request, "/v1/tokens", "10.0.0.1"));
    expect(said("credential created")).toHaveLength(1);
  });

  test("starts and stops the notifier with its role", async () => {
    const told: string[] = [];
    const { clock, leadership } = await openOwn((parts) => {
      parts.openNotifier = () =>
        ({ start: () => told.push("start"), stop: () => told.push("stop") }) as never;
    });
    expect(told).toEqual([]);
    leadership.begin();
    await pass(clock, 100);
    expect(told).toEqual(["start"]);
    await during(clock, leadership.stop(0));
    expect(told).toEqual(["start", "stop"]);
  });
});
