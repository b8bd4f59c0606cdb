import { afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import fc from "fast-check";
import {
  mkdirSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
  readdirSync,
  appendFileSync,
  truncateSync,
  statSync,
} from "node:fs";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Finding, Severity } from "../../schema/finding.ts";
import type { BootId } from "../../schema/id.ts";
import { openFileStorage } from "./spool-file.ts";
import { createMemoryStorage, type SpoolStorage } from "./spool-storage.ts";
import { Spool, type SpoolOptions } from "./spool.ts";

const SEVERITIES: Severity[] = ["info", "warning", "serious", "fatal"];

function finding(n: number, severity: Severity = "fatal", padding = 0): Finding {
  return {
    kind: "xid",
    code: n,
    reason: null,
    pci: "0000:18:00.0",
    gpu_index: 0,
    gpu_uuid: null,
    mig: null,
    pid: null,
    process_name: null,
    at: "2026-03-01T10:00:00.000Z",
    boot_id: "boot-1" as BootId,
    severity,
    message: `finding ${n} ä ${"x".repeat(padding)}`,
    metrics: {},
    source: "kmsg",
    foreign: false,
    injected: false,
    kmsg_seq: n,
  };
}

let streams = 0;
function options(storage: SpoolStorage | null, more: Partial<SpoolOptions> = {}): SpoolOptions {
  const streamId = () => `stream-${++streams}`;
  return { storage, streamId, wallMs: () => 1_772_359_200_000, monoMs: () => 0, ...more };
}

const cursor = (seq: number) => ({ bootId: "boot-1", seq });

/** Everything in the spool, taken and acknowledged as a sender would. */
function drain(spool: Spool): { codes: number[]; lost: number; seqs: number[] } {
  spool.acknowledge(spool.stream, 0);
  const codes: number[] = [];
  const seqs: number[] = [];
  let lost = 0;
  for (let round = 0; round < 10_000; round++) {
    const batch = spool.next(200, 100_000);
    if (batch.findings.length === 0 && batch.gaps.length === 0) break;
    const rows = [
      ...batch.findings.map((row) => ({ seq: row.seq, code: row.finding.code, lost: 0 })),
      ...batch.gaps.map((gap) => ({ seq: gap.seq, code: null, lost: gap.count })),
    ].sort((a, b) => a.seq - b.seq);
    for (const row of rows) {
      seqs.push(row.seq);
      if (typeof row.code === "number") codes.push(row.code);
      lost += row.lost;
    }
    spool.acknowledge(spool.stream, batch.lastSeq);
  }
  return { codes, lost, seqs };
}

function codesOf(spool: Spool): (number | null | undefined)[] {
  return spool.next(200, 100_000).findings.map((row) => row.finding.code);
}

/** A disk that stops at a given byte, as a killed process leaves it. */
class Killed extends Error {}
function mortal(inner: SpoolStorage, bytesLeft: { value: number }): SpoolStorage {
  return {
    ...inner,
    append: (segment, bytes, durable) => {
      const part = Math.min(bytes.length, bytesLeft.value);
      bytesLeft.value -= part;
      if (part > 0) inner.append(segment, bytes.subarray(0, part), durable);
      if (part < bytes.length) throw new Killed();
      return { ok: true };
    },
    remove: (segment) => {
      if (bytesLeft.value <= 0) throw new Killed();
      inner.remove(segment);
    },
  };
}

