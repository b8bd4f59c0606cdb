/**
 * Both schedulers at once: a real slurmctld and a real API server hold the same machines, and one
 * repair drains, awaits and releases in both. Judged by scontrol, the Node objects and the cloud's
 * journal, not by the product's word.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { AuditRecord } from "../../../schema/audit.ts";
import type { EventView, ExplainView, NodeView } from "../../../schema/api.ts";
import { buildStale, cleanEnv, NAVARCH, until } from "../../fixture/plane/plane.ts";
import { type Cluster, openCluster } from "../kubernetes/cluster.ts";
import { Joined } from "../kubernetes/joined.ts";
import { openSlurm, type SlurmCluster } from "./cluster.ts";
import { missesSlurm } from "./package.ts";

const isMissing = await missesSlurm("both schedulers at once");
setDefaultTimeout(240_000);

let cluster: Cluster;
beforeAll(async () => {
  if (isMissing) return;
  await buildStale();
  cluster = await openCluster();
}, 240_000);
afterAll(async () => {
  if (!isMissing) expect(await cluster.close()).toEqual([]);
}, 60_000);

type MarkRecord = AuditRecord & { detail: Exclude<AuditRecord["detail"], string> };

const OPEN = "{ pool: 100%, domain: 100%, fleet: 100% }";

class Stage {
  readonly slurm: SlurmCluster;
  readonly joined: Joined;

  constructor(slurm: SlurmCluster, repairs: boolean) {
    this.slurm = slurm;
    const health = `unhealthy_threshold: 1, max_unavailable: 100%, auto_replace: ${repairs}`;
    this.joined = new Joined(cluster, {
      size: 2,
      health,
      pool: '    slurm: { nodes: "n[0-1]" }\n    drain: { timeout: 0s, fatal_timeout: 0s }',
      more: `slurm: { enabled: true, conf: ${slurm.conf}, poll_interval: 2s }
simulation: { enabled: true }
safety: { budgets: { isolate: ${OPEN}, drain: ${OPEN}, replace: ${OPEN} } }`,
      nameOf: (instance) => `gpu-${instance}`,
    });
  }

  async open(): Promise<void> {
    await this.joined.start(2);
    await until("both nodes have their NodeNames", 30_000, async () => {
      const nodes = await this.joined.plane.serving();
      return nodes.every(({ slurm }) => slurm != null) || null;
    });
  }

  async close(): Promise<void> {
    expect(await this.joined.close()).toEqual([]);
    await this.slurm.close();
  }

  /** The node that has the NodeName now. */
  async of(name: string): Promise<NodeView> {
    const nodes = await this.joined.plane.nodes();
    const found = nodes.find((one) => one.slurm?.name === name && one.phase !== "gone");
    if (found === undefined) throw new Error(`no node has ${name}`);
    return found;
  }

  async inject(name: string, ...words: readonly string[]): Promise<void> {
    const { node_id: node } = await this.of(name);
    await this.navarch("sim", "inject", `--node=${node}`, ...words);
  }

  /** What the command prints. */
  async navarch(...words: readonly string[]): Promise<string> {
    const child = Bun.spawn([NAVARCH, ...words, `--server=${this.joined.plane.url}`], {
      env: cleanEnv({ NAVARCH_AUTH_TOKEN: this.joined.plane.adminToken }),
    });
    const [out, code] = await Promise.all([new Response(child.stdout).text(), child.exited]);
    expect(code).toBe(0);
    return out;
  }

  /** Rows of marks in the audit, by any name of their node. */
  async marks(object: string): Promise<MarkRecord[]> {
    const answer = await this.joined.plane.fetch(`/api/admin/audit?object=${object}`);
    expect(answer.status).toBe(200);
    const rows = (await answer.json()) as AuditRecord[];
    return rows.filter((row): row is MarkRecord => row.actor === "reconciler");
  }

  async reason(name: string): Promise<string> {
    return ((await this.slurm.node(name))?.["Reason"] ?? "").replace(/ \[[^\]]*\]$/, "");
  }

  async cordoned(name: string): Promise<boolean> {
    const { kubernetes_node: object } = await this.of(name);
    return (await this.joined.node(object ?? ""))?.spec.unschedulable === true;
  }

  async events(node: string, ...kinds: readonly string[]): Promise<EventView[]> {
    const all = await this.joined.plane.events(`&node=${node}`);
    return all.filter(({ kind }) => kinds.includes(kind));
  }

  async sinks(name: string) {
    return (await this.of(name)).sinks;
  }

  /** Once the product has seen what others do there. */
  async isHeld(id: string, act: string): Promise<void> {
    await until(`the product sees the ${act}`, LATE_MS, async () => {
      const told = await this.events(id, "slurm.foreign");
      return told.length > 0 || null;
    });
  }

  /** Three polls and five times what a repair took without the hold. */
  async stays(id: string, why: string): Promise<void> {
    await Bun.sleep(30_000);
    const told = await this.joined.plane.get<ExplainView>(`/nodes/${id}/explain`);
    const node = (await this.joined.plane.nodes()).find(({ node_id: one }) => one === id);
    expect(node?.instance?.state).toBe("INSTANCE_STATE_RUNNING");
    expect(`${told.next} ${told.blockers.join(" ")}`).toContain(why);
    expect(await this.events(id, "node.terminating")).toEqual([]);
  }

  live(): number {
    return this.joined.plane.reality().live.length;
  }
}

