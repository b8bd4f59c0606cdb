import { afterEach, beforeEach, expect, test } from "bun:test";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { openSimulatedGpus, SimulatedFaults } from "../../../agent/nvml/simulated.ts";
import { parseFacts } from "../../../agent/kernel/fact.ts";
import { parseRecord } from "../../../agent/kernel/parse.ts";
import type { InstanceId } from "../../../schema/id.ts";
import type { MachineFault } from "../../../schema/machine-fault.ts";
import { FAULTS_MAX, openFakeFaults } from "./machine-fault.ts";

const ID = "fake-1" as InstanceId;
let stateDir = "";
let folder = "";
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), "navarch-faults-"));
  folder = join(stateDir, "instance", ID);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "kmsg"), "");
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

const open = () => openFakeFaults(stateDir);
const text = (name: string) => readFileSync(join(folder, name), "utf8");
/** As the agent reads the file. */
const gpus = () => v.parse(SimulatedFaults, JSON.parse(text("gpu-faults.json"))).gpus ?? {};
/** XIDs that the agent's reader finds in the log, with their place. */
const xids = () =>
  text("kmsg")
    .split("\n")
    .slice(0, -1)
    .flatMap((line) => {
      const read = parseRecord(line);
      if (!read.ok) throw new Error(line);
      return parseFacts(read.record.message).map((fact) => JSON.stringify(fact));
    });
const inject = (id: string, fault: MachineFault) => open().inject(ID, { ...fault, id, atMs: 5 });

test("W56: each kind reaches the agent's own readers", async () => {
  const clock = { wallMs: () => 0, monoMs: () => 0, after: () => () => undefined };
  const faultPath = join(folder, "gpu-faults.json");
  const gpu = { count: 8, name: "NVIDIA H100 80GB HBM3", seed: "s", clock, faultPath };
  const { nvml } = openSimulatedGpus(gpu as never);
  await inject("a", { kind: "xid", code: 79, gpu: 3 });
  expect(xids()).toHaveLength(1);
  expect(xids()[0]).toContain("79");
  expect(text("kmsg")).toContain("Xid (PCI:0000:21:00): 79, GPU has fallen off the bus.");
  await inject("b", { kind: "ecc", gpu: 0 });
  await inject("c", { kind: "thermal", gpu: 0 });
  await inject("d", { kind: "nvlink", gpu: 1 });
  await inject("e", { kind: "lost", gpu: 2 });
  const check = await nvml.check(1_000);
  if (check.kind !== "ok") throw new Error(check.kind);
  const at = (index: number) => check.value.gpus.find((one) => one.index === index);
  expect(at(0)).toMatchObject({ eccUncorrectedVolatile: 1, temperatureCelsius: 97 });
  expect(at(0)?.temperatureCelsius).toBeGreaterThanOrEqual(at(0)?.shutdownCelsius ?? 999);
  expect(at(1)?.nvlinks?.every(({ state }) => state === 0)).toBe(true);
  expect(at(2)).toBeUndefined();
  expect(check.value.count).toBe(7);
  expect(xids().map((one) => /"code":(\d+)/.exec(one)?.[1])).toEqual(["79", "74", "79"]);
});

test("W56: an id that is repeated, after any crash, is one fault", async () => {
  await inject("a", { kind: "ecc", gpu: 4 });
  const [log, file] = [text("kmsg"), text("gpu-faults.json")];
  // The process died between the log and the file.
  writeFileSync(join(folder, "gpu-faults.json"), "{}\n");
  expect(await inject("a", { kind: "ecc", gpu: 4 })).toEqual({ kind: "ok" });
  expect(text("kmsg")).toBe(log);
  expect(text("gpu-faults.json")).toBe(file);
  // It died in the middle of a record.
  appendFileSync(join(folder, "kmsg"), "4,2,9");
  await inject("b", { kind: "xid", code: 48, gpu: 1 });
  const listed = await open().list(ID);
  expect(listed.kind === "ok" && listed.faults.map(({ id }) => id)).toEqual(["a", "b"]);
});

test("W56: clear ends readings, keeps what the log says and what a person wrote", async () => {
  const own = { gpus: { "0": { powerWatts: 3, offBus: true }, "5": { rc: 15 } }, mode: "ok" };
  writeFileSync(join(folder, "gpu-faults.json"), JSON.stringify(own));
  await inject("a", { kind: "thermal", gpu: 0 });
  await inject("b", { kind: "xid", code: 63, gpu: 0 });
  expect(gpus()).toEqual({ "0": { powerWatts: 3, temperatureCelsius: 97 }, "5": { rc: 15 } });
  expect(await open().clear(ID)).toEqual({ kind: "ok" });
  expect(gpus()).toEqual({ "0": { powerWatts: 3 }, "5": { rc: 15 } });
  expect(xids()).toHaveLength(1);
  expect(await open().list(ID)).toEqual({ kind: "ok", faults: [] });
  const log = text("kmsg");
  await open().clear(ID);
  expect(text("kmsg")).toBe(log);
  // A late repeat of an earlier request hurts nothing again.
  await inject("a", { kind: "thermal", gpu: 0 });
  expect(gpus()).toEqual({ "0": { powerWatts: 3 }, "5": { rc: 15 } });
});

test("W56: a machine that is gone, or not started, is left alone", async () => {
  const gone = "fake-2" as InstanceId;
  const fault = { kind: "ecc", gpu: 0, id: "a", atMs: 1 } as const;
  for (const answer of [
    await open().inject(gone, fault),
    await open().clear(gone),
    await open().list(gone),
  ]) {
    expect(answer).toMatchObject({ kind: "absent", message: expect.stringContaining("fake-2") });
  }
  expect(existsSync(join(stateDir, "instance", gone))).toBe(false);
  writeFileSync(join(folder, "gpu-faults.json"), "{");
  expect(await inject("a", { kind: "ecc", gpu: 0 })).toMatchObject({ kind: "failed" });
  expect(text("gpu-faults.json")).toBe("{");
});

test("W56: a machine has a bounded number of faults", async () => {
  for (let i = 0; i < FAULTS_MAX; i++) await inject(`f${i}`, { kind: "ecc", gpu: i % 8 });
  const refused = await inject("more", { kind: "ecc", gpu: 0 });
  expect(refused).toMatchObject({ kind: "absent", message: expect.stringContaining("128 faults") });
});
