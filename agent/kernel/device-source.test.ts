/**
 * The reader of the log device over a pipe: what is written at one time is what one read gives, as
 * the device gives a record. The device itself is read in `test/real/kmsg.test.ts`.
 */
import { spawnSync } from "node:child_process";
import { afterEach, beforeEach, expect, spyOn, test } from "bun:test";
import { closeSync, constants, fstatSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DeviceSource } from "./device-source.ts";

let home: string;
let readFd: number;
let writeFd: number | null;
let source: DeviceSource | null = null;
let woken = 0;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "device-"));
  const path = join(home, "pipe");
  expect(spawnSync("mkfifo", [path]).status).toBe(0);
  readFd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  writeFd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  woken = 0;
});
afterEach(() => {
  source?.close();
  source = null;
  endWriting();
  rmSync(home, { recursive: true, force: true });
});

const write = (text: string) => writeSync(writeFd ?? -1, text);
function endWriting(): void {
  if (writeFd !== null) closeSync(writeFd);
  writeFd = null;
}
function open(wake: (() => void) | null): DeviceSource {
  source = new DeviceSource(readFd, wake);
  return source;
}
const wake = () => void woken++;
/** In few words: the text of a record, or what else it was. */
function next(from: DeviceSource): string {
  const read = from.next();
  if (read.kind === "record") return read.bytes.toString();
  return read.kind === "failed" ? `failed: ${read.message}` : read.kind;
}
/** Everything that is there, until the source has nothing more. */
function all(from: DeviceSource): string[] {
  const texts: string[] = [];
  for (let one = next(from); one !== "idle"; one = next(from)) texts.push(one);
  return texts;
}
/** Waits until the condition holds; the pipe is read by the runtime, in its own time. */
async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 2_000 && !holds(); i++) await Bun.sleep(1);
  expect(holds()).toBe(true);
}

test("without anybody to wake, it is read when it is asked", () => {
  const from = open(null);
  expect(from.device).toBe(true);
  expect(next(from)).toBe("idle");
  write("6,1,1,-;one\n SUBSYSTEM=pci\n DEVICE=+pci:x\n");
  expect(next(from)).toBe("6,1,1,-;one");
  write("6,2,2,-;without an end");
  expect(next(from)).toBe("6,2,2,-;without an end");
  expect(next(from)).toBe("idle");
  endWriting();
  expect(next(from)).toBe("idle");
});

test("with a reader to wake, batches are split into records as they were written", async () => {
  const from = open(wake);
  write("6,1,1,-;one\n K=v\n6,2,2,-;two\n\n6,3,3,-;three\n");
  await until(() => woken > 0);
  expect(all(from)).toEqual(["6,1,1,-;one", "6,2,2,-;two", "6,3,3,-;three"]);
  const before = woken;
  write("6,4,4,-;four\n");
  await until(() => woken > before);
  write("6,5,5,-;five");
  await until(() => woken > before + 1);
  expect(all(from)).toEqual(["6,4,4,-;four", "6,5,5,-;five"]);
});

test("nothing is lost or changes places, whoever reads the device first", async () => {
  const from = open(wake);
  const texts: string[] = [];
  for (let i = 0; i < 100; i++) {
    write(`6,${i},1,-;x\n`);
    if (i % 3 === 0) await Bun.sleep(0);
    // Either this read takes it or the stream has it already.
    await until(() => (texts.push(...all(from)), texts.length > i));
  }
  expect(texts).toEqual(Array.from({ length: 100 }, (_, i) => `6,${i},1,-;x`));
});

test("the end of the log follows the records before it", async () => {
  const from = open(wake);
  write("6,1,1,-;last\n");
  await until(() => woken > 0);
  endWriting();
  await until(() => woken > 1);
  expect(next(from)).toBe("6,1,1,-;last");
  expect(next(from)).toBe("failed: the kernel log ended");
  expect(next(from)).toBe("idle");
});

test("beyond a mebibyte it leaves what comes to the kernel, and goes on when there is room", async () => {
  const from = open(wake);
  const text = "z".repeat(1_000);
  let sent = 0;
  // The pipe holds 64 KiB; a write that does not fit is refused.
  const fill = (): boolean => {
    try {
      return write(`6,${sent},1,-;${text}\n`) > 0 && ++sent > 0;
    } catch {
      return false;
    }
  };
  for (let stuck = 0; stuck < 50;) {
    if (fill()) {
      stuck = 0;
    } else {
      stuck++;
      await Bun.sleep(1);
    }
    if (sent > 5_000) break;
  }
  expect(sent).toBeWithin(1_000, 1_300);
  const first = all(from);
  expect(first.length).toBeGreaterThanOrEqual(1_000);
  await until(() => (first.push(...all(from)), first.length >= sent));
  expect(first.map((line) => Number(line.split(",")[1]))).toEqual(
    Array.from({ length: sent }, (_, i) => i),
  );
  write("6,9999,1,-;after\n");
  await until(() => (first.push(...all(from)), first.length > sent));
  expect(first.at(-1)).toBe("6,9999,1,-;after");
});

test("overruns alone fill it too, and it goes on when they are taken", async () => {
  const pull = async () => {
    await new Promise(setImmediate);
    throw Object.assign(new Error("overrun"), { code: "EPIPE" });
  };
  // Only the device itself overruns, and only where its ring may be flooded.
  const stream = () => new ReadableStream({ pull });
  const file = spyOn(Bun, "file").mockImplementation(() => ({ stream }) as never);
  try {
    const from = open(wake);
    await until(() => woken >= 1_024);
    await Bun.sleep(20);
    expect(woken).toBe(1_024);
    expect([next(from), next(from)]).toEqual(["overrun", "overrun"]);
    await until(() => woken >= 1_026);
    await Bun.sleep(20);
    expect(woken).toBe(1_026);
  } finally {
    file.mockRestore();
  }
});

test("closed, it says nothing more and gives its descriptor back, once", async () => {
  for (const listener of [null, wake]) {
    const fd = openSync(join(home, "pipe"), constants.O_RDONLY | constants.O_NONBLOCK);
    const one = new DeviceSource(fd, listener);
    write("6,1,1,-;late\n");
    if (listener !== null) await until(() => woken > 0);
    const before = woken;
    one.close();
    one.close();
    await until(() => !isOpen(fd));
    write("6,2,2,-;later\n");
    await Bun.sleep(5);
    expect(woken).toBe(before);
    if (listener === null) expect(next(one)).toBe("idle");
  }
});

function isOpen(fd: number): boolean {
  try {
    fstatSync(fd);
    return true;
  } catch {
    return false;
  }
}