describe("Spool", () => {
  test("next() gives findings and gaps in order until they are acknowledged", () => {
    const spool = new Spool(options(createMemoryStorage()));
    spool.append([finding(1), finding(2)], [], cursor(2));
    spool.append([finding(3)], [{ reason: "kernel_ring", count: 7, atMs: 0 }], cursor(9));
    const batch = spool.next(10, 10_000);
    expect(batch.findings.map((row) => [row.seq, row.finding.code])).toEqual([
      [1, 1],
      [2, 2],
      [4, 3],
    ]);
    expect(batch.gaps).toEqual([
      { seq: 3, reason: "kernel_ring", count: 7, at: "1970-01-01T00:00:00.000Z" },
    ]);
    expect(spool.next(10, 10_000)).toEqual(batch);
    spool.acknowledge(spool.stream, 2);
    expect(spool.next(10, 10_000).findings.map((row) => row.seq)).toEqual([4]);
    spool.acknowledge("another stream", 4);
    expect(spool.stats().depth).toBe(2);
    spool.acknowledge(spool.stream, 4);
    expect(spool.stats()).toMatchObject({ depth: 0, bytes: 0 });
  });

  test("next() keeps to the bounds of a report, but always moves", () => {
    const spool = new Spool(options(createMemoryStorage()));
    spool.append(
      Array.from({ length: 10 }, (_, i) => finding(i, "fatal", 500)),
      [],
      null,
    );
    expect(spool.next(3, 1_000_000).findings).toHaveLength(3);
    expect(spool.next(200, 2_000).findings).toHaveLength(2);
    expect(spool.next(200, 1).findings).toHaveLength(1);
    expect(spool.next(1, 1_000_000).findings).toHaveLength(1);
  });

  test("append() survives a kill at every byte: nothing lost that it returned for, nothing doubled", () => {
    const script = (spool: Spool, done: { appended: number; acked: number }) => {
      for (let n = 1; n <= 12; n += 3) {
        spool.append([finding(n), finding(n + 1, "info"), finding(n + 2)], [], cursor(n + 2));
        done.appended = n + 2;
        if (n === 4) {
          spool.next(2, 100_000);
          spool.acknowledge(spool.stream, 2);
          done.acked = 2;
        }
      }
    };
    const full = { value: Infinity };
    const counter = { value: 1e9 };
    script(new Spool(options(mortal(createMemoryStorage(), counter), { bytesMax: 24_000 })), {
      appended: 0,
      acked: 0,
    });
    const total = 1e9 - counter.value;
    expect(total).toBeGreaterThan(4_000);
    for (let at = 0; at <= total; at++) {
      const disk = createMemoryStorage();
      const done = { appended: 0, acked: 0 };
      try {
        script(new Spool(options(mortal(disk, { value: at }), { bytesMax: 24_000 })), done);
      } catch (cause) {
        if (!(cause instanceof Killed)) throw cause;
      }
      const again = new Spool(options(mortal(disk, full), { bytesMax: 24_000 }));
      const seen = again.cursor()?.seq ?? 0;
      // The line in hand at the kill may be whole on disk: then its cursor and its findings both
      // are.
      expect([done.appended, done.appended + 3]).toContain(seen);
      const { codes, lost } = drain(again);
      expect(lost).toBe(0);
      const first = codes[0] ?? seen + 1;
      expect([1, 3]).toContain(seen === 0 ? 1 : first);
      expect(first - 1).toBeGreaterThanOrEqual(done.acked);
      expect(codes).toEqual(Array.from({ length: seen - first + 1 }, (_, i) => first + i));
      again.append([finding(99)], [], null);
      expect(drain(again).codes).toEqual([99]);
    }
  });

  test("append() gives up the least severe, then the oldest, and counts every one", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ rank: fc.nat(3), size: fc.nat(900), send: fc.nat(12) }), {
          minLength: 100,
          maxLength: 300,
          size: "max",
        }),
        (steps) => {
          const disk = createMemoryStorage();
          const bytesMax = 100_000;
          let spool = new Spool(options(disk, { bytesMax }));
          const arrived: number[] = [];
          let lost = 0;
          let last = 0;
          const take = (count: number) => {
            const batch = spool.next(count, 20_000);
            for (const row of batch.findings) arrived.push(row.finding.code ?? -1);
            for (const gap of batch.gaps) lost += gap.count;
            for (const { seq } of [...batch.findings, ...batch.gaps].sort(
              (a, b) => a.seq - b.seq,
            )) {
              expect(seq).toBeGreaterThan(last);
              last = seq;
            }
            spool.acknowledge(spool.stream, batch.lastSeq);
            return batch.findings.length + batch.gaps.length;
          };
          steps.forEach((step, i) => {
            spool.append(
              [finding(i, SEVERITIES[step.rank] ?? "info", step.size + 400)],
              [],
              cursor(i),
            );
            if (step.send === 0) take(5);
            if (step.send === 1) {
              spool = new Spool(options(disk, { bytesMax }));
              spool.acknowledge(spool.stream, 0);
            }
            const size = disk.list().reduce((sum, n) => sum + disk.load(n).length, 0);
            // Four segments are emptied a time, so a bad order of sizes takes it over for a while.
            expect(size).toBeLessThan(bytesMax * 1.75);
          });
          for (let round = 0; take(50) > 0; round++) if (round > 2_000) throw new Error("no end");
          expect(new Set(arrived).size).toBe(arrived.length);
          expect([...arrived].sort((a, b) => a - b)).toEqual(arrived);
          expect(arrived.length + lost).toBe(steps.length);
        },
      ),
      { numRuns: 40, endOnFailure: true },
    );
  });

  test("append() keeps a fatal finding through a flood of lesser ones", () => {
    const spool = new Spool(options(createMemoryStorage(), { bytesMax: 100_000 }));
    spool.append([finding(79, "fatal")], [], null);
    for (let i = 1_000; i < 4_000; i++) spool.append([finding(i, "info")], [], null);
    const { codes, lost } = drain(spool);
    expect(codes[0]).toBe(79);
    expect(codes.at(-1)).toBe(3_999);
    expect(codes.length + lost).toBe(3_001);
    expect(lost).toBeGreaterThan(2_000);
  });

  test("append() keeps on disk what memory alone has no room for, and counts what it gives up", () => {
    const keep = (storage: SpoolStorage | null, bytesMax?: number) => {
      const spool = new Spool(options(storage, bytesMax === undefined ? {} : { bytesMax }));
      for (let i = 0; i < 80; i++) spool.append([finding(i, "info", 100_000)], [], null);
      const { bytes, dropped } = spool.stats();
      return { mebibytes: Math.round(bytes / 1_048_576), dropped };
    };
    expect(keep(createMemoryStorage())).toEqual({ mebibytes: 8, dropped: 0 });
    // 70 % of 6 MiB, in findings of 100,422 bytes with their rows.
    expect(keep(null)).toEqual({ mebibytes: 4, dropped: 37 });
    expect(keep(null, 2 * 1_048_576).mebibytes).toBe(1);
  });

  test("append() joins gaps of one kind while they are unsent", () => {
    const spool = new Spool(options(createMemoryStorage()));
    for (let i = 0; i < 100; i++)
      spool.append([], [{ reason: "kernel_ring", count: 2, atMs: i }], null);
    const at = "1970-01-01T00:00:00.099Z";
    expect(spool.next(10, 1_000).gaps).toMatchObject([{ seq: 1, count: 200, at }]);
    spool.append([], [{ reason: "kernel_ring", count: 5, atMs: 0 }], null);
    expect(spool.next(10, 1_000).gaps.map((gap) => gap.count)).toEqual([200, 5]);
  });

  test("discard() puts a counted gap in place of what will never be accepted", () => {
    const disk = createMemoryStorage();
    const spool = new Spool(options(disk));
    spool.append([finding(1), finding(2), finding(3)], [], null);
    spool.discard(2);
    for (const held of [spool, new Spool(options(disk))]) {
      const batch = held.next(10, 10_000);
      expect(batch.findings.map((row) => row.seq)).toEqual([1, 3]);
      expect(batch.gaps).toMatchObject([{ seq: 2, reason: "malformed", count: 1 }]);
    }
  });

  test("acknowledge() tells that what an earlier process sent is forgotten at the other side", () => {
    const disk = createMemoryStorage();
    const first = new Spool(options(disk));
    first.append([finding(1), finding(2)], [], null);
    expect(first.acknowledge(first.stream, 2)).toBe("agreed");
    const second = new Spool(options(disk));
    // Nothing in the first one's segment is wanted any more.
    expect(disk.list()).toHaveLength(1);
    expect(second.acknowledge(second.stream, 1)).toBe("behind");
    expect(second.acknowledge(second.stream, 2)).toBe("agreed");
  });

  const bytesOn = (disk: SpoolStorage) =>
    disk.list().reduce((sum, number) => sum + disk.load(number).length, 0);

  test.each([
    ["in segments of a MiB", undefined, 100_000, 2_200_000],
    ["in sixteen segments of a small bound", 160_000, 2_000, 55_000],
  ])("gives acknowledged space back soon, %s", (_, bytesMax, each, atMost) => {
    const disk = createMemoryStorage();
    const spool = new Spool(options(disk, bytesMax === undefined ? {} : { bytesMax }));
    for (let i = 0; i < 40; i++) spool.append([finding(i, "fatal", each)], [], null);
    expect(bytesOn(disk)).toBeGreaterThan(40 * each);
    spool.acknowledge(spool.stream, 30);
    expect(bytesOn(disk)).toBeWithin(10 * each, atMost);
  });

  test("counts what it gives up one by one, and gives its space back", () => {
    const disk = createMemoryStorage();
    const spool = new Spool(options(disk, { bytesMax: 16_000 }));
    for (let i = 1; i <= 4; i++) spool.append([finding(i, "fatal", 1_500)], [], null);
    const [one, , three, four = 0] = disk.list();
    spool.discard(1);
    spool.discard(1);
    spool.discard(99);
    const damaged = Buffer.from(disk.load(three ?? 0)).map((byte) => (byte === 0x7b ? 0x28 : byte));
    disk.remove(three ?? 0);
    disk.append(three ?? 0, damaged, true);
    expect(codesOf(spool)).toEqual([2, 4]);
    expect(spool.stats()).toMatchObject({ dropped: 2, depth: 4 });
    for (let i = 5; i <= 6; i++) spool.append([finding(i, "fatal", 1_500)], [], null);
    const left = disk.list();
    expect([left.includes(one ?? 0), left.includes(three ?? 0), left.includes(four)]).toEqual([
      false,
      false,
      true,
    ]);
  });

  test("what cannot be read is counted as lost when its segment is to be emptied", () => {
    const inner = createMemoryStorage();
    const disk: SpoolStorage = {
      ...inner,
      read: (segment, ...part) =>
        segment === 2 ? new Uint8Array(0) : inner.read(segment, ...part),
    };
    const spool = new Spool(options(disk, { bytesMax: 16_000 }));
    const pair = (n: number) => [finding(n, "fatal", 300), finding(n + 100, "info", 2_000)];
    for (let n = 1; n <= 10; n++) spool.append(pair(n), [], null);
    expect(disk.list()).not.toContain(2);
    const { dropped } = spool.stats();
    const { codes, lost } = drain(spool);
    expect(codes.filter((code) => code < 100)).toEqual([1, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect([codes.length + lost, dropped]).toEqual([20, lost]);
  });

  test("Spool() counts what a damaged segment lost", () => {
    const disk = createMemoryStorage();
    const spool = new Spool(options(disk));
    for (let i = 1; i <= 5; i++) spool.append([finding(i)], [], null);
    const [number] = disk.list();
    const bytes = disk.load(number ?? 0);
    const lines = Buffer.from(bytes).toString("latin1").split("\n");
    lines[3] = (lines[3] ?? "").replace("finding", "fond of");
    disk.remove(number ?? 0);
    disk.append(number ?? 0, Buffer.from(lines.join("\n"), "latin1"), true);
    expect(drain(new Spool(options(disk)))).toEqual({
      codes: [1, 2, 4, 5],
      lost: 1,
      seqs: [1, 2, 3, 4, 5],
    });
  });

  test("acknowledge() begins a new stream when the disk was put back to an older state", () => {
    const disk = createMemoryStorage();
    const spool = new Spool(options(disk));
    expect(spool.fresh).toBe(true);
    spool.append([finding(1)], [], null);
    const old = spool.stream;
    // The control plane has 5 of this stream, this disk knows 1: numbers 2 to 5 were used already.
    const restored = new Spool(options(disk));
    expect([restored.agreed, restored.fresh]).toEqual([false, false]);
    restored.append([finding(2)], [], null);
    expect(restored.acknowledge(old, 5)).toBe("renewed");
    expect(restored.agreed).toBe(true);
    expect(restored.stream).not.toBe(old);
    expect(new Spool(options(disk)).stream).toBe(restored.stream);
    expect(codesOf(new Spool(options(disk)))).toEqual([2]);
    expect(codesOf(restored)).toEqual([2]);
  });

  test("acknowledge() begins a new stream when somebody else numbers under this one", () => {
    const disk = createMemoryStorage();
    const spool = new Spool(options(disk));
    spool.append([finding(1)], [], null);
    const old = spool.stream;
    expect(spool.acknowledge(old, 1)).toBe("agreed");
    spool.append([finding(2), finding(3)], [], null);
    // A machine that was copied, or a stolen credential: 2 and 3 were taken for old ones.
    for (const seq of [4, 9_007_199_254_740_991]) {
      const { stream } = spool;
      expect(spool.acknowledge(stream, seq)).toBe("renewed");
      expect(spool.stream).not.toBe(stream);
      // Under the new one nothing has been acknowledged that could be forgotten.
      expect(spool.acknowledge(spool.stream, 0)).toBe("agreed");
      expect(codesOf(spool)).toEqual([2, 3]);
    }
    expect(codesOf(new Spool(options(disk)))).toEqual([2, 3]);
    expect(spool.acknowledge(spool.stream, 3)).toBe("agreed");
    expect(codesOf(spool)).toEqual([]);
  });

  test("returnToDisk() needs nothing to write: a quiet node is not without a disk for ever", () => {
    const inner = createMemoryStorage();
    let full = false;
    let mono = 0;
    const storage: SpoolStorage = {
      ...inner,
      append: (...args) => (full ? { ok: false, message: "no space" } : inner.append(...args)),
    };
    const spool = new Spool(options(storage, { monoMs: () => mono }));
    full = true;
    spool.append([finding(79)], [], null);
    full = false;
    spool.returnToDisk();
    expect(spool.stats().memory).toBe("no space");
    mono = 60_000;
    spool.returnToDisk();
    expect(spool.stats().memory).toBeNull();
    // What had waited in memory is on the disk too, and survives the process.
    expect(drain(new Spool(options(inner))).codes).toEqual([79]);
  });

  test("append() goes on in memory when the disk is full, and returns to it", () => {
    const inner = createMemoryStorage();
    let full = false;
    const disk: SpoolStorage = {
      ...inner,
      append: (segment, bytes, durable) => {
        if (!full) return inner.append(segment, bytes, durable);
        inner.append(segment, bytes.subarray(0, 5), durable);
        return { ok: false, message: "no space left" };
      },
    };
    let now = 0;
    const spool = new Spool(options(disk, { monoMs: () => now }));
    spool.append([finding(1)], [], null);
    full = true;
    spool.append([finding(2)], [], null);
    expect(spool.stats().memory).toBe("no space left");
    spool.append([finding(3)], [], null);
    full = false;
    now = 61_000;
    spool.append([finding(4)], [], cursor(4));
    expect(spool.stats().memory).toBe(null);
    expect(codesOf(new Spool(options(inner)))).toEqual([1, 2, 3, 4]);
    expect(codesOf(spool)).toEqual([1, 2, 3, 4]);
  });
});

