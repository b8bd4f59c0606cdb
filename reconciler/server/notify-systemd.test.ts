/** What the service manager hears of a control plane, on a clock that is stepped. */
import { beforeEach, describe, expect, test } from "bun:test";
import type { Notice } from "../../systemd/notify.ts";
import { listen } from "../../test/systemd/listener.ts";
import { openService, openServiceWatch } from "./notify-systemd.ts";

function world(watchdogMs: number | null) {
  const heard: Notice[] = [];
  const state = { now: 0, full: false };
  const notify = (notice: Notice): boolean => {
    if (!state.full) heard.push(notice);
    return !state.full;
  };
  const watch = openServiceWatch({ watchdogMs, notify }, () => state.now);
  return { heard, state, watch, fed: () => heard.filter((one) => one.watchdog).length };
}

describe("openServiceWatch()", () => {
  test("feeds the watchdog with activations and with nothing else", () => {
    const { state, watch, fed } = world(60_000);
    watch.ready("listening");
    for (; state.now < 120_000; state.now += 1_000) watch.turned(true);
    // Every 15 s, that is 8 times, however many activations there were.
    expect(fed()).toBe(8);
    state.now += 600_000;
    expect(fed()).toBe(8);
  });

  test("goes on while activations fail, but not for more than ten minutes", () => {
    const { state, watch, fed } = world(60_000);
    for (; state.now <= 600_000; state.now += 5_000) watch.turned(false);
    const atTenMinutes = fed();
    expect(atTenMinutes).toBe(41);
    for (; state.now < 900_000; state.now += 5_000) watch.turned(false);
    expect(fed()).toBe(atTenMinutes);
    watch.turned(true);
    expect(fed()).toBe(atTenMinutes + 1);
  });

  test("says again what the manager had no room for", () => {
    const { heard, state, watch } = world(null);
    state.full = true;
    watch.ready("listening");
    watch.turned(true);
    expect(heard).toEqual([]);
    state.full = false;
    watch.turned(true);
    watch.turned(true);
    expect(heard).toEqual([{ ready: true, status: "listening" }]);
  });

  test("sends no keep-alives while the watchdog is off", () => {
    const { heard, state, watch, fed } = world(null);
    state.now = 3_600_000;
    watch.turned(true);
    watch.stopping();
    expect(fed()).toBe(0);
    expect(heard).toEqual([{ stopping: true, status: "stopping" }]);
  });
});

describe("openService()", () => {
  const name = `@navarch-plane-${process.pid}`;
  let problems: string[] = [];
  beforeEach(() => {
    problems = [];
  });
  const log = (_: string, message: string): void => void problems.push(message);
  const open = (env: Record<string, string>) => openService(env, 7, () => 0, log);

  test("talks to the manager, and keeps its address from children", async () => {
    const far = listen(name);
    const env = { NOTIFY_SOCKET: name, WATCHDOG_USEC: "60000000", WATCHDOG_PID: "7", OTHER: "1" };
    const service = await open(env);
    service.ready("listening");
    service.turned(true);
    expect([far.next(), far.next()]).toEqual(["READY=1\nSTATUS=listening", "WATCHDOG=1"]);
    expect(Object.keys(env)).toEqual(["WATCHDOG_USEC", "WATCHDOG_PID", "OTHER"]);
    far.close();
  });

  test("says nothing to nobody, and tells of an address that is none", async () => {
    const service = await open({ WATCHDOG_USEC: "60000000" });
    service.ready("listening");
    service.turned(true);
    service.stopping();
    expect(problems).toEqual([]);
    (await open({ NOTIFY_SOCKET: "vsock:2:1" })).ready("listening");
    expect(problems).toEqual(["cannot talk to the service manager"]);
  });
});
