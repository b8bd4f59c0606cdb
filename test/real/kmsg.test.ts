/**
 * The kernel log reader against the real `/dev/kmsg`. The ring is shared by the whole machine, so
 * each run uses a PCI address of its own and looks only at that; and because the kernel drops
 * writes silently beyond ten in five seconds per open file, the file is opened again for each line.
 */
import { afterAll, expect, test } from "bun:test";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openKernelLog } from "../../agent/kernel/read.ts";
import type { Clock, KernelRecordOut } from "../../agent/port/port.ts";
import type { Finding } from "../../schema/finding.ts";

const DEVICE = "/dev/kmsg";

const clock: Clock = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now(),
  after: () => () => undefined,
};

function pick(below: number): number {
  return Math.floor(Math.random() * below);
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0");
/**
 * A domain that no machine has, so that a line of another run or a real GPU is never taken for
 * ours.
 */
const ADDRESS = `${hex(0x8000 + pick(0x7fff), 4)}:${hex(pick(256), 2)}:${hex(pick(32), 2)}`;
const UUID = `GPU-test-${ADDRESS}`;
const BOOT_ID = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();

function write(text: string): void {
  const fd = openSync(DEVICE, "w");
  try {
    writeSync(fd, text);
  } finally {
    closeSync(fd);
  }
}

/** Why the device cannot be used here, or `null`. */
function refusal(): string | null {
  try {
    closeSync(openSync(DEVICE, "r"));
    write(`<6>navarch test ${ADDRESS} begins\n`);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const refused = refusal();
if (refused !== null) {
  // A machine that may not read its log is told apart from one that was not asked to (CI).
  console.warn(`SKIPPED test/real/kmsg: ${DEVICE} refuses: ${refused}`);
}

function open(cursor: { bootId: string; seq: number } | null) {
  return openKernelLog({
    path: DEVICE,
    bootId: BOOT_ID,
    bootWallMs: Date.now() - performance.now(),
    clock,
    gpus: () => [{ index: 2, uuid: UUID, pci: `0000${ADDRESS}.0` }],
    cursor,
  });
}

const readers: { close(): void }[] = [];
afterAll(() => {
  for (const reader of readers) reader.close();
});

/** Reads until `enough`, or for five seconds. */
function readUntil(
  log: ReturnType<typeof open>,
  enough: (mine: Finding[]) => boolean,
): { mine: Finding[]; all: KernelRecordOut[] } {
  const mine: Finding[] = [];
  const all: KernelRecordOut[] = [];
  const deadline = performance.now() + 5_000;
  do {
    const { out } = log.read(1_000);
    all.push(...out);
    for (const one of out) {
      if (one.kind === "finding" && one.finding.gpu_uuid === UUID) mine.push(one.finding);
    }
  } while (!enough(mine) && performance.now() < deadline);
  return { mine, all };
}

test.skipIf(refused !== null)("openKernelLog() reads what is written to the real ring", () => {
  const log = open(null);
  readers.push(log);
  readUntil(log, () => !log.read(10_000).more);
  expect(log.stats().deaf).toBe(false);

  const at = `NVRM: Xid (PCI:${ADDRESS}`;
  write(`<4>${at}): 79, GPU has fallen off the bus.\n`);
  write(`<4>${at} GPU-I:05 GPU-CI:01): 31, pid=12, name=nvc:[driver], Ch 00000008, intr 0\n`);
  write(`<4>somebody else's ${at}): 92, not the driver's\n`);
  write(`<4>${at}): 45, pid='<unknown>', name=<unknown>, Ch 00000008\n`);
  write(`<4>NVRM: GPU ${ADDRESS}.0: GPU has fallen off the bus.\n`);
  write(`<4>${at}): 4242, a code of tomorrow\n`);
  const { mine } = readUntil(log, (found) => found.length >= 4);
  expect(mine.map((f) => f.code)).toEqual([79, 31, 45, 4242]);
  expect(mine[0]).toMatchObject({ gpu_index: 2, foreign: false, boot_id: BOOT_ID, pid: null });
  expect(mine[1]).toMatchObject({ mig: { gi: 5, ci: 1 }, pid: 12, process_name: "nvc:[driver]" });
  const seqs = mine.map((f) => f.kmsg_seq ?? -1);
  expect(seqs).toEqual([...seqs].sort((a, b) => a - b));
  expect(log.read(1).cursor?.bootId).toBe(BOOT_ID);
});

test.skipIf(refused !== null)(
  "openKernelLog() resumes after its cursor, with nothing twice",
  () => {
    const first = open(null);
    readers.push(first);
    write(`<4>NVRM: Xid (PCI:${ADDRESS}): 48, first\n`);
    readUntil(first, (mine) => mine.some((f) => f.code === 48));
    const { cursor } = first.read(100_000);
    write(`<4>NVRM: Xid (PCI:${ADDRESS}): 63, second\n`);
    const second = open(cursor);
    readers.push(second);
    const { mine } = readUntil(second, (found) => found.length >= 1);
    expect(mine.map((f) => f.code)).toEqual([63]);
  },
);

test.skipIf(refused !== null)("openKernelLog() calls an address of no GPU here foreign", () => {
  const log = openKernelLog({
    path: DEVICE,
    bootId: BOOT_ID,
    bootWallMs: 0,
    clock,
    gpus: () => [{ index: 0, uuid: "GPU-other", pci: "0000:01:00.0" }],
    cursor: null,
  });
  readers.push(log);
  write(`<4>NVRM: Xid (PCI:${ADDRESS}): 43, foreign\n`);
  const { all } = readUntil(log, () => log.stats().foreign > 0);
  expect(log.stats().foreign).toBeGreaterThan(0);
  expect(all.every((o) => o.kind !== "deaf")).toBe(true);
});

/**
 * The smallest program that ends with a fault (x86-64): it writes to address 0. Its header is that
 * of ELF-64 with one segment to load.
 */
function faultyProgram(): Buffer {
  const [base, head] = [0x40_0000, 64 + 56];
  const code = Buffer.from([0x31, 0xc0, 0x89, 0x00]);
  const file = Buffer.alloc(head);
  file.write("\x7fELF\x02\x01\x01", "latin1");
  file.writeUInt16LE(2, 16);
  file.writeUInt16LE(0x3e, 18);
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(BigInt(base + head), 24);
  file.writeBigUInt64LE(64n, 32);
  [64, 56, 1].forEach((value, at) => file.writeUInt16LE(value, 52 + 2 * at));
  file.writeUInt32LE(1, 64);
  file.writeUInt32LE(5, 68);
  for (const at of [80, 88]) file.writeBigUInt64LE(BigInt(base), at);
  for (const at of [96, 104]) file.writeBigUInt64LE(BigInt(head + code.length), at);
  file.writeBigUInt64LE(0x1000n, 112);
  return Buffer.concat([file, code]);
}

const TRACE = "/proc/sys/debug/exception-trace";
const prints = existsSync(TRACE) && readFileSync(TRACE, "utf8").trim() !== "0";

test.skipIf(refused !== null || process.arch !== "x64" || !prints)(
  "openKernelLog() takes no line from the name of a program that ends with a fault",
  () => {
    const folder = mkdtempSync(join(tmpdir(), "navarch-fault-"));
    try {
      const log = open(null);
      readers.push(log);
      readUntil(log, () => !log.read(10_000).more);
      const before = log.stats().quoted;
      for (const name of [
        `NVRM: Xid (PCI:${ADDRESS}): 79, pid=1, name=x`,
        `x\nNVRM: Xid (PCI:${ADDRESS}): 48, pid=1, name=x\n`,
      ]) {
        const path = join(folder, name);
        writeFileSync(path, faultyProgram(), { mode: 0o755 });
        expect(Bun.spawnSync([path]).signalCode).toBe("SIGSEGV");
      }
      write(`<4>NVRM: Xid (PCI:${ADDRESS}): 31, the last one\n`);
      const { mine } = readUntil(log, (found) => found.some((f) => f.code === 31));
      expect(mine.map((f) => f.code)).toEqual([31]);
      // The kernel did print both, or nothing was shown here.
      expect(log.stats().quoted - before).toBe(2);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
);

/** Writes `count` lines; the device is opened again so often that its rate limit drops none. */
function flood(count: number): void {
  for (let done = 0; done < count;) {
    const fd = openSync(DEVICE, "w");
    try {
      for (let i = 0; i < 9 && done < count; i++, done++) {
        writeSync(
          fd,
          `<6>navarch test ${ADDRESS}: noise ${done}, as long as a driver's lines are\n`,
        );
      }
    } finally {
      closeSync(fd);
    }
  }
}

test.skipIf(refused !== null)(
  "openKernelLog() with wake follows a flood that overruns the ring, without a pause",
  async () => {
    const mine: Finding[] = [];
    let told = 0;
    let looked = 0;
    let wakes = 0;
    const look = () => {
      looked++;
      for (let more = true; more;) {
        const read = log.read(1_000);
        more = read.more;
        for (const one of read.out) {
          if (one.kind === "finding" && one.finding.gpu_uuid === UUID) mine.push(one.finding);
          if (one.kind === "gap") told += one.count;
        }
      }
    };
    const log = openKernelLog({
      path: DEVICE,
      bootId: BOOT_ID,
      bootWallMs: Date.now() - performance.now(),
      clock,
      gpus: () => [{ index: 2, uuid: UUID, pci: `0000${ADDRESS}.0` }],
      cursor: null,
      wake: () => {
        wakes++;
        look();
      },
    });
    readers.push(log);
    const until = async (met: () => boolean) => {
      const deadline = performance.now() + 5_000;
      while (!met() && performance.now() < deadline) await Bun.sleep(5);
    };
    look();
    await until(() => wakes > 0);
    write(`<4>NVRM: Xid (PCI:${ADDRESS}): 74, before the flood\n`);
    await until(() => mine.some((f) => f.code === 74));
    // In one go, so that the reader has no turn meanwhile: a usual ring holds less than this.
    flood(30_000);
    write(`<4>NVRM: Xid (PCI:${ADDRESS}): 95, after the flood\n`);
    const wroteMs = performance.now();
    await until(() => mine.some((f) => f.code === 95));
    expect(mine.map((f) => f.code).filter((code) => code === 74 || code === 95)).toEqual([74, 95]);
    expect(performance.now() - wroteMs).toBeLessThan(2_000);
    // What the ring could not hold is counted, and is no finding.
    expect(log.stats()).toMatchObject({ lost: told, deaf: false, replayed: 0 });
    expect(looked).toBeGreaterThan(1);
  },
  20_000,
);

if (refused !== null) {
  test(`the real ${DEVICE} refuses: ${refused}`, () => {
    // Elsewhere nothing can be proven without permission; where CI runs it is a missing part.
    expect(process.env.CI === "true" ? refused : null).toBeNull();
    expect(refused).toMatch(/EPERM|EACCES|ENOENT/);
  });
}
