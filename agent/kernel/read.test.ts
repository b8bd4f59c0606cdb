import { afterAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import type { Clock, KernelCursor, KernelRecordOut } from "../port/port.ts";
import { openKernelLog } from "./read.ts";
import type { Source, SourceRead } from "./source.ts";

const home = mkdtempSync(join(tmpdir(), "kmsg-"));
afterAll(() => rmSync(home, { recursive: true, force: true }));

/** A clock that moves only when told. */
function stepped(): Clock & { step(ms: number): void } {
  let now = 0;
  return {
    wallMs: () => 1_000_000 + now,
    monoMs: () => now,
    after: () => () => undefined,
    step: (ms) => {
      now += ms;
    },
  };
}

let files = 0;
const fresh = (): string => join(home, `log-${files++}`);
const GPUS = [{ index: 4, uuid: "GPU-x", pci: "00000000:04:00.0" }];

function open(path: string, cursor: KernelCursor | null = null, clock: Clock = stepped()) {
  return openKernelLog({ path, bootId: "b1", bootWallMs: 0, clock, gpus: () => GPUS, cursor });
}

const line = (seq: number, text = "usb: hello"): string => `6,${seq},${seq * 10},-;${text}\n`;
const xid = (seq: number, code = 79): string => line(seq, `NVRM: Xid (PCI:0000:04:00): ${code}, x`);

/** What came out, in few words: `79` for a finding, `ring:3` for a gap. */
function brief(out: readonly KernelRecordOut[]): string[] {
  return out.map((o) => {
    if (o.kind === "finding") return String(o.finding.code ?? o.finding.reason);
    if (o.kind === "gap") return `${o.reason === "kernel_ring" ? "ring" : o.reason}:${o.count}`;
    return o.kind;
  });
}

describe("openKernelLog() on a file", () => {
  test("read() gives what is there, follows what is added, and moves the cursor", () => {
    const path = fresh();
    writeFileSync(path, line(5) + xid(6) + " SUBSYSTEM=pci\n DEVICE=+pci:x\n" + line(7));
    const log = open(path);
    const first = log.read(100);
    expect(brief(first.out)).toEqual(["79"]);
    expect(first.cursor).toEqual({ bootId: "b1", seq: 7 });
    expect(first.more).toBe(false);
    expect(log.read(100).out).toEqual([]);
    appendFileSync(path, xid(8, 31));
    expect(brief(log.read(100).out)).toEqual(["31"]);
    log.close();
    expect(log.read(100).out).toEqual([]);
  });

  test("read() waits for the rest of an unfinished line", () => {
    const path = fresh();
    const whole = xid(1);
    writeFileSync(path, whole.slice(0, 20));
    const log = open(path);
    expect(log.read(10).out).toEqual([]);
    appendFileSync(path, whole.slice(20, -1));
    expect(log.read(10).out).toEqual([]);
    appendFileSync(path, "\n");
    expect(brief(log.read(10).out)).toEqual(["79"]);
  });

  test("read() stops at its bound and says that there is more", () => {
    const path = fresh();
    writeFileSync(path, xid(1) + xid(2) + xid(3));
    const log = open(path);
    expect(log.read(2)).toMatchObject({ more: true, cursor: { seq: 2 } });
    expect(log.read(2)).toMatchObject({ more: false, cursor: { seq: 3 } });
  });

  test("read() resumes after a cursor of this boot and ignores one of another", () => {
    const path = fresh();
    writeFileSync(path, xid(1, 13) + xid(2, 31) + xid(3, 48));
    expect(brief(open(path, { bootId: "b1", seq: 2 }).read(10).out)).toEqual(["48"]);
    expect(brief(open(path, { bootId: "b0", seq: 2 }).read(10).out)).toEqual(["13", "31", "48"]);
    expect(open(path, { bootId: "b1", seq: 3 }).read(10).cursor).toEqual({ bootId: "b1", seq: 3 });
  });

  test("read() counts a hole after the cursor, and none before the first record", () => {
    const path = fresh();
    writeFileSync(path, line(10) + line(11) + line(15));
    expect(brief(open(path).read(10).out)).toEqual(["ring:3"]);
    const resumed = open(path, { bootId: "b1", seq: 4 });
    expect(brief(resumed.read(10).out)).toEqual(["ring:8"]);
    expect(resumed.stats().lost).toBe(8);
  });

  test("read() passes over records before since, and still follows them", () => {
    const path = fresh();
    writeFileSync(path, xid(1, 13) + xid(1_000, 31));
    const gpus = () => GPUS;
    const log = openKernelLog({
      path,
      bootId: "b1",
      bootWallMs: 5_000,
      clock: stepped(),
      gpus,
      cursor: null,
      since: 5_005,
    });
    expect(brief(log.read(10).out)).toEqual(["ring:998", "31"]);
  });

  test("read() passes over what befell the machine more than an hour ago, and no XID", () => {
    const path = fresh();
    let seq = 0;
    const at = (seconds: number, text: string) => `4,${seq++},${seconds * 1e6},-;${text}\n`;
    const oom = "Out of memory: Killed process 1 (x) total-vm:1kB";
    writeFileSync(path, at(1, oom) + at(2, "NVRM: Xid (PCI:0000:04:00): 79, x") + at(2_000, oom));
    const clock = stepped();
    // Two hours after the boot, which was at 0 of the wall's clock.
    clock.step(7_200_000 - 1_000_000);
    expect(brief(open(path, null, clock).read(10).out)).toEqual(["79"]);
    clock.step(-2_000_000);
    expect(brief(open(path, null, clock).read(10).out)).toEqual(["79", "oom"]);
  });

  test("read() follows a truncated and a replaced file", () => {
    const path = fresh();
    writeFileSync(path, xid(100, 13) + xid(101, 31));
    const log = open(path);
    expect(brief(log.read(10).out)).toEqual(["13", "31"]);
    truncateSync(path, 0);
    appendFileSync(path, xid(1, 48));
    expect(brief(log.read(10).out)).toEqual(["48"]);
    const next = fresh();
    writeFileSync(next, xid(1, 62) + xid(2, 63));
    renameSync(next, path);
    expect(brief(log.read(10).out)).toEqual(["62", "63"]);
    expect(log.stats().lost).toBe(0);
  });

  test("read() counts malformed records, keeps the last, and goes on", () => {
    const path = fresh();
    const bad = ["no header at all", "x,1,2,-;y", "6,4,7,-no separator", "", " only=continuation"];
    writeFileSync(path, `${line(3)}${bad.join("\n")}\n${xid(5)}`);
    const log = open(path);
    expect(brief(log.read(100).out)).toEqual(["malformed:3", "79"]);
    expect(log.stats()).toMatchObject({ malformed: 3, lost: 0, unparsed: 0 });
    expect(log.stats().lastMalformed).toBe("6,4,7,-no separator");
  });

  test("read() counts invalid UTF-8 but reads an Xid around it", () => {
    const path = fresh();
    const broken = Buffer.concat([Buffer.from("6,2,1,-;caf"), Buffer.from([0xff, 0x0a])]);
    const named = "4,3,1,-;NVRM: Xid (PCI:0000:04:00): 13, pid=1, name=";
    const odd = Buffer.concat([Buffer.from(named), Buffer.from([0xfe]), Buffer.from(", Ch 1\n")]);
    writeFileSync(path, Buffer.concat([Buffer.from(line(1)), broken, odd]));
    const log = open(path);
    expect(brief(log.read(100).out)).toEqual(["malformed:1", "13"]);
  });

  test("read() passes over a line longer than a record, once counted", () => {
    const path = fresh();
    writeFileSync(path, `${line(1)}6,2,1,-;${"z".repeat(300_000)}\n${xid(3)}`);
    const log = open(path);
    expect(brief(log.read(100).out)).toEqual(["malformed:1", "79"]);
    // A line that belongs to the record before it is none of its own, and hides no hole.
    writeFileSync(path, `${line(4)} A=${"z".repeat(300_000)}\n${xid(6)}`, { flag: "a" });
    expect(brief(log.read(100).out)).toEqual(["ring:1", "79"]);
  });

  test("read() keeps an Xid line that nobody can read, and counts it", () => {
    const path = fresh();
    writeFileSync(path, line(1, "NVRM: Xid (what): 79"));
    const log = open(path);
    expect(brief(log.read(10).out)).toEqual(["unparsed"]);
    expect(log.stats().unparsed).toBe(1);
  });

  test("read() unescapes a message of several lines", () => {
    const path = fresh();
    const lost =
      "NVRM: The NVIDIA GPU 0000:04:00.0\\x0aNVRM: (PCI ID: 10de:26b5) installed in this system has" +
      "\\x0aNVRM: fallen off the bus and is not responding to commands.";
    writeFileSync(path, `4,1,2,-,caller=T1;${lost}\n`);
    expect(brief(open(path).read(10).out)).toEqual(["bus"]);
  });
});

describe("openKernelLog() without a log", () => {
  test("read() says deaf once, tries again with back-off, and says when it hears", () => {
    const path = fresh();
    const clock = stepped();
    const log = open(path, null, clock);
    expect(brief(log.read(10).out)).toEqual(["deaf"]);
    expect(log.read(10).out).toEqual([]);
    expect(log.stats().deaf).toBe(true);
    clock.step(1_000);
    expect(log.read(10).out).toEqual([]);
    writeFileSync(path, xid(1));
    clock.step(1_999);
    expect(log.read(10).out).toEqual([]);
    clock.step(1);
    expect(brief(log.read(10).out)).toEqual(["hearing", "79"]);
    expect(log.stats().deaf).toBe(false);
  });

  test("read() is deaf to a directory", () => {
    expect(brief(open(home).read(10).out)).toEqual(["deaf"]);
  });

  test("read() reads nothing twice when the source fails and comes back", () => {
    const path = fresh();
    writeFileSync(path, xid(1, 13) + xid(2, 31));
    const clock = stepped();
    const log = open(path, null, clock);
    expect(brief(log.read(10).out)).toEqual(["13", "31"]);
    // Replaced by a directory: the file cannot be followed any more.
    renameSync(path, `${path}.old`);
    spawnSync("mkdir", [path]);
    expect(brief(log.read(10).out)).toEqual(["deaf"]);
    rmSync(path, { recursive: true });
    writeFileSync(path, xid(1, 13) + xid(2, 31) + xid(3, 48));
    clock.step(60_000);
    expect(brief(log.read(10).out)).toEqual(["hearing", "48"]);
    expect(log.stats().replayed).toBe(2);
  });
});

describe("openKernelLog() on a FIFO", () => {
  test("read() never blocks, and takes records as they are written", () => {
    const path = fresh();
    expect(spawnSync("mkfifo", [path]).status).toBe(0);
    const log = open(path);
    expect(log.read(10).out).toEqual([]);
    const writer = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
    expect(log.read(10).out).toEqual([]);
    writeSync(writer, xid(1) + line(2) + xid(5, 31).slice(0, 12));
    expect(brief(log.read(10).out)).toEqual(["79"]);
    writeSync(writer, xid(5, 31).slice(12));
    expect(brief(log.read(10).out)).toEqual(["ring:2", "31"]);
    closeSync(writer);
    expect(log.read(10).out).toEqual([]);
    expect(log.stats().deaf).toBe(false);
    log.close();
  });

  test("read() survives 200,000 lines with every hole counted, faster than 100,000 a second", () => {
    const path = fresh();
    expect(spawnSync("mkfifo", [path]).status).toBe(0);
    const log = open(path);
    log.read(1);
    const writer = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
    let seq = 0;
    let holes = 0;
    let xids = 0;
    const seen = { lost: 0, xids: 0, records: 0 };
    let readMs = 0;
    for (let batch = 0; batch < 500; batch++) {
      let text = "";
      for (let n = 0; n < 400; n++) {
        const skip = (batch * 400 + n) % 97 === 96 ? (n % 5) + 1 : 0;
        holes += skip;
        seq += 1 + skip;
        const isXid = n % 50 === 0;
        if (isXid) xids++;
        text += isXid
          ? xid(seq, 31)
          : line(seq, "audit: type=1400 nothing of interest here, at all");
      }
      writeSync(writer, text);
      const began = performance.now();
      for (let more = true; more;) {
        const got = log.read(250);
        more = got.more;
        for (const out of got.out) {
          if (out.kind === "finding") seen.xids++;
          if (out.kind === "gap" && out.reason === "kernel_ring") seen.lost += out.count;
        }
      }
      readMs += performance.now() - began;
    }
    closeSync(writer);
    seen.records = log.stats().records;
    expect(seen).toEqual({ lost: holes, xids, records: 200_000 });
    expect(log.stats()).toMatchObject({ lost: holes, malformed: 0 });
    // 200,000 lines; a machine is shared with others, so this is no measure.
    expect(readMs).toBeLessThan(6_000);
  });

  test("read() answers for any bytes", () => {
    const path = fresh();
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 60 }).map((b) => Buffer.from(b)),
      fc
        .constantFrom(..."6,1,2,-;|NVRM: Xid (PCI:0000:04:00): |79, |\n|SXid|,|;".split("|"))
        .map((t) => Buffer.from(t)),
      fc.nat({ max: 500 }).map((n) => Buffer.from(xid(n))),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        writeFileSync(path, Buffer.concat(pieces));
        const log = open(path);
        const got = log.read(1_000);
        const stats = log.stats();
        log.close();
        const lost = got.out.reduce(
          (sum, o) => sum + (o.kind === "gap" && o.reason === "kernel_ring" ? o.count : 0),
          0,
        );
        const malformed = got.out.reduce(
          (sum, o) => sum + (o.kind === "gap" && o.reason === "malformed" ? o.count : 0),
          0,
        );
        return lost === stats.lost && malformed === stats.malformed && !stats.deaf;
      }),
      { numRuns: 300 },
    );
  });
});