const SOON_MS = 10_000;
const LATE_MS = 90_000;

describe.skipIf(isMissing)("a node in both schedulers that is not replaced", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = new Stage(await openSlurm({ nodes: 2 }), false);
    await stage.open();
  }, 240_000);
  afterAll(() => stage.close(), 60_000);

  test("A5: one verdict drains in Slurm and cordons in Kubernetes, as one repair", async () => {
    await stage.inject("n0", "--xid=79");
    await stage.slurm.waitState("n0", "drained", SOON_MS);
    const { session_id: session, node_id: id } = await stage.of("n0");
    expect(await stage.reason("n0")).toStartWith(`navarch:${session} XID79`);
    await until("the Node is cordoned", SOON_MS, async () => (await stage.cordoned("n0")) || null);
    const marks = await until("both marks are told", SOON_MS, async () => {
      const told = await stage.events(id, "node.cordoned", "slurm.drained");
      return told.length === 2 ? told : null;
    });
    expect(new Set(marks.map(({ session_id: one }) => one))).toEqual(new Set([session]));
    expect(await stage.sinks("n0")).toEqual({ kubernetes: "own", slurm: "own" });
    const verdict = (await stage.events(id, "node.suspect"))[0]?.at ?? "";
    const tookMs = Math.max(...marks.map(({ at }) => Date.parse(at) - Date.parse(verdict)));
    expect(tookMs).toBeLessThan(3_000);
  });

  test("A5c: both marks are rows of the audit with the id of one repair", async () => {
    const { session_id: session, node_id: id } = await stage.of("n0");
    for (const name of [id, "n0"]) {
      const rows = await stage.marks(name);
      expect([...new Set(rows.map(({ detail }) => detail.repair))]).toEqual([session]);
      const acts = rows.map(({ verb, detail }) => `${verb} ${detail.sink} ${detail.outcome}`);
      expect(acts.sort()).toEqual(["cordon kubernetes ok", "drain slurm ok"]);
    }
    const [drain] = (await stage.marks("n0")).filter(({ verb }) => verb === "drain");
    expect(drain?.detail.text).toBe(await stage.reason("n0"));
  });

  test("A6: a busy node is drained and its job runs to its end", async () => {
    const job = await stage.slurm.sbatch(["-w", "n1", "--gres=gpu:8"], "sleep 12");
    await stage.slurm.waitJob(job, "RUNNING");
    await stage.inject("n1", "--thermal");
    await stage.slurm.waitState("n1", "draining", SOON_MS);
    const busy = await until("its job is shown", SOON_MS, async () => {
      const node = await stage.of("n1");
      return node.slurm?.jobs.some(({ id }) => id === job) ? node : null;
    });
    expect(busy.instance?.state).toBe("INSTANCE_STATE_RUNNING");
    const told = await stage.joined.plane.get<ExplainView>(`/nodes/${busy.node_id}/explain`);
    expect(told.state).toContain(`jobs ${job}`);
    await stage.slurm.waitState("n1", "drained", LATE_MS);
    expect(await stage.slurm.job(job)).toBe("COMPLETED");
  });

  test("A7: its own drain is released, and a person's is never touched", async () => {
    const { node_id: id } = await stage.of("n1");
    await stage.inject("n1", "--clear");
    await stage.slurm.waitState("n1", "idle", LATE_MS);
    expect((await stage.events(id, "slurm.released")).at(-1)?.message).toContain("health-passed");
    await stage.slurm.scontrol("update", "nodename=n1", "state=drain", "reason=maint by alice");
    await stage.inject("n1", "--thermal");
    await until("the Node is cordoned", LATE_MS, async () => (await stage.cordoned("n1")) || null);
    await until(
      "seen as foreign",
      SOON_MS,
      async () => (await stage.sinks("n1"))?.slurm === "foreign" || null,
    );
    await Bun.sleep(4_000);
    expect(await stage.reason("n1")).toBe("maint by alice");
    await stage.inject("n1", "--clear");
    await until("it recovered", LATE_MS, async () => !(await stage.cordoned("n1")) || null);
    await Bun.sleep(6_000);
    expect(await stage.slurm.state("n1")).toBe("drained");
    expect(await stage.reason("n1")).toBe("maint by alice");
    expect(await stage.sinks("n1")).toEqual({ kubernetes: "none", slurm: "foreign" });
    await stage.slurm.scontrol("update", "nodename=n1", "state=undrain");
    await until(
      "it is free",
      LATE_MS,
      async () => (await stage.sinks("n1"))?.slurm === "none" || null,
    );
  });

  test("S34: a person's undrain cancels the repair in both", async () => {
    const { node_id: id } = await stage.of("n1");
    await stage.inject("n1", "--thermal");
    await stage.slurm.waitState("n1", "drained", LATE_MS);
    await until(
      "its mark is noted",
      SOON_MS,
      async () => (await stage.sinks("n1"))?.slurm === "own" || null,
    );
    await stage.slurm.scontrol("update", "nodename=n1", "state=undrain");
    await until("it is uncordoned", LATE_MS, async () => !(await stage.cordoned("n1")) || null);
    expect((await stage.events(id, "slurm.undrained")).at(-1)?.actor).toBe("human");
    await Bun.sleep(4_000);
    expect(await stage.slurm.state("n1")).toBe("idle");
  });
});