describe("openFileStorage()", () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "spool-"));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  function open(directory: string): SpoolStorage {
    const answer = openFileStorage(directory);
    if (!answer.ok) throw new Error(answer.message);
    return answer.storage;
  }

  test("keeps findings over a restart and drops a torn tail", () => {
    const directory = join(root, "torn");
    const spool = new Spool(options(open(directory)));
    spool.append([finding(1), finding(2)], [], cursor(2));
    spool.append([finding(3)], [], cursor(3));
    const file = join(
      directory,
      readdirSync(directory)
        .filter((name) => name.endsWith(".spool"))
        .sort()
        .at(-1) ?? "",
    );
    truncateSync(file, statSync(file).size - 3);
    const again = new Spool(options(open(directory)));
    expect(again.cursor()).toEqual(cursor(2));
    expect(drain(again).codes).toEqual([1, 2]);
    appendFileSync(file, "garbage");
    again.close();
    expect(readdirSync(directory)).not.toContain("owner");
    expect(drain(new Spool(options(open(directory)))).codes).toEqual([]);
  });

  test("names the reason when the directory cannot be used", () => {
    const file = join(root, "file");
    writeFileSync(file, "");
    const answer = openFileStorage(join(file, "spool"));
    expect(answer).toMatchObject({ ok: false });
    if (!answer.ok) expect(answer.message).toContain(file);
  });

  test("passes over intact lines of a kind that only another release knows", () => {
    const directory = join(root, "newer");
    const spool = new Spool(options(open(directory)));
    spool.append([finding(1)], [], cursor(1));
    const [name = ""] = readdirSync(directory).filter((each) => each.endsWith(".spool"));
    const json = JSON.stringify({ tag: "note", text: "of a later release" });
    const crc = Bun.hash.crc32(json).toString(16).padStart(8, "0");
    appendFileSync(join(directory, name), `${crc} ${json}\n`);
    spool.append([finding(2)], [], cursor(2));
    expect(drain(new Spool(options(open(directory)))).codes).toEqual([1, 2]);
  });

  test("reads what lies in a directory that takes nothing, as on a full disk", () => {
    const directory = join(root, "full");
    new Spool(options(open(directory))).append([finding(79)], [], cursor(1));
    // Stands for a claim that cannot be written: root may write wherever there is room.
    rmSync(join(directory, "owner"));
    mkdirSync(join(directory, "owner"));
    expect(drain(new Spool(options(open(directory)))).codes).toEqual([79]);
  });

  test("refuses a directory that another living process holds", () => {
    const directory = join(root, "held");
    open(directory).close();
    const stat = Bun.file("/proc/1/stat").text();
    return stat.then((text) => {
      const start = text.slice(text.lastIndexOf(")") + 2).split(" ")[19];
      writeFileSync(join(directory, "owner"), `1 ${start}\n`);
      expect(openFileStorage(directory)).toEqual({
        ok: false,
        message: `${directory} is in use by process 1`,
      });
      writeFileSync(join(directory, "owner"), "1 17\n");
      expect(openFileStorage(directory)).toMatchObject({ ok: true });
    });
  });
});

