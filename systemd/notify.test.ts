/** A real datagram socket hears what the service manager would. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listen } from "../test/systemd/listener.ts";
import { encodeAddress, openServiceManager, formatNotice, readWatchdog } from "./notify.ts";
import type { ServiceManager } from "./notify.ts";

function open(address: string): ServiceManager {
  const answer = openServiceManager({ NOTIFY_SOCKET: address }, 1);
  if (answer.kind !== "manager") throw new Error(JSON.stringify(answer));
  return answer.manager;
}

describe("openServiceManager()", () => {
  const folder = mkdtempSync(join(tmpdir(), "notify-"));
  const named = `@navarch-test-${process.pid}`;
  test.each([join(folder, "notify"), named])("talks to %s", (address) => {
    const far = listen(address);
    const manager = open(address);
    expect(manager.notify({ ready: true, status: "8 GPUs" })).toBe(true);
    expect(far.next()).toBe("READY=1\nSTATUS=8 GPUs");
    expect(manager.notify({ watchdog: true })).toBe(true);
    expect(far.next()).toBe("WATCHDOG=1");
    expect(manager.notify({ stopping: true })).toBe(true);
    expect(far.next()).toBe("STOPPING=1");
    expect(far.next()).toBeNull();
    far.close();
    // Nobody there any more: an answer, not an exception and no signal.
    expect(manager.notify({ watchdog: true })).toBe(false);
    rmSync(folder, { recursive: true, force: true });
  });

  test("does not wait for a manager that reads nothing", () => {
    const far = listen(`${named}-full`);
    const manager = open(`${named}-full`);
    const beganMs = performance.now();
    let sent = 0;
    while (sent < 100_000 && manager.notify({ watchdog: true })) sent += 1;
    // The kernel's queue is some hundreds of datagrams; the point is that it ended.
    expect(sent).toBeLessThan(100_000);
    expect(performance.now() - beganMs).toBeLessThan(5_000);
    expect(far.next()).toBe("WATCHDOG=1");
    expect(manager.notify({ watchdog: true })).toBe(true);
    far.close();
  });

  test("is nobody without an address, and says what is wrong with a bad one", () => {
    expect(openServiceManager({}, 1)).toEqual({ kind: "none" });
    expect(openServiceManager({ NOTIFY_SOCKET: "" }, 1)).toEqual({ kind: "none" });
    for (const bad of ["vsock:2:1234", "relative/path", `/${"x".repeat(108)}`]) {
      expect(openServiceManager({ NOTIFY_SOCKET: bad }, 1).kind).toBe("failed");
    }
  });
});

describe("encodeAddress()", () => {
  test("ends a path with a zero and begins an abstract name with one", () => {
    expect(encodeAddress("/run/n")?.toString("latin1")).toBe("\x01\0/run/n\0");
    expect(encodeAddress("@n")?.toString("latin1")).toBe("\x01\0\0n");
  });

  test("takes 107 bytes of a path and no more", () => {
    expect(encodeAddress(`/${"x".repeat(106)}`)?.length).toBe(110);
    expect(encodeAddress(`/${"x".repeat(107)}`)).toBeNull();
  });
});

describe("formatNotice()", () => {
  test("puts one field on a line and keeps a status on its own", () => {
    expect(formatNotice({ ready: true, watchdog: true, status: "a\nREADY=1\tb " })).toBe(
      "READY=1\nSTATUS=a READY=1 b\nWATCHDOG=1",
    );
    expect(formatNotice({ reloadingAtUs: 5.2 })).toBe("RELOADING=1\nMONOTONIC_USEC=5");
    expect(formatNotice({ status: "x".repeat(1_000) })).toHaveLength("STATUS=".length + 240);
  });
});

describe("readWatchdog()", () => {
  test("is for this process only, and off without a time", () => {
    expect(readWatchdog({ WATCHDOG_USEC: "30000000" }, 7)).toBe(30_000);
    expect(readWatchdog({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "7" }, 7)).toBe(30_000);
    expect(readWatchdog({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "8" }, 7)).toBeNull();
    for (const bad of ["", "0", "-1", "abc", "1e9", "99999999999999999999"]) {
      expect(readWatchdog({ WATCHDOG_USEC: bad }, 7)).toBeNull();
    }
    expect(readWatchdog({}, 7)).toBeNull();
  });
});
