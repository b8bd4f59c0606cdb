/** The reader over a source that is played by the test, answer by answer. */
import { describe, expect, test } from "bun:test";
import type { Clock, KernelCursor, KernelRecordOut } from "../port/port.ts";
import { type KernelLogOptions, openKernelLog } from "./read.ts";
import type { Source, SourceRead } from "./source.ts";

/** What the source answers: a record as text, or anything else by its kind. */
type Play = string | Exclude<SourceRead, { kind: "record" }>;
const IDLE = { kind: "idle" } as const;
const OVERRUN = { kind: "overrun" } as const;
const failed = (message: string) => ({ kind: "failed", message }) as const;

function setUp(from: Partial<KernelLogOptions> & { device?: boolean } = {}) {
  let now = 0;
  const clock: Clock = {
    wallMs: () => 10_000_000 + now,
    monoMs: () => now,
    after: () => () => undefined,
  };
  const queue: Play[] = [];
  let opened = 0;
  let closed = 0;
  let refusal: string | null = null;
  const { device = true, ...options } = from;
  const source: Source = {
    device,
    next(): SourceRead {
      const one = queue.shift() ?? IDLE;
      return typeof one === "string" ? { kind: "record", bytes: Buffer.from(one) } : one;
    },
    close: () => void closed++,
  };
  const log = openKernelLog({
    ...{ path: "/dev/kmsg", bootId: "b1", bootWallMs: 10_000_000, clock, cursor: null },
    gpus: () => [{ index: 0, uuid: "GPU-a", pci: "0000:04:00.0" }],
    open: (path) => {
      opened++;
      return refusal === null && path === "/dev/kmsg" ? source : { error: refusal ?? path };
    },
    ...options,
  });
  const play = (...answers: Play[]) => {
    queue.push(...answers);
    return log.read(1_000);
  };
  return {
    ...{ log, play, queue },
    brief: (...answers: Play[]) => brief(play(...answers).out),
    step: (ms: number) => (now += ms),
    refuse: (why: string | null) => (refusal = why),
    opens: () => [opened, closed],
  };
}

function brief(out: readonly KernelRecordOut[]): string[] {
  return out.map((one) => {
    if (one.kind === "finding") return `${one.finding.code ?? one.finding.reason}`;
    if (one.kind === "gap") return `${one.reason}:${one.count}@${one.atMs}`;
    return one.kind === "deaf" ? `deaf: ${one.message}` : one.kind;
  });
}

const line = (seq: number, text = "usb: hello") => `6,${seq},${seq * 1_000},-;${text}`;
const xid = (seq: number, code = 31) => line(seq, `NVRM: Xid (PCI:0000:04:00): ${code}, x`);
const LOST = "kernel_ring";

describe("read() follows the numbers", () => {
  test("of a device: no hole before the first, each later one counted, nothing twice", () => {
    const at = setUp();
    expect(at.brief(line(7), line(8), line(10), line(13), xid(14))).toEqual([
      `${LOST}:3@10000000`,
      "31",
    ]);
    expect(at.brief(xid(14), xid(3), xid(15))).toEqual(["31"]);
    expect(at.log.stats()).toMatchObject({
      ...{ records: 8, lost: 3, replayed: 2, lastSeq: 15, malformed: 0, quoted: 0 },
    });
  });

  test("of a file: smaller ones are another's way of counting", () => {
    const at = setUp({ device: false });
    expect(at.brief(line(7), xid(3), xid(3, 13), xid(5, 48))).toEqual([
      ...["31", "13", `${LOST}:1@10000000`, "48"],
    ]);
    expect(at.log.stats()).toMatchObject({ replayed: 0, lost: 1, lastSeq: 5 });
  });

  test("after the cursor of this boot, up to which everything was read", () => {
    const cursor: KernelCursor = { bootId: "b1", seq: 5 };
    for (const device of [true, false]) {
      const at = setUp({ cursor, device });
      expect(at.log.stats().lastSeq).toBe(5);
      expect(at.brief(xid(4), xid(5), xid(6))).toEqual(["31"]);
      expect(at.brief(xid(5, 13))).toEqual(device ? [] : ["13"]);
    }
    const other = setUp({ cursor: { bootId: "b0", seq: 5 } });
    expect(other.log.read(1).cursor).toBeNull();
    expect(other.brief(xid(4), xid(5))).toEqual(["31", "31"]);
    // What lies between the cursor and the first record that is left was lost.
    expect(setUp({ cursor }).brief(line(9))).toEqual([`${LOST}:3@10000000`]);
  });

  test("over records without one: they fill the hole that they leave", () => {
    const at = setUp();
    expect(at.brief(line(1), "garbage", "more of it", line(4), line(6))).toEqual([
      "malformed:2@10000000",
      `${LOST}:1@10000000`,
    ]);
    // The holes of a while are one entry, as long as nothing lies between them.
    expect(at.brief(line(8), line(10), xid(12), line(14))).toEqual([
      `${LOST}:3@10000000`,
      "31",
      `${LOST}:1@10000000`,
    ]);
  });

  test("again where a file begins again", () => {
    const at = setUp({ device: false, cursor: { bootId: "b1", seq: 50 } });
    expect(at.brief(xid(9), xid(51))).toEqual(["31"]);
    expect(at.brief({ kind: "restarted" }, xid(9, 13), xid(10, 48))).toEqual(["13", "48"]);
  });
});

