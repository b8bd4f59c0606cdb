import { beforeEach, describe, expect, test } from "bun:test";
import type { SendAnswer, Sender } from "../../agent/port/port.ts";
import { type Boot, BOOT, nodeOf } from "../../reconciler/provider/kwok/instance.ts";
import {
  formatSimFaults,
  SIM_FAULTS,
  type SimFault,
} from "../../reconciler/provider/kwok/sim-fault.ts";
import { resourcesOf } from "../../reconciler/provider/kwok/type.ts";
import { type Report, ReportReply } from "../../schema/report.ts";
import { contractFleetId, contractRequest } from "../../test/port/provider.contract.ts";
import { VirtualClock } from "../engine/clock.ts";
import * as v from "valibot";
import { lastingFaults } from "./fault.ts";
import { SimFleet } from "./fleet.ts";
import { wantedOf, type Wanted } from "./machine-of.ts";

const BORN = Date.UTC(2026, 0, 1);
type Change = { uid?: string; boot?: Boot; faults?: readonly SimFault[] | string };

/** As the API server returns a Node that was bought. */
function nodeJson(name: string, { uid = `uid-${name}`, boot, faults }: Change = {}): unknown {
  const request = contractRequest(name, { name, token: `t-${name}`, instanceType: "dgxh100.80g" });
  const resources = resourcesOf("dgxh100.80g", new Map());
  const node = nodeOf(request, { fence: 1, resources }, { provider: "kwok", isTainted: false });
  const text = typeof faults === "string" ? faults : formatSimFaults(faults ?? []);
  const annotations = {
    ...node.metadata.annotations,
    ...(boot === undefined ? {} : { [BOOT]: JSON.stringify(boot) }),
    ...(text === null ? {} : { [SIM_FAULTS]: text }),
  };
  const creationTimestamp = new Date(BORN).toISOString();
  const metadata = { ...node.metadata, uid, resourceVersion: "1", creationTimestamp, annotations };
  return { ...node, metadata };
}

function wanted(name: string, change: Change = {}): Wanted {
  const read = wantedOf(nodeJson(name, change), "kwok", contractFleetId);
  if (read === null) throw new Error("not read");
  return read;
}

let streams = 0;
let clock: VirtualClock;
let fleet: SimFleet;
let reports: Report[];
let rebooted: string[];
let unplugged: string[];
let lines: string[];
let credentials: Set<string>;

/** A control plane that takes everything. */
const sender = (): Sender => ({
  send: async (report): Promise<SendAnswer> => {
    reports.push(report);
    const own = reports.filter(({ stream }) => stream === report.stream);
    const newest = Math.max(0, ...own.flatMap(({ findings }) => findings.map(({ seq }) => seq)));
    const reply = v.parse(ReportReply, {
      ...{ ack_seq: newest, stream: report.stream },
      ...{ node_id: report.node_id, commands: [], want_inventory: false, expected: null },
      config: { heartbeat_ms: 10_000, sample_ms: 10_000, check_ms: 30_000 },
      server_time: new Date(clock.wallMs()).toISOString(),
    });
    return { kind: "reply", reply };
  },
  listen: () => undefined,
  connected: () => true,
  close: () => undefined,
});

function openFleet(): SimFleet {
  return new SimFleet({
    ...{ clock, random: () => 0.5, openSender: sender, adopt: () => undefined },
    newStream: () => `stream-${++streams}`,
    hasCredential: (folder) => credentials.has(folder),
    unplug: (machine) => void unplugged.push(machine.identity.name),
    reboots: ({ name }) => void rebooted.push(name),
    log: (line) => void lines.push(line),
  });
}

beforeEach(() => {
  clock = new VirtualClock(BORN + 60_000);
  [reports, rebooted, unplugged, lines] = [[], [], [], []];
  credentials = new Set(["a", "b"].map((name) => wanted(name).folder));
  fleet = openFleet();
});

const last = (): Report => {
  const report = reports.at(-1);
  if (report === undefined) throw new Error("no report");
  return report;
};
/** XIDs of the kernel log, with the numbers of their records. */
const said = (): [code: number | null, record: number | null][] =>
  reports
    .flatMap(({ findings }) => findings)
    .filter(({ finding }) => finding.kind === "xid" && finding.source === "kmsg")
    .map(({ finding }) => [finding.code, finding.kmsg_seq]);
const xid: SimFault = { id: "f1", atMs: BORN + 61_000, kind: "xid", code: 79, gpu: 3 };

