import { describe, expect, test } from "bun:test";
import type { Finding } from "../../schema/finding.ts";
import type { BootId, CommandId, NodeId, StreamId } from "../../schema/id.ts";
import type { AgentCommand, AgentNotice, Report, ReportReply } from "../../schema/report.ts";
import * as v from "valibot";
import { Report as ReportSchema } from "../../schema/report.ts";
import { Orders } from "../command/order.ts";
import { Agent } from "./core.ts";
import { EMPTY_HOST_MEMORY } from "../host/probe.ts";
import { type HostReading, NOTHING_READ } from "../host/reading.ts";
import { HostWatch } from "../host/watch.ts";
import type { GpuTable } from "../kernel/finding.ts";
import { healthyCheck, openFakeNvml, type FakeNvml } from "../../test/fixture/nvml/fake.ts";
import type { AgentParts, OrderGuard } from "./part.ts";
import type { Clock, KernelCursor, KernelRecordOut, SendAnswer } from "../port/port.ts";
import { Promises } from "./promise.ts";
import { formatMetrics } from "./metrics.ts";
import { EMPTY_MEMORY } from "../probe/probe.ts";
import { createMemoryStorage, type SpoolStorage } from "../spool/spool-storage.ts";
import { Spool } from "../spool/spool.ts";

/** Time that passes only when told to; work that is due runs in order, promises in between. */
class VirtualClock implements Clock {
  now = 0;
  #serial = 0;
  #work: { at: number; serial: number; work: () => void }[] = [];
  wallMs = () => Date.parse("2026-03-01T10:00:00Z") + this.now;
  monoMs = () => this.now;
  after(ms: number, work: () => void): () => void {
    const entry = { at: this.now + ms, serial: ++this.#serial, work };
    this.#work.push(entry);
    return () => {
      this.#work = this.#work.filter((each) => each !== entry);
    };
  }
  async pass(ms: number): Promise<void> {
    const end = this.now + ms;
    for (;;) {
      await settle();
      const due = this.#work.filter((each) => each.at <= end);
      due.sort((a, b) => a.at - b.at || a.serial - b.serial);
      const next = due[0];
      if (!next) break;
      this.#work = this.#work.filter((each) => each !== next);
      this.now = Math.max(this.now, next.at);
      next.work();
    }
    this.now = end;
  }
}
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

const BOOT = "boot-1" as BootId;
/** What an order must prove is `key-trust.test.ts`. */
const ANY_ORDER: OrderGuard = {
  shown: () => undefined,
  judge: () => null,
  noteRefusal: () => true,
  view: () => ({ transport: "loopback", key: null, source: null, refused: 0, last_refusal: null }),
};

function xid(code: number, seq: number, severity: Finding["severity"] = "fatal"): Finding {
  return {
    kind: "xid",
    code,
    reason: null,
    pci: "0000:18:00.0",
    gpu_index: 0,
    gpu_uuid: "GPU-0",
    mig: null,
    pid: null,
    process_name: null,
    at: "2026-03-01T10:00:00.000Z",
    boot_id: BOOT,
    severity,
    message: `xid ${code}`,
    metrics: {},
    source: "kmsg",
    foreign: false,
    injected: false,
    kmsg_seq: seq,
  };
}

/** A control plane that remembers what it was told, and may be unreachable. */
class ControlPlane {
  reports: { atMs: number; report: Report }[] = [];
  mode: "up" | "down" | "deny" | "lost_reply" = "up";
  acked = new Map<string, number>();
  seen: Finding[] = [];
  lost = 0;
  more: Partial<ReportReply> = {};
  heard: (reply: ReportReply) => void = () => {};
  readonly clock: VirtualClock;
  constructor(clock: VirtualClock) {
    this.clock = clock;
  }

  reply(report: Report, more: Partial<ReportReply> = {}): ReportReply {
    return {
      ack_seq: this.acked.get(report.stream) ?? 0,
      stream: report.stream,
      node_id: report.node_id,
      config: { heartbeat_ms: 30_000, sample_ms: 10_000, check_ms: 60_000 },
      commands: [],
      server_time: new Date(this.clock.wallMs()).toISOString(),
      want_inventory: false,
      node_status: null,
      verdict: null,
      credential: null,
      ...this.more,
      ...more,
    };
  }