describe("read() counts what it cannot read", () => {
  test.each([
    ["no header at all"],
    ["6;text"],
    ["6,1;text"],
    ["6,1,2;text"],
    [",1,2,-;text"],
    ["6,,2,-;text"],
    ["6,1,,-;text"],
    ["x,1,2,-;text"],
    ["6,-1,2,-;text"],
    ["6,99999999999999999,2,-;text"],
    ["6,1,2,-no separator"],
  ])("%s", (text) => {
    const at = setUp();
    expect(at.brief(text)).toEqual(["malformed:1@10000000"]);
    expect(at.log.stats()).toMatchObject({ malformed: 1, lastMalformed: text, records: 1 });
  });

  test("keeps the first 200 bytes of it", () => {
    const at = setUp();
    at.play("z".repeat(999));
    expect(at.log.stats().lastMalformed).toBe("z".repeat(200));
    at.play({ kind: "oversized" });
    expect(at.log.stats()).toMatchObject({
      ...{ malformed: 2, lastMalformed: "line longer than a record" },
    });
  });

  test("takes headers with further fields, and the largest number", () => {
    const at = setUp();
    expect(at.brief("4,9007199254740991,5,-,caller=T1;NVRM: API mismatch: x")).toEqual([
      "mismatch",
    ]);
    expect(at.log.stats().lastSeq).toBe(9_007_199_254_740_991);
    expect(setUp().brief("0,0,0,-;NVRM: API mismatch: x")).toEqual(["mismatch"]);
  });

  test("counts other GPUs' lines, lines of unknown shape and quoted ones", () => {
    const at = setUp();
    const foreign = xid(1).replace("0000:04", "0000:99");
    const quoted = line(3, "python[1]: segfault in NVRM: Xid (PCI:0000:04:00): 79");
    const unknown = line(2, "NVRM: Xid (what): 79");
    expect(at.brief(foreign, unknown, quoted, xid(4))).toEqual(["31", "unparsed", "31"]);
    expect(at.log.stats()).toMatchObject({ foreign: 1, unparsed: 1, quoted: 1, malformed: 0 });
    at.play(line(5, "NVRM: loading NVIDIA UNIX Open Kernel Module"));
    expect(at.log.stats().quoted).toBe(1);
  });
});

describe("read() of what is old", () => {
  test("leaves out an hour of the machine's own troubles, and every fault before since", () => {
    const oom = (seq: number, ms: number) =>
      `4,${seq},${ms * 1_000},-;Out of memory: Killed process ${seq} (x) total-vm:1kB`;
    const at = setUp();
    at.step(3_600_000 + 5_000);
    expect(at.brief(oom(1, 4_999))).toEqual([]);
    expect(setUp().brief(oom(1, 0))).toEqual(["oom"]);
    const exact = setUp();
    exact.step(3_600_000 + 5_000);
    expect(exact.brief(oom(1, 5_000))).toEqual(["oom"]);
    const since = setUp({ since: 10_000_005 });
    expect(since.brief(xid(4), xid(5, 13), xid(6, 48))).toEqual(["13", "48"]);
  });

  test("but learns names from it", () => {
    const uuid = "GPU-12345678-1234-1234-1234-123456789abc";
    const at = setUp({ since: 10_000_005, gpus: () => [] });
    const { out } = at.play(line(1, `NVRM: GPU at PCI:0000:04:00: ${uuid}`), xid(9));
    expect(out.at(-1)).toMatchObject({ finding: { gpu_uuid: uuid } });
  });
});