describe.skipIf(isMissing)("a node in both schedulers while slurmctld hangs", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = new Stage(await openSlurm({ nodes: 2 }), false);
    await stage.open();
  }, 240_000);
  afterAll(() => stage.close(), 60_000);

  const SLACK_MS = 3_000;
  /** From its hang until the verdict: Slurm is not known to be away yet, and then it is. */
  test.each([
    ["n0", 0],
    ["n1", 15_000],
  ] as const)("S29: %s is cordoned at once, %d ms after the hang", async (name, afterMs) => {
    const { node_id: id } = await stage.of(name);
    stage.slurm.room.signal("slurmctld", "SIGSTOP");
    try {
      await Bun.sleep(afterMs);
      const startMs = performance.now();
      await stage.inject(name, "--thermal");
      const cordonedMs = await until("the Node is cordoned", SOON_MS, async () =>
        (await stage.cordoned(name)) ? performance.now() - startMs : null,
      );
      // The operation ends although Slurm has said nothing.
      const closedMs = await until("the cordon is an event", 2 * SOON_MS, async () => {
        const told = await stage.events(id, "node.cordoned");
        return told.length > 0 ? performance.now() - startMs : null;
      });
      const ms = [cordonedMs, closedMs].map(Math.round);
      console.log(`S29: hang for ${afterMs} ms: cordoned after ${ms.join(" ms, ended after ")} ms`);
      expect(cordonedMs).toBeLessThan(SLACK_MS);
      expect(closedMs).toBeLessThan((afterMs === 0 ? 10_000 : 0) + SLACK_MS);
      expect(await stage.events(id, "slurm.drained")).toEqual([]);
    } finally {
      stage.slurm.room.signal("slurmctld", "SIGCONT");
    }
    await stage.slurm.waitState(name, "drained", LATE_MS);
    expect(await stage.reason(name)).toStartWith("navarch:");
    await until("both hold it", SOON_MS, async () => {
      const sinks = await stage.sinks(name);
      return (sinks?.kubernetes === "own" && sinks.slurm === "own") || null;
    });
  });
});

