/**
 * The parts of the spool at their bounds: storage, lines, index, what a restart makes of segments.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openFileStorage } from "./spool-file.ts";
import { foldEntries, type Held, hole, joinHoles, ROW_BYTES, SpoolIndex } from "./spool-index.ts";
import {
  type GapRow,
  type HeadLine,
  parseBody,
  parseSegment,
  type PlacedLine,
  formatLine,
  encodePut,
} from "./spool-line.ts";
import { foldSegments } from "./spool-index.ts";
import { SpoolSegments } from "./spool-segment.ts";
import { createMemoryStorage, type SpoolStorage } from "./spool-storage.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const cursor = (seq: number) => ({ bootId: "boot-1", seq });

let home: string;
beforeEach(() => {
  home = fs.mkdtempSync(join(tmpdir(), "spool-parts-"));
});
afterEach(() => fs.rmSync(home, { recursive: true, force: true }));

function openFiles(name = "spool"): SpoolStorage {
  const answer = openFileStorage(join(home, name));
  if (!answer.ok) throw new Error(answer.message);
  return answer.storage;
}

describe.each([
  ["files", () => openFiles()],
  ["memory", createMemoryStorage],
])("a storage of %s", (_, open) => {
  test("lists by number, reads any part, and forgets what is removed", () => {
    const storage = open();
    for (const number of [10, 9, 2, 100])
      storage.append(number, bytesOf(`segment ${number}`), true);
    expect(storage.append(9, bytesOf(", more"), false)).toEqual({ ok: true });
    expect(storage.list()).toEqual([2, 9, 10, 100]);
    expect(textOf(storage.load(9))).toBe("segment 9, more");
    expect(textOf(storage.read(9, 8, 3))).toBe("9, ");
    expect(textOf(storage.read(9, 11, 99))).toBe("more");
    expect(textOf(storage.read(2, 0, 7))).toBe("segment");
    storage.remove(9);
    storage.remove(9);
    expect(storage.list()).toEqual([2, 10, 100]);
    expect([storage.load(9).length, storage.read(9, 0, 5).length]).toEqual([0, 0]);
    storage.append(9, bytesOf("again"), true);
    expect(textOf(storage.load(9))).toBe("again");
    storage.append(7, bytesOf("x".repeat(10_000)), true);
    storage.append(7, bytesOf("y".repeat(30_000)), true);
    expect(textOf(storage.load(7))).toBe("x".repeat(10_000) + "y".repeat(30_000));
    storage.close();
  });
});

test("files are the agent's alone, and its claim goes with it", () => {
  const storage = openFiles();
  storage.append(7, bytesOf("a"), true);
  const folder = join(home, "spool");
  const modeOf = (name: string) => fs.statSync(join(folder, name)).mode & 0o777;
  expect([modeOf("."), modeOf("owner"), modeOf("0000000007.spool")]).toEqual([0o700, 0o600, 0o600]);
  const [pid, start] = fs.readFileSync(join(folder, "owner"), "utf8").trim().split(" ");
  const stat = fs.readFileSync(`/proc/${process.pid}/stat`, "utf8");
  expect([Number(pid), start]).toEqual([
    process.pid,
    stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "",
  ]);
  fs.writeFileSync(join(folder, "note.txt"), "");
  fs.writeFileSync(join(folder, "1.spool"), "");
  expect(storage.list()).toEqual([7]);
  storage.remove(7);
  storage.close();
  expect(fs.readdirSync(folder).toSorted()).toEqual(["1.spool", "note.txt"]);
});

test("a claim of a process that is gone, or of another with its number, holds nobody off", () => {
  openFiles().close();
  const owner = join(home, "spool", "owner");
  for (const claim of ["999999999 5\n", "1 5\n", "1\n", "", "nonsense"]) {
    fs.writeFileSync(owner, claim);
    openFiles();
    expect([claim, fs.readFileSync(owner, "utf8").split(" ")[0]]).toEqual([
      claim,
      `${process.pid}`,
    ]);
  }
});

test("files are closed when the next one begins, and at the end", () => {
  const open = () => fs.readdirSync("/proc/self/fd").length;
  const before = open();
  const storage = openFiles();
  for (const number of [1, 2, 3, 4]) {
    storage.append(number, bytesOf("a"), true);
    expect(storage.read(1, 0, 1)).toHaveLength(1);
  }
  expect(open()).toBe(before + 1);
  storage.close();
  expect(open()).toBe(before);
});

test("a file that cannot be written is an answer, and the next one is written", () => {
  const storage = openFiles();
  fs.mkdirSync(join(home, "spool", "0000000003.spool"));
  const refused = storage.append(3, bytesOf("a"), true);
  expect(refused).toMatchObject({ ok: false });
  expect(refused.ok ? "" : refused.message).toContain("EISDIR");
  expect(storage.append(4, bytesOf("b"), true)).toEqual({ ok: true });
  expect(textOf(storage.load(4))).toBe("b");
});

describe("lines", () => {
  const bodies = [
    { seq: 4, rank: 3, body: '{"a":"ä"}' },
    { seq: 5, rank: 0, body: '{"b":2}' },
  ];
  const gap: GapRow = { seq: 3, span: 2, reason: "kernel_ring", count: 9, atMs: 7 };

  test("are read as they were printed, each body by its place", () => {
    const ack = formatLine({ tag: "ack", seq: 2, cursor: cursor(1) });
    const put = encodePut({ gaps: [gap], cursor: cursor(8) }, bodies);
    const segment = new Uint8Array([...ack, ...put.bytes]);
    const { lines, damaged } = parseSegment(segment);
    const rows = [
      { seq: 4, rank: 3, bytes: 10 },
      { seq: 5, rank: 0, bytes: 7 },
    ];
    expect(put.rows).toEqual(rows);
    expect([damaged, lines.length]).toEqual([0, 2]);
    expect(lines[0]).toEqual({ line: { tag: "ack", seq: 2, cursor: cursor(1) }, bodiesAt: 0 });
    expect(lines[1]?.line).toMatchObject({ tag: "put", rows, gaps: [gap], cursor: cursor(8) });
    const at = lines[1]?.bodiesAt ?? 0;
    expect(at).toBe(ack.length + put.bodiesAt);
    expect(textOf(segment.subarray(at, at + 10))).toBe('{"a":"ä"}');
    expect(textOf(segment.subarray(at + 11, at + 18))).toBe('{"b":2}');
    const [none] = parseSegment(encodePut({ gaps: [], cursor: null }, []).bytes).lines;
    expect(none?.line).toMatchObject({ tag: "put", rows: [] });
  });

  test("are passed over and counted where a byte of them is another", () => {
    const whole = formatLine({ tag: "ack", seq: 2, cursor: null });
    const damagedOf = (bytes: Uint8Array) => {
      const { lines, damaged } = parseSegment(bytes);
      return [lines.length, damaged];
    };
    expect(damagedOf(new Uint8Array())).toEqual([0, 0]);
    for (let at = 0; at < whole.length - 1; at++) {
      const other = whole.slice();
      other[at] = (other[at] ?? 0) === 0x30 ? 0x31 : 0x30;
      // The one byte between checksum and text says nothing.
      expect([at, ...damagedOf(new Uint8Array([...other, ...whole]))]).toEqual(
        at === 8 ? [8, 2, 0] : [at, 1, 1],
      );
    }
    expect(damagedOf(whole.subarray(0, -1))).toEqual([0, 1]);
    expect(damagedOf(bytesOf("\n\nshort\n"))).toEqual([0, 3]);
    expect([parseBody(bytesOf("{half")), parseBody(bytesOf(""))]).toEqual([null, null]);
  });
});

describe("SpoolIndex", () => {
  const held = (seq: number, rank = 3, bytes = 100): Held => {
    return { kind: "held", seq, rank, bytes, segment: seq % 2, at: 0 };
  };
  const filled = (...rows: Held[]) => {
    const index = new SpoolIndex();
    for (const row of rows) index.add(row);
    return index;
  };
  const seqs = (index: SpoolIndex) =>
    [...index.pending()].map((one) => (one.kind === "held" ? `${one.seq}` : `-${one.seq}`));

  test("counts what is held, and forgets what was acknowledged", () => {
    const index = filled(held(1), held(2), held(3));
    expect([index.depth, index.bytes]).toEqual([3, 3 * (100 + ROW_BYTES)]);
    expect(index.acknowledge(2).map(({ seq }) => seq)).toEqual([1, 2]);
    expect([index.depth, index.bytes, seqs(index)]).toEqual([1, 100 + ROW_BYTES, ["3"]]);
    expect(index.acknowledge(2)).toEqual([]);
    expect(index.last()?.seq).toBe(3);
    expect(index.heldIn(1).map(({ seq }) => seq)).toEqual([3]);
    expect(index.heldIn(0)).toEqual([]);
  });

  test("gives up the least severe, then the oldest, down to the very byte", () => {
    const index = filled(held(1, 3), held(2, 1), held(3, 0), held(4, 0), held(5, 1));
    const one = 100 + ROW_BYTES;
    expect(index.shrink(5 * one, 0, 9)).toEqual({ dropped: [], holes: [] });
    const { dropped, holes } = index.shrink(5 * one - 1, 0, 9);
    expect(dropped.map(({ seq }) => seq)).toEqual([3]);
    expect(holes).toEqual([{ seq: 3, span: 1, reason: "spool_full", count: 1, atMs: 9 }]);
    expect(index.shrink(one, 0, 9).dropped.map(({ seq }) => seq)).toEqual([4, 2, 5]);
    expect(seqs(index)).toEqual(["1", "-2", "-3", "-4", "-5"]);
    expect(index.holes(0)).toEqual([{ seq: 5, span: 4, reason: "spool_full", count: 4, atMs: 9 }]);
  });

  test("joins holes once 1,024 and a quarter of all are new, not at each", () => {
    const all = (count: number) => filled(...Array.from({ length: count }, (_, i) => held(i + 1)));
    const [few, many] = [all(1_365), all(1_366)];
    for (const index of [few, many]) index.shrink(0, 0, 9);
    expect([few.depth, many.depth]).toEqual([1_365, 1]);
  });

  test("leaves alone what may be on its way", () => {
    const index = filled(held(1, 0), held(2, 0), held(3, 3));
    expect(index.shrink(0, 2, 9).dropped.map(({ seq }) => seq)).toEqual([3]);
    expect(index.shrink(0, 3, 9).dropped).toEqual([]);
  });

  test("discards one record once, and never one that is not held", () => {
    const index = filled(held(1), held(3));
    expect(index.discard(2, "malformed", 9)).toBeNull();
    expect(index.discard(9, "malformed", 9)).toBeNull();
    expect(index.discard(3, "malformed", 9)).toMatchObject({ seq: 3 });
    expect(index.discard(3, "malformed", 9)).toBeNull();
    expect([index.bytes, seqs(index)]).toEqual([100 + ROW_BYTES, ["1", "-3"]]);
  });

  test("joins holes that touch and have one reason, not across what was shown", () => {
    const index = new SpoolIndex();
    for (const seq of [1, 2, 3, 4]) index.add(hole(seq, "spool_full", seq));
    expect(index.holes(2).map(({ seq, span }) => [seq, span])).toEqual([
      [2, 2],
      [4, 2],
    ]);
    const a = hole(4, "malformed", 7, 2, 9);
    expect(joinHoles(a, hole(7, "malformed", 5, 3, 1))).toEqual(hole(7, "malformed", 7, 5, 10));
    expect(joinHoles(a, hole(8, "malformed", 5, 3))).toBeNull();
    expect(joinHoles(a, hole(7, "kernel_ring", 5, 3))).toBeNull();
    expect([joinHoles(a, held(5)), joinHoles(held(4), hole(5, "malformed", 0))]).toEqual([
      null,
      null,
    ]);
  });
});

describe("a restart", () => {
  const row = (seq: number, segment = 1) => ({ seq, rank: 3, bytes: 5, segment, at: 0 });
  const entries = (rows: number[], gaps: GapRow[], acked: number, next: number) => {
    const placed = new Map(rows.map((seq) => [seq, row(seq)] as const));
    const holes = new Map(gaps.map((gap) => [gap.seq, gap] as const));
    return foldEntries(placed, holes, acked, next, 77).map((one) =>
      one.kind === "held" ? one.seq : `${one.seq - one.span + 1}-${one.seq} ${one.reason}`,
    );
  };
  const full = (seq: number, span: number): GapRow => {
    return { seq, span, reason: "spool_full", count: span, atMs: 1 };
  };

  test("accounts for every number between what was acknowledged and the next", () => {
    expect(entries([], [], 0, 1)).toEqual([]);
    expect(entries([1, 2, 3], [], 0, 4)).toEqual([1, 2, 3]);
    expect(entries([1, 2, 3], [], 2, 4)).toEqual([3]);
    expect(entries([2, 5], [], 0, 7)).toEqual([
      ...["1-1 malformed", 2, "3-4 malformed", 5, "6-6 malformed"],
    ]);
    expect(entries([], [], 3, 6)).toEqual(["4-5 malformed"]);
    expect(entries([1, 2, 3], [full(2, 1)], 0, 4)).toEqual([1, "2-2 spool_full", 3]);
    expect(entries([1, 5], [full(4, 3)], 0, 6)).toEqual([1, "2-4 spool_full", 5]);
    // A wide hole stands for the bodies that it replaced; a number beyond the next is none.
    expect(entries([1, 3, 9], [full(4, 3)], 0, 5)).toEqual([1, "2-4 spool_full"]);
  });

  const head = (change: Partial<HeadLine>): HeadLine => ({
    ...{ tag: "head", stream: "s", acked: 0, next: 1, cursor: null, gaps: [] },
    ...change,
  });

  test("takes the later word of each, and nothing of a segment without a head", () => {
    const put = (seq: number, at: number): PlacedLine => {
      const rows = [
        { seq, rank: 3, bytes: 5 },
        { seq: seq + 1, rank: 3, bytes: 6 },
      ];
      return { line: { tag: "put", rows, gaps: [], cursor: cursor(seq) }, bodiesAt: at };
    };
    const placed = (line: HeadLine) => ({ line, bodiesAt: 0 });
    const found = foldSegments([
      { number: 1, lines: [put(90, 10)] },
      { number: 2, lines: [placed(head({ acked: 3, next: 9, stream: "old" })), put(9, 50)] },
      { number: 3, lines: [placed(head({ acked: 2, next: 5, gaps: [full(4, 1)] }))] },
      { number: 4, lines: [] },
    ]);
    expect(found).toEqual({
      ...{ stream: "s", acked: 3, next: 11, cursor: cursor(9) },
      rows: new Map([
        [9, { seq: 9, rank: 3, bytes: 5, segment: 2, at: 50 }],
        [10, { seq: 10, rank: 3, bytes: 6, segment: 2, at: 56 }],
      ]),
      gaps: new Map([[4, full(4, 1)]]),
    });
    const ack = { line: { tag: "ack", seq: 7, cursor: cursor(1) } as const, bodiesAt: 0 };
    const acked = foldSegments([{ number: 1, lines: [placed(head({ acked: 9 })), ack] }]);
    expect([acked.acked, acked.cursor, acked.next]).toEqual([9, cursor(1), 1]);
    expect(foldSegments([{ number: 1, lines: [ack] }])).toMatchObject({ stream: null, acked: 0 });
  });

  test("segments: begun again when full, kept while wanted, the most wasteful named", () => {
    const disk = createMemoryStorage();
    const segments = new SpoolSegments(disk, 100, null);
    const write = (bytes: number) => segments.write(new Uint8Array(bytes), true, 0, () => head({}));
    segments.rotate(0, () => head({}));
    const headBytes = segments.total();
    expect(write(100 - headBytes - 1)).toEqual({ segment: 1, at: headBytes });
    expect(write(1)).toEqual({ segment: 1, at: 99 });
    expect(write(7)).toEqual({ segment: 2, at: headBytes });
    expect(segments.total()).toBe(100 + headBytes + 7);
    segments.count(1, 50);
    expect([segments.wasteful(), segments.stranded()]).toEqual([1, null]);
    segments.sweep();
    expect(segments.numbers()).toEqual([1, 2]);
    segments.count(1, -50);
    segments.sweep();
    expect([segments.numbers(), disk.list()]).toEqual([[2], [2]]);
    expect([segments.load(1).length, segments.read(1, 0, 5).length]).toEqual([0, 0]);
    expect(segments.load(2)).toHaveLength(headBytes + 7);
    const none = new SpoolSegments(null, 100, null);
    expect([none.failure, none.mayReturn(1e9)]).toEqual(["no directory", false]);
    expect(new SpoolSegments(null, 100, "it is read-only").failure).toBe("it is read-only");
  });

  test("segments of an earlier process count once they are read, and go when nothing is wanted", () => {
    const disk = createMemoryStorage();
    for (const number of [3, 4]) disk.append(number, bytesOf("12345"), true);
    const segments = new SpoolSegments(disk, 100, null);
    expect([segments.numbers(), segments.total()]).toEqual([[3, 4], 0]);
    segments.load(3);
    segments.load(4);
    expect(segments.total()).toBe(10);
    segments.rotate(0, () => head({}));
    segments.count(4, 1);
    segments.sweep();
    expect(segments.numbers()).toEqual([4, 5]);
  });

  test("segments: a disk that refused is left alone for a minute, however much comes", () => {
    let asked = 0;
    const refusing: SpoolStorage = {
      ...createMemoryStorage(),
      append: () => (asked++, { ok: false, message: "full" }),
    };
    const segments = new SpoolSegments(refusing, 100, null);
    const write = (nowMs: number) =>
      segments.write(bytesOf("a".repeat(99)), true, nowMs, () => head({}));
    for (const nowMs of [5, 6, 60_004]) write(nowMs);
    expect([asked, segments.failure]).toEqual([1, "full"]);
    write(60_005);
    expect([asked, segments.failure, segments.numbers().length]).toEqual([2, "full", 6]);
  });
});