describe("read() of a source that fails", () => {
  test("closes it, says so once, and tries again after 1 s, 2 s … at most a minute", () => {
    const at = setUp();
    expect(at.brief(xid(1), failed("EIO"))).toEqual(["31", "deaf: EIO"]);
    expect(at.opens()).toEqual([1, 1]);
    expect(at.log.stats()).toMatchObject({ deaf: true, lastReadAtMs: 10_000_000 });
    at.refuse("EPERM");
    const waits: number[] = [];
    let waited = 0;
    while (waits.length < 9) {
      at.step(500);
      waited += 500;
      const [before] = at.opens();
      expect(at.brief()).toEqual([]);
      if (at.opens()[0] !== before) waits.push(waited);
      if (at.opens()[0] !== before) waited = 0;
    }
    expect(waits.map((ms) => ms / 1_000)).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60]);
    at.refuse(null);
    at.step(60_000);
    // What was read before is not read again.
    expect(at.brief(xid(1), xid(2))).toEqual(["hearing", "31"]);
    expect(at.log.stats()).toMatchObject({ deaf: false, replayed: 1 });
    // It answered, so the next failure is tried again soon.
    expect(at.brief(failed("EIO"))).toEqual(["deaf: EIO"]);
    at.step(999);
    expect(at.brief(xid(3))).toEqual([]);
    at.step(1);
    expect(at.brief()).toEqual(["hearing", "31"]);
  });

  test("a file that begins again after a failure is read from its first number", () => {
    const at = setUp({ device: false });
    expect(at.brief(xid(8), failed("EIO"))).toEqual(["31", "deaf: EIO"]);
    at.step(1_000);
    expect(at.brief({ kind: "restarted" }, xid(1, 13))).toEqual(["hearing", "13"]);
    expect(at.log.stats()).toMatchObject({ replayed: 0, lastSeq: 1 });
  });

  test("says why it was never opened", () => {
    const at = setUp({ path: "/elsewhere" });
    expect(at.brief()).toEqual(["deaf: /elsewhere"]);
    expect(at.log.stats()).toMatchObject({ deaf: true, lastReadAtMs: null, records: 0 });
    expect(at.log.read(1)).toMatchObject({ more: false, cursor: null });
  });

  test("a device that opens and fails at once is not tried more and more often", () => {
    const at = setUp();
    at.brief(failed("EIO"));
    at.step(1_000);
    expect(at.brief(failed("EIO"))).toEqual(["hearing", "deaf: EIO"]);
    at.step(1_999);
    expect([at.brief(xid(1)), at.opens()[0]]).toEqual([[], 2]);
    at.step(1);
    expect(at.brief()).toEqual(["hearing", "31"]);
  });

  test("a ring that only ever answers that it was overrun is one that fails", () => {
    const at = setUp();
    const overruns = (count: number) => Array.from({ length: count }, () => OVERRUN);
    expect(at.brief(...overruns(999), xid(1), ...overruns(900))).toEqual(["31"]);
    expect(at.brief(...overruns(100))).toEqual([
      "deaf: the kernel keeps answering that records were lost, and gives none",
    ]);
  });

  test("closed, it is opened no more", () => {
    const at = setUp();
    at.play(xid(1));
    at.log.close();
    at.step(1e9);
    expect(at.log.read(5)).toEqual({ out: [], cursor: { bootId: "b1", seq: 1 }, more: false });
    expect(at.opens()).toEqual([1, 1]);
  });
});

test("read() stops at its bound and says that there is more, whatever the answers are", () => {
  const at = setUp();
  expect(at.log.read(0)).toEqual({ out: [], cursor: null, more: false });
  expect(at.opens()).toEqual([0, 0]);
  at.queue.push(line(1), OVERRUN, { kind: "oversized" }, line(4), line(5));
  const read = () => {
    const { out, cursor, more } = at.log.read(2);
    return [brief(out), cursor?.seq, more];
  };
  expect(read()).toEqual([[], 1, true]);
  expect(read()).toEqual([["malformed:1@10000000", `${LOST}:1@10000000`], 4, true]);
  expect(read()).toEqual([[], 5, false]);
});

test("read() counts a line that is too long once, and records lost beside it as well", () => {
  const at = setUp();
  at.queue.push(line(1), { kind: "oversized" }, line(3), { kind: "oversized" }, line(7));
  const { out } = at.log.read(9);
  expect(brief(out)).toEqual(["malformed:2@10000000", `${LOST}:2@10000000`]);
  expect(at.log.stats()).toMatchObject({ malformed: 2, lost: 2, lastSeq: 7 });
});

test("read() amends an event with its detail while that is still here", () => {
  const at = setUp();
  const sxid = (seq: number, rest: string) =>
    line(seq, `nvidia-nvswitch0: SXid (PCI:0000:c1:00.0): 20034, ${rest}`);
  const [first, ...others] = at.play(
    sxid(1, "Fatal, Link 30 x"),
    sxid(2, "Data {0x1}"),
    xid(3),
  ).out;
  expect(brief(others)).toEqual(["31"]);
  const message = first?.kind === "finding" ? first.finding.message : "";
  expect(message.split("\n")).toEqual([
    "nvidia-nvswitch0: SXid (PCI:0000:c1:00.0): 20034, Fatal, Link 30 x",
    "20034, Data {0x1}",
  ]);
  // It has left with the last answer: the detail is kept nowhere, and counts for nothing.
  expect(at.brief(sxid(4, "Data {0x2}"), xid(5))).toEqual(["31"]);
});
