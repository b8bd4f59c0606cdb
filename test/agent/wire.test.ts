import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { appendFileSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import type { CommandId } from "../../schema/id.ts";
import { Report } from "../../schema/report.ts";
import { agentBinary, type Running, scratch, startAgent } from "./binary.ts";
import { StubControlPlane, type StubOptions, until } from "./control-plane.ts";

const running: Running[] = [];
const planes: StubControlPlane[] = [];
beforeAll(() => void agentBinary());
afterAll(async () => {
  for (const agent of running) agent.signal("SIGKILL");
  for (const plane of planes) await plane.stop();
});

function plane(options: StubOptions = {}): StubControlPlane {
  const made = new StubControlPlane(options).start();
  planes.push(made);
  return made;
}

/** A simulated node with a kernel log of its own in a file. */
function agent(
  at: StubControlPlane,
  more: { argv?: string[]; env?: Record<string, string>; folder?: string; source?: boolean } = {},
): { running: Running; folder: string; log: string } {
  const folder = more.folder ?? scratch();
  const log = join(folder, "kmsg");
  if (!existsSync(log)) writeFileSync(log, "");
  const argv = [
    "--server",
    at.base,
    "--node-id",
    "sim-1",
    "--fake-gpus",
    "2",
    "--boot-id",
    "boot-1",
    "--spool",
    join(folder, "spool"),
    "--kernel-log",
    log,
    "--sim-faults",
    join(folder, "faults.json"),
    ...(more.argv ?? []),
  ];
  const started = startAgent(argv, { env: more.env ?? {}, source: more.source ?? false });
  running.push(started);
  return { running: started, folder, log };
}

let line = 0;
function write(log: string, code: number): void {
  appendFileSync(
    log,
    `4,${++line},${line * 1000},-;NVRM: Xid (PCI:0000:18:00): ${code}, pid=1, name=x, test\n`,
  );
}
const codes = (at: StubControlPlane) =>
  at.findings.filter((f) => f.kind === "xid").map((f) => f.code);

describe("navarch-node", () => {
  test("speaks over one WebSocket, obeys a push, and says goodbye on SIGTERM", async () => {
    const at = plane();
    const { running, log } = agent(at);
    await until("two heartbeats", () => at.reports.length >= 2);
    const first = at.reports[0]?.report;
    expect(v.safeParse(Report, first).issues).toBe(undefined);
    expect(first).toMatchObject({ simulated: true, boot_id: "boot-1", node_id: "sim-1" });
    expect(first?.inventory?.gpus).toHaveLength(2);
    expect(first?.inventory?.kernel_version).toBeTruthy();
    expect(first?.check).toMatchObject({ conclusive: true, active: [] });
    expect(new Set(at.reports.map((each) => each.by))).toEqual(new Set(["ws"]));
    write(log, 79);
    await until("the finding", () => codes(at).length === 1);
    at.push({ command_id: "c1" as CommandId, type: "diagnose", parameters: {}, fence: 1 });
    at.push({ command_id: "c2" as CommandId, type: "reboot", parameters: {}, fence: 1 });
    const results = () => at.reports.flatMap((each) => each.report.results ?? []);
    await until("both results", () => results().length >= 2);
    expect(
      results()
        .map((result) => [result.command_id, result.outcome] as string[])
        .sort(),
    ).toEqual([
      ["c1", "succeeded"],
      ["c2", "rejected"],
    ]);
    const before = at.reports.length;
    const startMs = performance.now();
    running.signal("SIGTERM");
    expect(await running.exited).toBe(0);
    expect(performance.now() - startMs).toBeLessThan(5_000);
    expect(at.reports.length).toBeGreaterThan(before);
    for (const text of running.log().trim().split("\n")) {
      expect(JSON.parse(text)).toMatchObject({
        time: expect.any(String),
        level: expect.any(String),
        msg: expect.any(String),
      });
    }
  });

  test("goes by POST where upgrades are refused", async () => {
    const at = plane({ noUpgrade: true });
    const { running, log } = agent(at);
    await until("two heartbeats", () => at.reports.length >= 2);
    write(log, 48);
    await until("the finding", () => codes(at).length === 1);
    expect(new Set(at.reports.map((each) => each.by))).toEqual(new Set(["post"]));
    expect(running.log()).toContain("upgrade refused");
  });

  test("keeps findings while the control plane is dead, and over its own kill -9", async () => {
    const at = plane();
    const first = agent(at);
    await until("a heartbeat", () => at.reports.length >= 1);
    write(first.log, 1);
    await until("the first finding", () => codes(at).length === 1);
    await at.stop();
    for (let code = 2; code <= 40; code++) write(first.log, code);
    const spooled = () => {
      const files = new Bun.Glob("*.spool").scanSync(join(first.folder, "spool"));
      return [...files].some((name) =>
        readFileSync(join(first.folder, "spool", name), "utf8").includes('"code":40,'),
      );
    };
    await until("the last finding on disk", spooled);
    await until("a complaint", () =>
      first.running.log().includes("cannot reach the control plane"),
    );
    first.running.signal("SIGKILL");
    await first.running.exited;
    agent(at, { folder: first.folder });
    for (let code = 41; code <= 50; code++) write(first.log, code);
    at.start();
    await until("all findings", () => codes(at).length >= 50, 12_000);
    await until("another heartbeat", () => at.reports.at(-1)?.report.findings?.length === 0);
    expect(codes(at)).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
  }, 20_000);

  test("lives through 401, takes a new token from the file, and shows none", async () => {
    const tokens = new Set(["right-7c1e"]);
    const at = plane({ tokens });
    const folder = scratch();
    const file = join(folder, "token");
    writeFileSync(file, "wrong-55ab\n");
    const { running } = agent(at, {
      folder,
      argv: ["--auth-token-file", file],
      env: { NAVARCH_AUTH_TOKEN: "other-99cd" },
    });
    await until("a refusal", () => at.refused >= 2);
    await until("a word of it", () => running.log().includes("refuses this node's credential"));
    expect(running.log().match(/refuses this node's credential/g)).toHaveLength(1);
    writeFileSync(file, "right-7c1e\n");
    await until("a report", () => at.reports.length >= 1, 12_000);
    expect(running.log()).not.toMatch(/right-7c1e|wrong-55ab|other-99cd/);
  }, 20_000);

  test("exchanges the shared token for its own credential and keeps it over a restart", async () => {
    const own = "own-1f2e3d";
    const at = plane({
      tokens: new Set(["shared-aa", own]),
      exchange: { shared: "shared-aa", own },
    });
    const env = { NAVARCH_AUTH_TOKEN: "shared-aa" };
    const { running, folder } = agent(at, { env });
    await until("a report with the own credential", () =>
      at.reports.some((each) => each.token === own),
    );
    const file = join(folder, "spool", "credential.json");
    expect(statSync(file).mode & 0o777).toBe(0o600);
    running.signal("SIGTERM");
    await running.exited;
    at.reports.length = 0;
    const again = agent(at, { folder, env });
    await until("a report", () => at.reports.length > 0);
    expect(at.reports[0]?.token).toBe(own);
    expect(again.running.log() + running.log()).not.toContain(own);
  });

  test("tells a fault of a simulated GPU, and that it is over", async () => {
    const at = plane();
    const { folder } = agent(at);
    await until("a heartbeat", () => at.reports.length >= 1);
    writeFileSync(join(folder, "faults.json"), JSON.stringify({ gpus: { 1: { rc: 15 } } }));
    await until("the loss", () => at.findings.some((finding) => finding.kind === "lost"));
    writeFileSync(join(folder, "faults.json"), JSON.stringify({ mode: "crashed" }));
    await until("the crash", () => at.findings.some((finding) => finding.kind === "driver"));
    writeFileSync(join(folder, "faults.json"), "{}");
    const clean = () => at.reports.at(-1)?.report.check?.active.length === 0;
    await until("a clean check", clean);
  });

  test("serves metrics on loopback", async () => {
    const at = plane();
    const free = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
    const port = free.port ?? 0;
    await free.stop(true);
    agent(at, { argv: ["--metrics-addr", `127.0.0.1:${port}`] });
    await until("a heartbeat", () => at.reports.length >= 1);
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    expect(text).toMatch(
      /^DCGM_FI_DEV_GPU_TEMP\{gpu="0",UUID="GPU-[^"]+",pci_bus_id="00000000:18:00.0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3",hostname="sim-1",DCGM_FI_DRIVER_VERSION="[0-9.]+"\} \d+$/m,
    );
    expect(text).toContain('navarch_gpus_present{node="sim-1"} 2');
    expect(text).toContain("# TYPE DCGM_FI_DEV_PCIE_REPLAY_COUNTER counter");
    expect(text).toMatch(/^navarch_agent_memory_bytes\{node="sim-1",process="agent"\} \d+$/m);
    for (const bad of ["NaN", "Infinity", "922337203685477"]) expect(text).not.toContain(bad);
    const names = [...text.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1]);
    expect(new Set(names).size).toBe(names.length);
  });

  test("runs from source too", async () => {
    const at = plane();
    const { running } = agent(at, { source: true });
    await until("a heartbeat", () => at.reports.length >= 1);
    running.signal("SIGTERM");
    expect(await running.exited).toBe(0);
  });

  test("goes on in memory when the spool cannot be used, and says so", async () => {
    const at = plane();
    const folder = scratch();
    writeFileSync(join(folder, "file"), "");
    agent(at, { folder, argv: ["--spool", join(folder, "file", "spool")] });
    await until("the finding", () =>
      at.findings.some((finding) => finding.reason === "spool_memory"),
    );
  });
});