  async send(report: Report): Promise<SendAnswer> {
    expect(v.safeParse(ReportSchema, JSON.parse(JSON.stringify(report))).issues).toBe(undefined);
    expect(JSON.stringify(report).length).toBeLessThan(256 * 1024);
    if (this.mode === "down") return { kind: "unreachable", message: "connection refused" };
    if (this.mode === "deny") return { kind: "unauthorized", message: "401" };
    this.reports.push({ atMs: this.clock.now, report });
    const known = this.acked.get(report.stream) ?? 0;
    const rows = [
      ...(report.findings ?? []).map((row) => ({ seq: row.seq, finding: row.finding, count: 0 })),
      ...(report.gaps ?? []).map((gap) => ({ seq: gap.seq, finding: null, count: gap.count })),
    ].sort((a, b) => a.seq - b.seq);
    let last = known;
    for (const row of rows) {
      if (row.seq <= known) continue;
      expect(row.seq).toBeGreaterThan(last);
      last = row.seq;
      if (row.finding) this.seen.push(row.finding);
      this.lost += row.count;
    }
    this.acked.set(report.stream, last);
    if (this.mode === "lost_reply") return { kind: "unreachable", message: "timed out" };
    return { kind: "reply", reply: this.reply(report) };
  }

  codes(): (number | null | undefined)[] {
    return this.seen.filter((finding) => finding.kind === "xid").map((finding) => finding.code);
  }
}

type World = {
  clock: VirtualClock;
  plane: ControlPlane;
  nvml: FakeNvml;
  agent: Agent;
  spool: Spool;
  kernel: {
    out: KernelRecordOut[];
    opened: (KernelCursor | null)[];
    write(...findings: Finding[]): void;
  };
  logs: string[];
  adopted: string[];
};

function build(
  change: Partial<AgentParts> = {},
  storage: SpoolStorage | null = createMemoryStorage(),
  more: { bytesMax?: number } = {},
): World {
  const clock = new VirtualClock();
  const plane = new ControlPlane(clock);
  const nvml = openFakeNvml(healthyCheck(2));
  const logs: string[] = [];
  const adopted: string[] = [];
  let seq = 0;
  let streams = 0;
  const kernel: World["kernel"] = {
    out: [],
    opened: [],
    write: (...findings) =>
      void kernel.out.push(...findings.map((finding) => ({ kind: "finding" as const, finding }))),
  };
  const spool = new Spool({
    storage,
    streamId: () => `stream-${++streams}`,
    wallMs: clock.wallMs,
    monoMs: clock.monoMs,
    ...more,
  });
  const agent = new Agent({
    clock,
    nvml,
    openKernelLog: (cursor) => {
      kernel.opened.push(cursor);
      return {
        read: (max) => {
          const out = kernel.out.splice(0, max);
          seq += out.length;
          return { out, cursor: seq ? { bootId: BOOT, seq } : null, more: kernel.out.length > 0 };
        },
        close: () => {},
      };
    },
    kernelPollMs: 1_000,
    sender: {
      send: (report) => plane.send(report),
      listen: (heard) => {
        plane.heard = heard;
      },
      connected: () => true,
      close: () => {},
    },
    spool,
    orders: new Orders(null, BOOT, () => {}),
    guard: ANY_ORDER,
    identity: {
      nodeId: "n1" as NodeId,
      bootId: BOOT,
      agentVersion: "1",
      bootWallMs: clock.wallMs() - 3_600_000,
    },
    promises: new Promises(null),
    readBus: () => ({ kind: "unreadable", why: "no fixture" }),
    memory: EMPTY_MEMORY,
    saveMemory: () => {},
    inventory: (gpus) => ({
      hostname: "n1",
      provider: null,
      region: null,
      zone: null,
      instance_type: null,
      provider_ids: [],
      pool: null,
      labels: {},
      internal_ip: null,
      external_ip: null,
      kernel_version: null,
      driver_version: null,
      cuda_version: null,
      gpus,
      capabilities: [],
    }),
    load: () => ({ cpuPercent: null, memoryPercent: null }),
    adopt: (credential) => void adopted.push(credential),
    runCommand: null,
    upgrade: null,
    host: null,
    podToken: () => null,
    notice: () => null,
    random: () => 0.5,
    log: (_, message) => void logs.push(message),
    ...change,
  });
  return { clock, plane, nvml, agent, spool, kernel, logs, adopted };
}

const HUNG = { kind: "unresponsive", evidence: "wchan", abandoned: 1 } as const;

describe("Agent", () => {
  test("start() reports inventory and a full check at once, then heartbeats by the cadence", async () => {
    const { agent, clock, plane } = build();
    agent.start();
    await clock.pass(100);
    expect(plane.reports).toHaveLength(1);
    const first = plane.reports[0]?.report;
    expect(first?.inventory?.gpus).toHaveLength(2);
    expect(first?.check).toMatchObject({ conclusive: true, present_gpus: 2, active: [] });
    await clock.pass(300_000);
    const at = plane.reports.map((each) => each.atMs);
    expect(at.slice(1)).toEqual(
      [30, 60, 90, 120, 150, 180, 210, 240, 270, 300].map((s) => s * 1_000),
    );
    const checks = plane.reports
      .filter((each) => each.report.check)
      .map((each) => each.atMs / 1_000);
    expect(checks).toEqual([0, 60, 120, 180, 240, 300]);
    expect(plane.reports.slice(1).every((each) => !each.report.inventory)).toBe(true);
    expect(plane.reports.slice(1).every((each) => each.report.sample?.gpus.length === 2)).toBe(
      true,
    );
  });

  test("what the control plane says of the number of GPUs is looked at soon, and reported", async () => {
    const { agent, clock, plane } = build();
    plane.more = { expected: { gpus: 3, from: "pool" } };
    agent.start();
    await clock.pass(100);
    expect(plane.seen).toMatchObject([{ kind: "lost", reason: "count", severity: "fatal" }]);
    const check = plane.reports.at(-1)?.report.check;
    expect(check).toMatchObject({ expected_gpus: 3, expected_from: "pool", present_gpus: 2 });
    plane.more = {};
    await clock.pass(61_000);
    expect(plane.reports.findLast((each) => each.report.check)?.report.check?.active).toEqual([]);
  });

  test("a node that shares its stream with another sender loses no finding", async () => {
    const { agent, clock, plane, kernel, spool } = build();
    agent.start();
    await clock.pass(1_000);
    plane.acked.set(spool.stream, 1_000_000);
    kernel.write(xid(79, 1), xid(48, 2));
    await clock.pass(60_000);
    expect(plane.codes()).toEqual([79, 48]);
  });

  test("what was told under a stream that was given up is told again when it is forgotten", async () => {
    const { agent, clock, plane, nvml, spool } = build();
    nvml.set({ kind: "ok", value: healthyCheck(2, { 0: { remapFailure: true } }), durationMs: 1 });
    agent.start();
    await clock.pass(1_000);
    const kinds = () => plane.seen.map(({ kind, reason }) => [kind, reason]);
    expect(kinds()).toEqual([["remap", "failure"]]);
    plane.acked.set(spool.stream, 1_000_000);
    await clock.pass(60_000);
    expect(kinds().slice(1)).toEqual([["host", "stream_renewed"]]);
    // An older backup, or a forged reboot that cleared the node: nothing of this is known any more.
    plane.seen = [];
    plane.acked.clear();
    await clock.pass(60_000);
    expect(kinds()).toEqual([["remap", "failure"]]);
    await clock.pass(300_000);
    expect(kinds()).toHaveLength(1);
  });

  test("what still holds is told again when it is asked for, and the log is not read again", async () => {
    const { agent, clock, plane, kernel, nvml } = build();
    nvml.set({ kind: "ok", value: healthyCheck(2, { 0: { remapFailure: true } }), durationMs: 1 });
    agent.start();
    await clock.pass(1_000);
    plane.seen = [];
    plane.more = { tell_again: true };
    await clock.pass(60_000);
    plane.more = {};
    expect(new Set(plane.seen.map(({ kind }) => kind))).toEqual(new Set(["remap"]));
    // Who asks with every reply is not answered with every reply.
    expect(plane.seen.length).toBeLessThan(10);
    await clock.pass(60_000);
    const told = plane.seen.length;
    await clock.pass(300_000);
    expect(plane.seen).toHaveLength(told);
    expect(kernel.opened).toEqual([null]);
  });

  test("a spool that is gone has told nothing, whatever the memory of probes says", async () => {
    const ill = {
      kind: "ok",
      value: healthyCheck(2, { 0: { remapFailure: true } }),
      durationMs: 1,
    };
    let memory = EMPTY_MEMORY;
    const disk = createMemoryStorage();
    const first = build({ saveMemory: (now) => void (memory = now) }, disk);
    first.nvml.set(ill as never);
    first.agent.start();
    await first.clock.pass(60_000);
    expect(Object.keys(memory.held)).toHaveLength(1);
    for (const [storage, told] of [
      [disk, 0],
      [createMemoryStorage(), 1],
    ] as const) {
      const next = build({ memory }, storage);
      next.nvml.set(ill as never);
      // A new spool begins a stream of its own.
      if (told === 0) next.plane.acked = new Map(first.plane.acked);
      next.agent.start();
      await next.clock.pass(60_000);
      expect(next.plane.seen).toHaveLength(told);
    }
  });

  test("a heartbeat that falls due while a report is under way follows it", async () => {
    const { agent, clock, plane } = build();
    const send = plane.send.bind(plane);
    const begun: number[] = [];
    plane.send = async (report) => {
      begun.push(Math.round(clock.now / 1_000));
      await new Promise<void>((done) => void clock.after(40_000, done));
      return send(report);
    };
    agent.start();
    await clock.pass(130_000);
    expect(begun.map((at) => at - (begun[0] ?? 0))).toEqual([0, 40, 80, 120]);
  });

  test("a notice is sent at once, also while a report is under way, and in each one after", async () => {
    let notice: AgentNotice | null = null;
    const { agent, clock, plane } = build({ notice: () => notice });
    const send = plane.send.bind(plane);
    plane.send = async (report) => {
      await new Promise<void>((done) => void clock.after(200, done));
      return send(report);
    };
    const sent = () => plane.reports.map(({ report }) => report.notice?.message);
    agent.start();
    await clock.pass(100);
    notice = { kind: "preemption", at: null, message: "soon" };
    agent.noticed();
    await clock.pass(500);
    expect(sent()).toEqual([undefined, "soon"]);
    await clock.pass(60_000);
    expect(sent().slice(2)).toEqual(["soon", "soon"]);
    notice = null;
    await clock.pass(30_000);
    expect(sent().at(-1)).toBeUndefined();
  });

  test("a pod's token goes with the inventory alone, as the file has it then", async () => {
    let token: string | null = "first";
    const { agent, clock, plane } = build({ podToken: () => token });
    const sent = () =>
      plane.reports.map(({ report }) => [report.inventory !== null, report.pod_token]);
    agent.start();
    await clock.pass(61_000);
    expect(sent()).toEqual([
      [true, "first"],
      [false, undefined],
      [false, undefined],
    ]);
    expect("pod_token" in (plane.reports[1]?.report ?? {})).toBe(false);
    token = "second";
    const before = plane.reports.length;
    // As a control plane that asks again.
    plane.more = { want_inventory: true };
    await clock.pass(29_000);
    plane.more = {};
    await clock.pass(1_500);
    expect(sent().slice(before)).toContainEqual([true, "second"]);
    token = null;
    plane.more = { want_inventory: true };
    await clock.pass(30_000);
    expect(sent().at(-1)).toEqual([true, undefined]);
  });

  test("a line about a GPU that only the bus shows is this machine's", async () => {
    const pci = "0000:99:00.0";
    const tables: GpuTable[] = [];
    const { agent, clock, plane } = build({
      readBus: () => ({ kind: "read", gpus: [{ pci, driver: null }] }),
      openKernelLog: (_, gpus) => {
        tables.push(gpus());
        return null;
      },
    });
    agent.start();
    await clock.pass(100);
    expect(tables[0]).toContainEqual({ index: null, uuid: null, pci });
    expect(plane.seen).toMatchObject([{ kind: "lost", reason: "unlisted", pci }]);
  });

  test("a hung driver never stops heartbeats, and becomes a finding", async () => {
    const { agent, clock, plane, nvml } = build();
    agent.start();
    await clock.pass(1_000);
    nvml.set(HUNG);
    nvml.hold();
    await clock.pass(120_000);
    expect(plane.reports.map((each) => each.atMs).filter((at) => at > 1_000)).toEqual([
      30_000, 61_000, 90_000, 120_000,
    ]);
    nvml.release();
    await clock.pass(1_000);
    expect(plane.seen).toMatchObject([{ kind: "driver", reason: "unresponsive" }]);
    expect(agent.view().unresponsive).toBe(true);
    // Nothing of before the hang is shown as if it were measured now.
    expect(agent.view()).toMatchObject({ present: null, check: null });
    const blank = healthyCheck(2).gpus.map(({ index, uuid }) => ({ index, uuid }));
    expect(agent.view().samples).toEqual(blank);
    expect(plane.reports.at(-1)?.report.sample?.gpus).toMatchObject(blank);
    nvml.set({ kind: "ok", value: healthyCheck(2), durationMs: 1 });
    await clock.pass(20_000);
    expect(plane.reports.findLast((each) => each.report.check)?.report.check?.active).toEqual([]);
    expect(plane.seen).toHaveLength(1);
  });

  test("a driver hung from the start does not delay the first heartbeat", async () => {
    const { agent, clock, plane, nvml } = build();
    nvml.hold();
    agent.start();
    await clock.pass(2_100);
    expect(plane.reports).toHaveLength(1);
    expect(plane.reports[0]?.report.inventory).toBe(null);
    nvml.release();
    await clock.pass(100);
    expect(plane.reports.at(-1)?.report.inventory?.gpus).toHaveLength(2);
  });

  test("wake() sends a finding at once, and once", async () => {
    const { agent, clock, plane, kernel } = build();
    agent.start();
    await clock.pass(5_100);
    kernel.write(xid(79, 1));
    agent.wake();
    await clock.pass(0);
    expect(plane.codes()).toEqual([79]);
    await clock.pass(600_000);
    expect(plane.codes()).toEqual([79]);
  });

  test("a lost GPU seen by a sample is checked and told without waiting for the next check", async () => {
    const { agent, clock, plane, nvml } = build();
    agent.start();
    await clock.pass(5_000);
    nvml.set({ kind: "ok", value: healthyCheck(2, { 1: { rc: 15 } }), durationMs: 1 });
    await clock.pass(5_100);
    expect(plane.seen.map((finding) => [finding.kind, finding.gpu_index])).toEqual([["lost", 1]]);
    expect(plane.reports.at(-1)?.report.check?.present_gpus).toBe(1);
  });

  test("24 hours without a control plane: every finding arrives once, in order", async () => {
    const { agent, clock, plane, kernel, spool } = build();
    agent.start();
    await clock.pass(1_000);
    plane.mode = "down";
    let code = 0;
    for (let hour = 0; hour < 24; hour++) {
      for (let i = 0; i < 150; i++) kernel.write(xid(++code, code));
      await clock.pass(3_600_000);
    }
    expect(plane.seen).toEqual([]);
    // Replies lost on the way must not double anything either.
    plane.mode = "lost_reply";
    await clock.pass(61_000);
    plane.mode = "up";
    await clock.pass(120_000);
    expect(plane.codes()).toEqual(Array.from({ length: 3_600 }, (_, i) => i + 1));
    expect(plane.lost).toBe(0);
    expect(spool.stats().depth).toBe(0);
  });

  test("24 hours and a full spool: every finding is delivered or counted, the fatal ones delivered", async () => {
    const { agent, clock, plane, kernel } = build({}, createMemoryStorage(), { bytesMax: 300_000 });
    agent.start();
    await clock.pass(1_000);
    plane.mode = "down";
    for (let code = 1; code <= 6_000; code++) {
      kernel.write(xid(code, code, code % 100 === 0 ? "fatal" : "info"));
      if (code % 250 === 0) await clock.pass(3_600_000);
    }
    plane.mode = "up";
    await clock.pass(200_000);
    const codes = plane.codes();
    expect(new Set(codes).size).toBe(codes.length);
    expect(codes.length + plane.lost).toBe(6_000);
    expect(plane.lost).toBeGreaterThan(1_000);
    expect(codes.filter((code) => (code ?? 0) % 100 === 0)).toHaveLength(60);
  });

  test("the pause between attempts grows to a minute and ends with the outage", async () => {
    const { agent, clock, plane, logs } = build();
    plane.mode = "deny";
    let tries = 0;
    const send = plane.send.bind(plane);
    plane.send = async (report) => (tries++, await send(report));
    agent.start();
    await clock.pass(3_600_000);
    expect(tries).toBeGreaterThan(60);
    expect(tries).toBeLessThan(100);
    const refusals = logs.filter((line) => line.includes("credential"));
    expect(refusals.length).toBeGreaterThan(30);
    expect(refusals.length).toBeLessThanOrEqual(61);
    plane.mode = "up";
    await clock.pass(60_000);
    expect(plane.reports.length).toBeGreaterThan(0);
  });

  test("a credential in a reply is adopted", async () => {
    const { agent, clock, plane, adopted } = build();
    plane.more = { credential: "secret" };
    agent.start();
    await clock.pass(100);
    expect(adopted).toEqual(["secret"]);
  });

  test("a new cadence counts from the reply that brought it", async () => {
    const { agent, clock, plane, nvml } = build();
    agent.start();
    await clock.pass(1_000);
    plane.more = { config: { heartbeat_ms: 5_000, sample_ms: 1_000, check_ms: 10_000 } };
    await clock.pass(29_100);
    plane.reports = [];
    nvml.calls.length = 0;
    await clock.pass(30_000);
    expect(plane.reports).toHaveLength(6);
    expect(nvml.calls.filter((call) => call.op === "sample").length).toBeGreaterThanOrEqual(29);
    expect(nvml.calls.filter((call) => call.op === "check")).toHaveLength(3);
    plane.more = { config: { heartbeat_ms: 0, sample_ms: 0, check_ms: 0 } };
    await clock.pass(10_000);
    expect(plane.reports.length).toBeLessThan(120);
  });

  test("want_inventory is answered at once, and not for ever", async () => {
    const { agent, clock, plane } = build();
    agent.start();
    await clock.pass(1_000);
    plane.reports = [];
    plane.more = { want_inventory: true };
    await clock.pass(60_000);
    const sent = plane.reports.filter((each) => each.report.inventory);
    expect(sent.length).toBeGreaterThan(1);
    expect(plane.reports.length).toBeLessThan(12);
  });

  test("a control plane that lost its store is told what still holds", async () => {
    const { agent, clock, plane, kernel, nvml } = build();
    nvml.set({ kind: "ok", value: healthyCheck(2, { 0: { remapFailure: true } }), durationMs: 1 });
    agent.start();
    await clock.pass(1_000);
    kernel.write(xid(79, 1));
    await clock.pass(2_000);
    const before = plane.seen.length;
    expect(before).toBeGreaterThan(1);
    plane.seen = [];
    plane.acked.clear();
    await clock.pass(60_000);
    expect(plane.seen.map((finding) => finding.kind)).toEqual(["remap"]);
    expect(kernel.opened).toEqual([null, null]);
    await clock.pass(300_000);
    expect(plane.seen).toHaveLength(1);
  });

  test("a spool without a disk is a finding and holds in every check", async () => {
    const { agent, clock, plane } = build({}, null);
    agent.start();
    await clock.pass(60_000);
    expect(plane.seen).toMatchObject([
      { kind: "host", reason: "spool_memory", severity: "warning" },
    ]);
    expect(plane.reports.findLast((each) => each.report.check)?.report.check?.active).toEqual([
      "host/spool_memory/node",
    ]);
  });

  test("a deaf kernel log is a finding until it hears again", async () => {
    const { agent, clock, plane, kernel } = build();
    agent.start();
    await clock.pass(1_000);
    kernel.out.push({ kind: "deaf", message: "EPERM" });
    await clock.pass(60_000);
    kernel.out.push({ kind: "hearing" });
    expect(plane.seen).toMatchObject([{ kind: "host", reason: "kernel_log_deaf" }]);
    expect(plane.reports.findLast((each) => each.report.check)?.report.check?.active).toEqual([
      "host/kernel_log_deaf/node",
    ]);
    await clock.pass(61_000);
    expect(plane.reports.findLast((each) => each.report.check)?.report.check?.active).toEqual([]);
  });

  test("one XID told by log and library is one finding; told by the library alone it is still one", async () => {
    const { agent, clock, plane, kernel, nvml } = build();
    agent.start();
    await clock.pass(1_000);
    const uuid = healthyCheck(2).gpus[0]?.uuid ?? "";
    const event = {
      atMs: clock.wallMs(),
      uuid,
      type: 0x8,
      gpuInstance: null,
      computeInstance: null,
    };
    kernel.write(xid(79, 1));
    nvml.emit({ ...event, data: 79 });
    await clock.pass(10_000);
    expect(plane.codes()).toEqual([79]);
    nvml.emit({ ...event, data: 48 });
    await clock.pass(10_000);
    expect(plane.seen.map((finding) => [finding.code, finding.source])).toEqual([
      [79, "kmsg"],
      [48, "nvml"],
    ]);
  });

  test("an event that the library announced waits two seconds for the log, and not for a poll", async () => {
    const { agent, clock, plane, nvml } = build({ kernelPollMs: 600_000 });
    agent.start();
    await clock.pass(10_000);
    const uuid = healthyCheck(2).gpus[0]?.uuid ?? "";
    const instances = { gpuInstance: null, computeInstance: null };
    nvml.emit({ atMs: clock.wallMs(), uuid, type: 0x8, data: 48, ...instances });
    agent.wake();
    await clock.pass(1_900);
    expect(plane.codes()).toEqual([]);
    await clock.pass(200);
    expect(plane.codes()).toEqual([48]);
  });

  test("a finding that is refused is found by halving and given up alone", async () => {
    const { agent, clock, plane, kernel } = build();
    agent.start();
    await clock.pass(1_000);
    const send = plane.send.bind(plane);
    plane.send = async (report) => {
      const bad = report.findings?.some((row) => row.finding.code === 37);
      return bad ? { kind: "refused", status: 400, message: "no" } : await send(report);
    };
    for (let code = 1; code <= 100; code++) kernel.write(xid(code, code));
    await clock.pass(600_000);
    expect(plane.codes()).toEqual(
      Array.from({ length: 100 }, (_, i) => i + 1).filter((code) => code !== 37),
    );
    expect(plane.lost).toBe(1);
  });

  test("a control plane that refuses everything costs no finding", async () => {
    const { agent, clock, plane, kernel } = build();
    agent.start();
    await clock.pass(1_000);
    const send = plane.send.bind(plane);
    plane.send = async () => ({ kind: "refused", status: 400, message: "version" });
    for (let code = 1; code <= 20; code++) kernel.write(xid(code, code));
    await clock.pass(600_000);
    plane.send = send;
    await clock.pass(120_000);
    expect(plane.codes()).toHaveLength(20);
    expect(plane.lost).toBe(0);
    expect(plane.reports.at(-1)?.report.sample?.gpus).toHaveLength(2);
  });

  test("stop() sends a last report and ends by its deadline", async () => {
    const { agent, clock, plane, kernel, nvml } = build();
    agent.start();
    await clock.pass(1_000);
    kernel.write(xid(79, 1));
    const done = agent.stop(4_000);
    await clock.pass(0);
    await done;
    expect(plane.codes()).toEqual([79]);
    expect(nvml.closed()).toBe(true);
    plane.reports = [];
    await clock.pass(600_000);
    expect(plane.reports).toEqual([]);
    const other = build();
    other.agent.start();
    await other.clock.pass(100);
    other.plane.send = () => new Promise(() => {});
    let ended = false;
    void other.agent.stop(4_000).then(() => (ended = true));
    await other.clock.pass(3_999);
    expect(ended).toBe(false);
    await other.clock.pass(1);
    await settle();
    expect(ended).toBe(true);
  });
});

describe("commands", () => {
  const command = (id: string, type: AgentCommand["type"], fence = 1): AgentCommand => {
    return { command_id: id as CommandId, type, parameters: {}, fence };
  };
  const push = (world: World, ...commands: AgentCommand[]) => {
    const stream = world.spool.stream as StreamId;
    const report = { stream, node_id: "n1" as NodeId } as Report;
    world.plane.heard(world.plane.reply(report, { commands }));
  };
  const results = (world: World) =>
    world.plane.reports.flatMap((each) => each.report.results ?? []);

  test("diagnose runs a full check and answers with it, once per id", async () => {
    const world = build();
    world.agent.start();
    await world.clock.pass(1_000);
    const before = world.nvml.calls.filter((call) => call.op === "check").length;
    push(world, command("c1", "diagnose"));
    push(world, command("c1", "diagnose"));
    await world.clock.pass(100);
    push(world, command("c1", "diagnose"));
    await world.clock.pass(100);
    expect(world.nvml.calls.filter((call) => call.op === "check").length).toBe(before + 1);
    const [first, second] = results(world);
    expect(first).toMatchObject({ command_id: "c1", outcome: "succeeded", exit_code: 0 });
    expect(JSON.parse(first?.output ?? "")).toMatchObject({ conclusive: true, present_gpus: 2 });
    expect(second).toEqual(first as typeof second & object);
    expect(results(world)).toHaveLength(2);
  });

  test("what changes the machine is rejected unless enabled, and an older fence always", async () => {
    const world = build();
    world.agent.start();
    await world.clock.pass(1_000);
    push(world, command("c1", "reboot", 7), command("c2", "gpu_reset", 7));
    await world.clock.pass(100);
    push(world, command("c3", "diagnose", 6));
    await world.clock.pass(100);
    expect(results(world).map((result) => [result.command_id, result.outcome] as string[])).toEqual(
      [
        ["c1", "rejected"],
        ["c2", "rejected"],
        ["c3", "rejected"],
      ],
    );
    expect(results(world)[0]?.output).toContain("not enabled");
    expect(results(world)[2]?.output).toContain("fence");
  });

  test("a result is sent again until a reply came", async () => {
    const world = build();
    world.agent.start();
    await world.clock.pass(1_000);
    world.plane.mode = "down";
    push(world, command("c1", "diagnose"));
    await world.clock.pass(20_000);
    expect(results(world)).toEqual([]);
    world.plane.mode = "up";
    await world.clock.pass(60_000);
    expect(results(world)).toHaveLength(1);
  });

  test("Orders() remembers answers and fence over a restart, and knows that a reboot has happened", () => {
    let saved: string | null = null;
    const save = (text: string) => {
      saved = text;
    };
    const first = new Orders(null, BOOT, save);
    expect(first.admit(command("c1", "reboot", 3)).kind).toBe("run");
    expect(first.admit(command("c1", "reboot", 3)).kind).toBe("running");
    // Killed before the reboot: given again, it is done again.
    const again = new Orders(saved, BOOT, save);
    expect(again.recover()).toEqual([]);
    expect(again.admit(command("c1", "reboot", 3)).kind).toBe("run");
    const after = new Orders(saved, "boot-2" as BootId, save);
    expect(after.recover()).toMatchObject([{ command_id: "c1", outcome: "succeeded" }]);
    expect(after.admit(command("c1", "reboot", 3))).toMatchObject({
      kind: "answer",
      result: { outcome: "succeeded" },
    });
    expect(after.admit(command("c2", "diagnose", 2))).toMatchObject({
      kind: "answer",
      result: { outcome: "rejected" },
    });
    expect(new Orders("{broken", BOOT, save).admit(command("c9", "diagnose", 0)).kind).toBe("run");
  });

  test("Agent() survives a sender that throws, and tries again after a pause", async () => {
    let tries = 0;
    const { clock, agent, logs } = build({
      sender: {
        send: async () => {
          tries++;
          // The loop that this guards against would never end, and no timer would stop it.
          if (tries < 1_000) throw new TypeError("a header cannot be sent");
          return { kind: "unreachable", message: "enough" };
        },
        listen: () => {},
        connected: () => false,
        close: () => {},
      },
    });
    agent.start();
    await clock.pass(60_000);
    expect(tries).toBeGreaterThan(2);
    expect(tries).toBeLessThan(20);
    expect(logs.join()).toContain("a fault in the agent");
  });

  test("Agent() says that its spool is on disk again, also when it has nothing to keep", async () => {
    const inner = createMemoryStorage();
    let full = true;
    const storage: SpoolStorage = {
      ...inner,
      append: (...args) => (full ? { ok: false, message: "no space" } : inner.append(...args)),
    };
    const { clock, agent, plane } = build({}, storage);
    const key = "host/spool_memory/node";
    agent.start();
    await clock.pass(180_000);
    expect(plane.reports.findLast(({ report }) => report.check)?.report.check?.active).toContain(
      key,
    );
    full = false;
    await clock.pass(180_000);
    const last = plane.reports.findLast(({ report }) => report.check);
    expect(last?.report.check?.active).not.toContain(key);
  });

  test("Agent() counts the time since boot by no clock that a person may set", async () => {
    const { agent, clock, nvml, plane } = build();
    // Booted an hour ago; the clock of the wall is then set back by a day.
    const right = clock.wallMs;
    clock.wallMs = () => right() - 86_400_000;
    const links = healthyCheck(2).gpus[0]?.nvlinks?.map((each) => ({ ...each })) ?? [];
    const [first] = links;
    if (first) first.state = 0;
    nvml.set({ kind: "ok", value: healthyCheck(2, { 0: { nvlinks: links } }), durationMs: 1 });
    agent.start();
    await clock.pass(1_000);
    const active = plane.reports.findLast(({ report }) => report.check)?.report.check?.active ?? [];
    expect(active.some((key) => key.startsWith("nvlink/inactive/"))).toBe(true);
  });

  test("Agent() remembers a fault only after its finding was kept, and after its report", async () => {
    const saved: { keys: string[]; kept: number; reports: number }[] = [];
    const world = build({
      saveMemory: ({ held }) => {
        const { spool, plane } = world;
        const kept = spool.stats().depth + plane.seen.length;
        saved.push({ keys: Object.keys(held), kept, reports: plane.reports.length });
      },
    });
    const value = healthyCheck(2, { 1: { rc: 15 } });
    world.nvml.set({ kind: "ok", value, durationMs: 1 });
    world.agent.start();
    await world.clock.pass(1_000);
    expect(saved).toHaveLength(1);
    expect(saved[0]?.keys).toEqual([expect.stringMatching(/^lost\/bus\//)]);
    expect(saved[0]?.kept).toBe(1);
    expect(saved[0]?.reports).toBeGreaterThan(0);
  });

  test("Agent() names the GPUs of this boot while the driver hangs from the start", async () => {
    let saved = EMPTY_MEMORY;
    const first = build({ saveMemory: (memory) => void (saved = memory) });
    first.agent.start();
    await first.clock.pass(1_000);
    expect(Object.keys(saved.gpus)).toHaveLength(2);
    const tables: number[] = [];
    const asked = (memory: typeof saved) => {
      const world = build({
        memory,
        openKernelLog: (_, gpus) => {
          tables.push(gpus().length);
          return null;
        },
      });
      world.nvml.hold();
      world.agent.start();
      return world.clock.pass(3_000);
    };
    await asked(saved);
    await asked({ ...saved, bootId: "boot-0" });
    expect(tables).toEqual([2, 0]);
  });
});

test("the machine around the GPUs is in every check, and its findings go with it", async () => {
  const port = (state: string) => ({
    name: "mlx5_0/1",
    layer: "InfiniBand",
    state,
    physical: "LinkUp",
    gigabits: 400,
    linkDowned: 0,
  });
  let reading: HostReading = { ...NOTHING_READ, ports: [port("ACTIVE")], peermem: true };
  const host = new HostWatch({
    read: () => Promise.resolve(reading),
    memory: EMPTY_HOST_MEMORY,
    save: () => {},
    expectedPorts: 1,
  });
  const { agent, clock, logs, nvml, plane } = build({ host });
  agent.start();
  await clock.pass(3_000);
  expect(logs.filter((line) => line.includes("found"))).toHaveLength(1);
  expect(agent.view().host).toEqual(reading);
  reading = { ...reading, ports: [port("DOWN")] };
  await clock.pass(60_000);
  const last = plane.reports.findLast(({ report }) => report.check)?.report;
  expect(last?.check?.active).toContain("host/port_down/node");
  expect(last?.check?.probes.map(({ name }) => name)).toContain("network_port");
  expect(plane.seen.map(({ reason }) => reason)).toContain("port_down");
  expect(agent.view().hostEvents.get("port_down")).toBe(1);
  const page = await formatMetrics({
    node: "n1",
    view: () => agent.view(),
    footprint: () => ({ pssBytes: null, cpuSeconds: 0 }),
    kernelLog: () => null,
  });
  for (const line of [
    'navarch_network_port_active{node="n1",port="mlx5_0/1",layer="InfiniBand"} 0',
    'navarch_network_port_rate_bits_per_second{node="n1",port="mlx5_0/1",layer="InfiniBand"} 400',
    "# TYPE navarch_network_port_link_downed_total counter",
    'navarch_agent_host_findings_total{node="n1",reason="port_down"} 1',
    'navarch_node_peermem_loaded{node="n1"} 1',
    'navarch_gpu_persistence_mode{node="n1",gpu="0"',
    'navarch_gpu_pcie_generation{node="n1",gpu="1"',
  ]) {
    expect(page).toContain(line);
  }
  // A driver that hangs hides nothing of the machine around it.
  nvml.set(HUNG);
  reading = { ...reading, ports: [port("ACTIVE")] };
  await clock.pass(120_000);
  const blind = plane.reports.findLast(({ report }) => report.check)?.report;
  expect(blind?.check?.active).toContain("driver/unresponsive/node");
  expect(blind?.check?.active).not.toContain("host/port_down/node");
});