test("openFileStorage() syncs a durable write before it returns, and the name of a new file", () => {
  const folder = mkdtempSync(join(tmpdir(), "navarch-spool-sync-"));
  const opened = openFileStorage(folder);
  if (!opened.ok) throw new Error(opened.message);
  const calls: string[] = [];
  const spies = (["writeSync", "fdatasyncSync", "fsyncSync"] as const).map((name) => {
    const real = fs[name] as (...given: unknown[]) => unknown;
    return spyOn(fs, name).mockImplementation(((...given: unknown[]) => {
      calls.push(name);
      return real(...given);
    }) as never);
  });
  try {
    const bytes = new TextEncoder().encode("one finding\n");
    expect(opened.storage.append(1, bytes, true)).toEqual({ ok: true });
    expect(calls).toEqual(["fsyncSync", "writeSync", "fdatasyncSync"]);
    calls.length = 0;
    expect(opened.storage.append(1, bytes, true)).toEqual({ ok: true });
    expect(calls).toEqual(["writeSync", "fdatasyncSync"]);
    calls.length = 0;
    expect(opened.storage.append(1, bytes, false)).toEqual({ ok: true });
    expect(calls).toEqual(["writeSync"]);
  } finally {
    for (const spy of spies) spy.mockRestore();
    opened.storage.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
