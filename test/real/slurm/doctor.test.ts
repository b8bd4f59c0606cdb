/**
 * What an operator sees of a real Slurm: `doctor`, the metrics and `/readyz`, each with something
 * wrong on purpose.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Diagnosis } from "../../../cli/diagnosis-row.ts";
import { askRights } from "../../../reconciler/slurm/rights.ts";
import { buildStale, cleanEnv, NAVARCH, Plane, until } from "../../fixture/plane/plane.ts";
import { openSlurm, type SlurmCluster } from "./cluster.ts";
import { missesSlurm } from "./package.ts";
import { clientOf } from "./sink-bed.ts";

const isMissing = await missesSlurm("what an operator sees of Slurm");
setDefaultTimeout(240_000);

const LATE_MS = 60_000;
const folder = mkdtempSync(join(tmpdir(), "navarch-doctor-"));

describe.skipIf(isMissing)("an operator's view of Slurm", () => {
  let slurm: SlurmCluster;
  let plane: Plane;

  beforeAll(async () => {
    await buildStale();
    chmodSync(folder, 0o755);
    symlinkSync(NAVARCH, join(folder, "slurm-resume"));
    writeFileSync(join(folder, "slurm-suspend"), "#!/bin/sh\n", { mode: 0o755 });
    slurm = await openSlurm({
      nodes: 3,
      conf: [
        `ResumeProgram=${folder}/slurm-resume`,
        `SuspendProgram=${folder}/slurm-suspend`,
        "ResumeTimeout=60",
      ],
    });
    plane = new Plane(`
slurm: { enabled: true, conf: ${slurm.conf}, poll_interval: 2s }
simulation: { enabled: true }
safety: { breaker: { enabled: false } }
providers: { fake: { gpu_count: 8, boot_delay: 1s, terminate_delay: 1s } }
pools:
  - name: training
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: 2, max_nodes: 3 }
    health: { unhealthy_threshold: 1, auto_replace: false }
    slurm: { partition: absent, nodes: "n[0-1],n9" }
`);
    await plane.start();
    await until("both nodes have their NodeNames", LATE_MS, async () => {
      const nodes = await plane.serving();
      return (nodes.length === 2 && nodes.every(({ slurm: one }) => one != null)) || null;
    });
  });
  afterAll(async () => {
    await plane?.destroy();
    await slurm?.close();
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  async function navarch(...words: readonly string[]) {
    const env = { SLURM_CONF: slurm.conf, NAVARCH_AUTH_TOKEN: plane.adminToken };
    const child = Bun.spawn([NAVARCH, ...words, "-o", "json"], { env: cleanEnv(env) });
    const [out, code] = await Promise.all([new Response(child.stdout).text(), child.exited]);
    return { code, rows: JSON.parse(out) as Diagnosis[] };
  }
  const doctor = (...words: readonly string[]) =>
    navarch("doctor", ...words, `--server=${plane.url}`);
  const said = (rows: readonly Diagnosis[], check: string) =>
    rows.filter((row) => row.check === check).map((row) => `${row.outcome}: ${row.message}`);

  async function metric(name: string): Promise<number | null> {
    const page = await (await plane.fetch("/metrics")).text();
    const line = page.split("\n").find((one) => one.startsWith(`${name} `));
    return line === undefined ? null : Number(line.slice(name.length + 1));
  }

  test("doctor names what Slurm and the configuration do not share", async () => {
    const { code, rows } = await doctor("slurm");
    expect(code).toBe(0);
    expect(said(rows, "controller")[0]).toMatch(/^ok: scontrol, Slurm 22.05.8: 3 nodes, listed/);
    expect(said(rows, "rights")).toEqual(["ok: may drain and release nodes"]);
    const key = "slurm.nodes of pool training";
    expect(said(rows, "unknown names")).toEqual([`warn: Slurm does not list n9 (${key})`]);
    expect(said(rows, "unknown partition")[0]).toContain("Slurm shows no node in absent");
    expect(said(rows, "unclaimed")).toEqual(["warn: no node or pool here has n2"]);
    expect(await metric("navarch_slurm_unknown_names")).toBe(1);
    expect(await metric("navarch_slurm_unclaimed_nodes")).toBe(1);
    expect(await metric("navarch_slurm_dark")).toBe(0);
    expect(await metric('navarch_slurm_nodes{owner="none"}')).toBe(2);
    expect(await metric('navarch_slurm_calls_total{verb="list",outcome="ok"}')).toBeGreaterThan(0);
  });

  test("the rights are told by the answer to a change of no node", async () => {
    const root = await askRights(clientOf(slurm, "cli"));
    expect(root).toEqual({ allowed: true, message: null });
    const change = ["scontrol", "update", "nodename=navarch-no-such-node", "reason=x"];
    const nobody = await slurm.run(["runuser", "-u", "nobody", "--", ...change]);
    const message = `${nobody.stderr}${nobody.stdout}`;
    const denied = await askRights({ update: async () => ({ kind: "refused", message }) });
    expect(denied.allowed).toBe(false);
  });

  test("--local finds the short ResumeTimeout and the wrong program", async () => {
    const { code, rows } = await navarch("doctor", "slurm", "--local");
    expect(code).toBe(0);
    expect(said(rows, "commands")[0]).toContain("22.05.8");
    expect(said(rows, "munge")).toEqual(["ok: makes credentials here"]);
    expect(said(rows, "ResumeTimeout")[0]).toStartWith("warn: ResumeTimeout is 60 s");
    expect(said(rows, "PrivateData")).toHaveLength(1);
    expect(said(rows, "ResumeProgram")[0]).toStartWith("ok: ");
    expect(said(rows, "SuspendProgram")[0]).toContain("not navarch");
    rmSync(join(folder, "slurm-suspend"));
    const broken = await navarch("doctor", "slurm", "--local");
    expect([broken.code, said(broken.rows, "SuspendProgram")[0]]).toEqual([
      1,
      `fail: ${folder}/slurm-suspend does not exist`,
    ]);
    const none = await navarch("doctor", "slurm", "--local", `--command-dir=${folder}`);
    expect([none.code, none.rows[0]?.check]).toEqual([1, "commands"]);
  });

  test("a drain is counted and timed, and a node that slurmctld set down is told as such", async () => {
    const [sick, other] = await plane.serving();
    const name = sick?.slurm?.name ?? "";
    const { node_id: id } = sick ?? { node_id: "" };
    const inject = ["sim", "inject", `--node=${id}`, "--xid=79", `--server=${plane.url}`];
    const env = cleanEnv({ NAVARCH_AUTH_TOKEN: plane.adminToken });
    expect(await Bun.spawn([NAVARCH, ...inject], { env, stdout: "ignore" }).exited).toBe(0);
    await slurm.waitState(name, "drained", LATE_MS);
    const drained = 'navarch_scheduler_marks_total{sink="slurm",verb="drain",outcome="ok"}';
    await until("the drain is counted", LATE_MS, async () => (await metric(drained)) === 1 || null);
    expect(await metric('navarch_slurm_drain_seconds_count{pool="training"}')).toBe(1);
    expect(await metric('navarch_slurm_drain_seconds_bucket{le="3",pool="training"}')).toBe(1);
    const down = other?.slurm?.name ?? "";
    await slurm.killNode(down);
    // slurmctld sees a reboot only where the boot is later than the last answer, in whole seconds.
    await Bun.sleep(2_500);
    slurm.startNode(down, { isBoot: true });
    const seen = await until("it is down", LATE_MS, async () => {
      const node = (await plane.nodes()).find(({ node_id: one }) => one === other?.node_id);
      return node?.sinks?.slurm === "slurm" ? node : null;
    });
    expect(seen.slurm?.reason).toStartWith("Node unexpectedly rebooted");
    const events = await plane.events(`&node=${seen.node_id}`);
    const kinds = events.map(({ kind }) => kind);
    expect([kinds.includes("slurm.down"), kinds.includes("slurm.foreign")]).toEqual([true, false]);
    await slurm.scontrol("update", `nodename=${down}`, "state=resume");
  });

  test("a controller that is away is told, and the control plane stays ready", async () => {
    await slurm.stopController();
    await until(
      "it is dark",
      LATE_MS,
      async () => (await metric("navarch_slurm_dark")) === 1 || null,
    );
    expect((await plane.fetch("/readyz")).status).toBe(200);
    expect(await metric('navarch_slurm_nodes{owner="unknown"}')).toBe(2);
    const all = await doctor();
    expect([all.code, said(all.rows, "slurm")[0]]).toEqual([0, expect.stringMatching(/^warn: /)]);
    const { code, rows } = await doctor("slurm");
    expect([code, said(rows, "controller")[0]]).toEqual([1, expect.stringMatching(/^fail: /)]);
    await slurm.startController();
    await until(
      "it is back",
      LATE_MS,
      async () => (await metric("navarch_slurm_dark")) === 0 || null,
    );
  });
});