describe.skipIf(isMissing)("a node in both schedulers that is replaced", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = new Stage(await openSlurm({ nodes: 2 }), true);
    await stage.open();
  }, 240_000);
  afterAll(() => stage.close(), 60_000);

  let drained = "";
  test("A8: while the controller is away nothing ends, and nothing is called empty", async () => {
    const job = await stage.slurm.sbatch(["-w", "n1", "--gres=gpu:1"], "sleep 45");
    await stage.slurm.waitJob(job, "RUNNING");
    const before = await stage.of("n1");
    drained = before.node_id;
    await stage.inject("n1", "--xid=79");
    await stage.slurm.waitState("n1", "draining", SOON_MS);
    // Or the answer to the drain may be lost, and its audit row says that it is unknown.
    await until("the drain is recorded", SOON_MS, async () => {
      const rows = await stage.marks("n1");
      return rows.some(({ detail, verb }) => detail.sink === "slurm" && verb === "drain") || null;
    });
    await stage.slurm.stopController();
    await Bun.sleep(30_000);
    const during = await stage.of("n1");
    expect(during.node_id).toBe(before.node_id);
    expect([during.sinks?.slurm, during.instance?.state]).toEqual([
      "unknown",
      "INSTANCE_STATE_RUNNING",
    ]);
    const asked = performance.now();
    expect((await stage.joined.plane.fetch("/healthz")).status).toBe(200);
    expect(performance.now() - asked).toBeLessThan(1_000);
    const told = await stage.joined.plane.get<ExplainView>(`/nodes/${before.node_id}/explain`);
    expect(told.state).toContain("n1 in Slurm is unknown");
    expect(stage.live()).toBe(2);
    await stage.slurm.startController();
    // A controller that just began shows the node drained while the job still runs there.
    for (;;) {
      const node = await stage.of("n1");
      const state = await stage.slurm.job(job);
      if (state !== "RUNNING" && state !== "COMPLETING") break;
      expect(node.instance?.state).toBe("INSTANCE_STATE_RUNNING");
      await Bun.sleep(200);
    }
    expect(await stage.slurm.job(job)).toBe("COMPLETED");
  });

  test("A9: the replacement has the name, and is released once it has registered", async () => {
    // The machine of A8 is ended now that it is drained; its slurmd ends with it.
    const next = await until("another node has its name and serves", LATE_MS, async () => {
      const one = await stage.of("n1");
      return one.node_id !== drained && one.phase === "serving" ? one : null;
    });
    await stage.slurm.killNode("n1");
    await Bun.sleep(5_000);
    expect(await stage.slurm.state("n1")).toMatch(/^(drained|down)/);
    expect(await stage.events(next.node_id, "slurm.released")).toEqual([]);
    const told = await stage.joined.plane.get<ExplainView>(`/nodes/${next.node_id}/explain`);
    expect(told.blockers.join()).toContain("has not registered with a new BootTime");
    stage.slurm.startNode("n1", { isBoot: true });
    await stage.slurm.waitState("n1", "idle", LATE_MS);
    const released = (await stage.events(next.node_id, "slurm.released")).at(-1);
    expect(released?.message).toContain("boot-changed health-passed");
    expect(released?.session_id).toStartWith(drained);
    expect(stage.live()).toBe(2);
  });

  test("A9c: the audit tells on what conditions it was released", async () => {
    const told = await stage.navarch("audit", "--object=n1", "--verb=undrain");
    expect(told).toContain("boot-changed health-passed");
    const rows = await stage.marks("n1");
    const inSlurm = rows.filter(({ detail }) => detail.sink === "slurm");
    expect(inSlurm.map(({ verb, result }) => `${verb} ${result}`)).toEqual([
      "undrain ok",
      "drain ok",
    ]);
    const repairs = inSlurm.map(({ detail }) => detail.repair);
    expect(repairs[0]).toStartWith(`${drained}.s`);
    expect(new Set(repairs).size).toBe(1);
  });

  test("I10: nothing ends while a MAINT reservation holds the node, and then it does", async () => {
    const { node_id: id } = await stage.of("n0");
    const reservation = "reservationname=pm starttime=now duration=60 flags=maint,ignore_jobs";
    const words = reservation.split(" ");
    await stage.slurm.scontrol("create", "reservation", ...words, "users=root", "nodes=n0");
    await stage.isHeld(id, "reservation");
    await stage.inject("n0", "--xid=79");
    await stage.slurm.waitState("n0", /drained/, LATE_MS);
    await stage.stays(id, "MAINT reservation");
    await stage.slurm.scontrol("delete", "reservationname=pm");
    await until(
      "it is ended",
      LATE_MS,
      async () =>
        (await stage.joined.plane.nodes()).every(({ node_id: one }) => one !== id) || null,
    );
  });

  test("I10: a drain that a person takes over in the middle of a repair is theirs", async () => {
    const { node_id: id } = await stage.of("n1");
    const job = await stage.slurm.sbatch(["-w", "n1", "--gres=gpu:1"], "sleep 300");
    await stage.slurm.waitJob(job, "RUNNING");
    await stage.inject("n1", "--xid=79");
    await stage.slurm.waitState("n1", "draining", LATE_MS);
    await stage.slurm.scontrol("update", "nodename=n1", "state=drain", "reason=new fans");
    await stage.isHeld(id, "drain");
    await stage.slurm.must("scancel", job);
    await stage.slurm.waitState("n1", "drained", LATE_MS);
    await stage.stays(id, "drained in Slurm by root (new fans)");
    expect(await stage.reason("n1")).toBe("new fans");
  });
});