describe("W41: the agents of virtual Nodes", () => {
  test("W41: a Node's agent reports as that node, with the GPUs of its type", async () => {
    fleet.take(null, wanted("a"));
    await clock.pass(5_000);
    expect(last()).toMatchObject({
      node_id: "a",
      simulated: true,
      inventory: { hostname: "a", instance_type: "dgxh100.80g", pool: "train" },
    });
    expect(last().inventory?.gpus).toHaveLength(8);
    expect(fleet.running()).toBe(1);
  });

  test("a Node that goes ends its agent at once; one of its name is another machine", async () => {
    fleet.take(null, wanted("a"));
    await clock.pass(5_000);
    const { boot_id: first } = last();
    fleet.take(wanted("a"), wanted("a", { uid: "uid-2" }));
    const before = reports.length;
    await clock.pass(5_000);
    expect(reports.slice(before).map(({ boot_id }) => boot_id)).not.toContain(first);
    fleet.take(wanted("a", { uid: "uid-2" }), null);
    const after = reports.length;
    await clock.pass(120_000);
    expect([fleet.size(), reports.length - after]).toEqual([0, 0]);
    expect(unplugged).toEqual(["a", "a"]);
  });

  test("another process goes on with the same boot and the same GPUs", async () => {
    fleet.take(null, wanted("a"));
    await clock.pass(5_000);
    const before = last();
    fleet = openFleet();
    fleet.take(null, wanted("a"));
    await clock.pass(5_000);
    expect(last().boot_id).toBe(before.boot_id);
    expect(last().inventory?.gpus).toEqual(before.inventory?.gpus ?? []);
    expect(last().stream).not.toBe(before.stream);
  });

  test("a reboot is another boot id, after a while", async () => {
    fleet.take(null, wanted("a"));
    await clock.pass(5_000);
    const { boot_id: first } = last();
    const boot = { count: 2, atMs: clock.wallMs(), fence: 4 };
    fleet.take(wanted("a"), wanted("a", { boot }));
    expect(fleet.running()).toBe(0);
    await clock.pass(10_000);
    expect(last().boot_id).not.toBe(first);
    expect(fleet.running()).toBe(1);
  });

  test("an agent without its credential here waits for it", async () => {
    fleet.take(null, wanted("c"));
    fleet.retry([wanted("c")]);
    await clock.pass(5_000);
    expect([reports, lines]).toEqual([[], ["Node c: its credential is not in this folder"]]);
    credentials.add(wanted("c").folder);
    fleet.retry([wanted("c")]);
    await clock.pass(5_000);
    expect(last().node_id as string).toBe("c");
  });

  test("a Node of another fleet, without a tag or on its way out has no agent", () => {
    expect(wantedOf(nodeJson("a"), "kwok", "other")).toBeNull();
    expect(wantedOf({ metadata: { name: "a" } }, "kwok", contractFleetId)).toBeNull();
    const leaving = nodeJson("a") as { metadata: object };
    const metadata = { ...leaving.metadata, deletionTimestamp: new Date(BORN).toISOString() };
    expect(wantedOf({ ...leaving, metadata }, "kwok", contractFleetId)).toBeNull();
  });
});

describe("faults of the annotation", () => {
  test("an XID is in the kernel log once, and its GPU is lost", async () => {
    fleet.take(null, wanted("a"));
    await clock.pass(5_000);
    fleet.take(wanted("a"), wanted("a", { faults: [xid] }));
    fleet.take(wanted("a", { faults: [xid] }), wanted("a", { faults: [xid] }));
    await clock.pass(10_000);
    expect(said()).toEqual([[79, 61_000]]);
    const active = reports.flatMap(({ check }) => check?.active ?? []);
    expect(active.join(" ")).toContain("lost");
  });

  test("a process that is started again says the same line, under the same number", async () => {
    clock = new VirtualClock(BORN + 120_000);
    const begin = async (faults: SimFault[]): Promise<void> => {
      reports = [];
      fleet = openFleet();
      fleet.take(null, wanted("a", { faults }));
      await clock.pass(15_000);
    };
    const other: SimFault = { ...xid, id: "f0", code: 31, atMs: xid.atMs - 500 };
    await begin([xid, other]);
    expect(said()).toEqual([
      [31, 60_500],
      [79, 61_000],
    ]);
    fleet.take(wanted("a"), null);
    await begin([xid]);
    expect(said()).toEqual([[79, 61_000]]);
  });

  test("end with the boot if a real reboot ends them, and stay if it does not", () => {
    const boot = { count: 2, atMs: xid.atMs + 1, fence: 1 };
    const hot: SimFault = { id: "hot", atMs: 5, kind: "thermal", gpu: 0 };
    const cut: SimFault = { id: "cut", atMs: 6, kind: "network" };
    const row: SimFault = { ...xid, id: "row", code: 64 };
    const ecc: SimFault = { id: "ecc", atMs: 7, kind: "ecc", gpu: 1 };
    const all = [xid, row, ecc, cut, hot];
    expect(lastingFaults(all, boot).map(({ id }) => id)).toEqual(["hot", "cut", "row"]);
    const first = { count: 1, atMs: 0, fence: -1 };
    expect(lastingFaults(all, first).map(({ id }) => id)).toEqual([
      ...["hot", "cut", "ecc", "f1", "row"],
    ]);
  });

  test("a cleared loss is a boot, which the Node is to count", async () => {
    fleet.take(null, wanted("a", { faults: [xid] }));
    await clock.pass(5_000);
    fleet.take(wanted("a", { faults: [xid] }), wanted("a"));
    expect(rebooted).toEqual(["a"]);
  });

  test("an annotation that cannot be read changes nothing and is told once", async () => {
    fleet.take(null, wanted("a", { faults: [xid] }));
    await clock.pass(5_000);
    for (let i = 0; i < 3; i += 1) fleet.take(wanted("a"), wanted("a", { faults: "{" }));
    expect(rebooted).toEqual([]);
    const why = "navarch.dev/sim-faults: expected a JSON list, found other text";
    expect(lines).toEqual([`Node a: ${why}`]);
  });
});
