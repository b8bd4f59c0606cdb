/**
 * Clocks that are an hour off while a real machine is set up and heals: the control plane's, and
 * the machine's own, over the fleet's own certificates. All machines here have their host's clock,
 * so a library that moves the wall clock of programs, and not the monotonic one, is laid before the
 * C library: in one process, or in every program that starts on a machine.
 */
import { afterEach, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCommand } from "../../fixture/machine/command.ts";
import { buildStale, until } from "../../fixture/plane/plane.ts";
import { missesBed, missesPrograms } from "./gate.ts";
import { BedPlane } from "./plane.ts";

const WHAT = "clocks that are off, on machines";
/** A compiler with the C library's headers, which `gcc` itself only recommends. */
const COMPILER = { gcc: "build-essential" };
const isMissing = (await missesBed(WHAT)) || (await missesPrograms(WHAT, COMPILER));

const LIMIT_MS = 120_000;
/** Waits for the test. */
const GATE = "touch /var/flag; sync; until [ -e /var/go ]; do sleep 0.2; done";

let on: BedPlane | null = null;
let folder = "";

describe.skipIf(isMissing)("an hour off", () => {
  beforeAll(() => buildStale(), 300_000);
  afterEach(async () => {
    const left = (await on?.close()) ?? [];
    on = null;
    rmSync(folder, { recursive: true, force: true });
    expect(left).toEqual([]);
  }, 60_000);

  for (const hours of [1, -1]) {
    test(
      `the control plane's clock, by ${hours} h: it sets a machine up that serves`,
      async () => {
        const library = await clockShim(0);
        const env = { LD_PRELOAD: library, CLOCK_OFF_S: String(hours * 3_600) };
        const from = (on = await BedPlane.open({ env }));
        const [node] = await from.waitServing(1);
        const [attempt] = await from.attempts(node?.node_id ?? "");
        const offMs = Date.parse(attempt?.started_at ?? "") - Date.now();
        expect(Math.round(offMs / 3_600_000)).toBe(hours);
        // It goes on serving: reports with another hour's time on them are heard.
        await Bun.sleep(8_000);
        expect(await from.plane.serving()).toHaveLength(1);
      },
      LIMIT_MS,
    );

    test(
      `the machine's clock, by ${hours} h: it serves, and a fault in its log replaces it`,
      async () => {
        const library = await clockShim(hours * 3_600);
        const from = (on = await BedPlane.open({
          server: { tls: { own_ca: true } },
          pool: { setup_commands: [GATE], health: { unhealthy_threshold: 1, auto_replace: true } },
        }));
        const { node_id, instance_id } = await from.waitNode();
        const machine = await from.bed.machine(instance_id ?? "");
        const flag = join(machine.root, "var/flag");
        await until("the set-up waits", LIMIT_MS, () => existsSync(flag) || null);
        copyFileSync(library, join(machine.root, "var/clock.so"));
        await machine.must("echo /var/clock.so >/etc/ld.so.preload && touch /var/go");
        expect((await from.waitServing(1))[0]?.node_id).toBe(node_id);
        const said = Number(await machine.must("date +%s")) * 1_000;
        expect(Math.round((said - Date.now()) / 3_600_000)).toBe(hours);
        // Past the time after which silence would count.
        await Bun.sleep(8_000);
        expect((await from.plane.serving()).map((one) => one.node_id)).toEqual([node_id]);
        machine.xid(79);
        const next = await from.waitNode([node_id]);
        const fresh = await from.bed.machine(next.instance_id ?? "");
        await fresh.waitRunning();
        await fresh.must("touch /var/go");
        expect((await from.waitServing(1))[0]?.node_id).toBe(next.node_id);
      },
      LIMIT_MS,
    );
  }
});

/**
 * The wall clock of one process, moved; its monotonic clock stays. By the system call, because the
 * C library's own function is the one that is replaced.
 */
const CLOCK_C = `#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long off(void) {
  const char *text = getenv("CLOCK_OFF_S");
  return text ? atol(text) : OFF_S;
}
int clock_gettime(clockid_t id, struct timespec *at) {
  int answer = syscall(SYS_clock_gettime, id, at);
  if (answer == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) at->tv_sec += off();
  return answer;
}
int gettimeofday(struct timeval *at, void *zone) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return 0;
}
time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec;
  return now.tv_sec;
}
`;

/** Off by so much where nothing says otherwise. In a folder that the test's end removes. */
async function clockShim(offS: number): Promise<string> {
  folder = mkdtempSync(join(tmpdir(), "navarch-clock-"));
  const source = join(folder, "clock.c");
  await Bun.write(source, CLOCK_C);
  const library = join(folder, "clock.so");
  const built = await runCommand([
    "gcc",
    `-DOFF_S=${offS}`,
    "-shared",
    "-fPIC",
    "-o",
    library,
    source,
  ]);
  if (built.code !== 0) throw new Error(built.stderr);
  return library;
}
