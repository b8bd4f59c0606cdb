import { describe, expect, test } from "bun:test";
import { formatSimFaults, parseSimFaults, SIM_FAULTS_MAX, type SimFault } from "./sim-fault.ts";

const xid: SimFault = { id: "a", atMs: 1_000, kind: "xid", code: 79, gpu: 3 };

describe("faults of a simulated machine", () => {
  test("are read as they were written", () => {
    const faults: SimFault[] = [
      xid,
      { id: "b", atMs: 2_000, kind: "thermal", gpu: 0 },
      { id: "c", atMs: 3_000, kind: "network" },
    ];
    expect(parseSimFaults(formatSimFaults(faults) ?? "")).toEqual({ ok: true, faults });
    expect(formatSimFaults([])).toBeNull();
    expect(parseSimFaults(undefined)).toEqual({ ok: true, faults: [] });
  });

  test("are of GPU 0 unless they name one, and an id counts once", () => {
    const text = '[{"id":"a","atMs":1,"kind":"lost"},{"id":"a","atMs":2,"kind":"ecc"}]';
    const faults = [{ id: "a", atMs: 1, kind: "lost", gpu: 0 }];
    expect(parseSimFaults(text)).toEqual({ ok: true, faults } as never);
  });

  test.each([
    ["not JSON", "{"],
    ["no list", '{"a":1}'],
    ["an unknown kind", '[{"id":"a","atMs":1,"kind":"melted"}]'],
    ["a GPU that no machine has", JSON.stringify([{ ...xid, gpu: 64 }])],
    ["a code below zero", JSON.stringify([{ ...xid, code: -1 }])],
    ["a key that is not known", JSON.stringify([{ ...xid, gpus: 1 }])],
    ["an id with a space", JSON.stringify([{ ...xid, id: "a b" }])],
    ["too many", JSON.stringify(Array.from({ length: SIM_FAULTS_MAX + 1 }, () => xid))],
  ])("are refused: %s", (_name, text) => {
    const read = parseSimFaults(text);
    expect(read).toMatchObject({ ok: false });
    expect(!read.ok && read.message).toStartWith("navarch.dev/sim-faults");
  });
});