/** A ring of `size` records that a writer fills; a reader that is too late is told so, as EPIPE. */
class FakeRing implements Source {
  readonly device = true;
  readonly #lines: string[] = [];
  readonly #size: number;
  #at = 0;

  constructor(size: number) {
    this.#size = size;
  }

  write(text: string): void {
    const seq = this.#lines.length;
    this.#lines.push(`6,${seq},${seq * 100},-;${text}`);
  }

  next(): SourceRead {
    const oldest = Math.max(0, this.#lines.length - this.#size);
    if (this.#at < oldest) {
      this.#at = oldest;
      return { kind: "overrun" };
    }
    const line = this.#lines[this.#at];
    if (line === undefined) return { kind: "idle" };
    this.#at++;
    return { kind: "record", bytes: Buffer.from(line) };
  }

  close(): void {}
}

describe("openKernelLog() on a ring that is overrun", () => {
  test("read() goes on at once after every overrun, and counts what was lost", () => {
    const ring = new FakeRing(1_000);
    const clock = stepped();
    const open = () => ring;
    const log = openKernelLog({
      path: "ring",
      bootId: "b1",
      bootWallMs: 0,
      clock,
      gpus: () => GPUS,
      cursor: null,
      open,
    });
    const out: KernelRecordOut[] = [];
    // 27 bursts, each 1,400 records before the reader gets its turn; an Xid ends every ninth.
    for (let burst = 1; burst <= 27; burst++) {
      for (let i = 0; i < 1_399; i++) ring.write("usb: noise");
      ring.write(burst % 9 === 0 ? "NVRM: Xid (PCI:0000:04:00): 79, x" : "usb: noise");
      for (let more = true; more;) {
        const read = log.read(1_000);
        out.push(...read.out);
        more = read.more;
      }
    }
    expect(log.stats()).toMatchObject({ records: 27_000, lost: 26 * 400, deaf: false });
    const findings = out.flatMap((o) => (o.kind === "finding" ? [o.finding] : []));
    expect(findings.map((f) => f.code)).toEqual([79, 79, 79]);
    const gaps = out.flatMap((o) => (o.kind === "gap" ? [o] : []));
    expect(gaps.every((gap) => gap.reason === "kernel_ring")).toBe(true);
    expect(gaps.reduce((sum, gap) => sum + gap.count, 0)).toBe(26 * 400);
  });
});
