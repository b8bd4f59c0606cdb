/**
 * The provider `machine` with its real machines: the port's contract, ten at once, and a control
 * plane that is killed while machines are on their way.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { contractFleetId, providerContract } from "../../port/provider.contract.ts";
import { openMachineBed } from "../../fixture/machine/bed.ts";
import type { MachineProvider } from "../../fixture/machine/machine.ts";
import { clearBed, openBed, removeBed } from "./bed.ts";
import { missesBed } from "./gate.ts";

const isMissing = await missesBed("the provider machine");

const folders: string[] = [];
afterAll(async () => {
  for (const folder of folders) {
    await clearBed(folder);
    removeBed(folder);
  }
}, 60_000);

/** On its way somewhere: a machine needs real time for it, whatever the clock says. */
const isSettled = (provider: MachineProvider): boolean =>
  provider.reality().live.every(({ state }) => state !== "provisioning" && state !== "terminating");

/** A whole boot and a whole end, on a busy host. */
const SETTLE_MS = 20_000;

/**
 * The contract moves the clock by hand. Machines do not see that clock: after each move they get
 * the real time they need, and they get it while nothing else happens.
 */
if (!isMissing) {
  providerContract(
    "openMachineBed()",
    async () => {
      const stateDir = mkdtempSync(join(tmpdir(), "navarch-bed-"));
      folders.push(stateDir);
      let nowMs = 1_000_000;
      const opened = openMachineBed({
        name: "machine",
        stateDir,
        settings: { disk: "tmpfs:64m" },
        clock: { wallMs: () => nowMs, after: () => undefined },
        random: () => Math.random(),
        fleetId: contractFleetId,
        problem: (message) => console.error(`machines: ${message}`),
      });
      if (opened.kind === "unavailable") throw new Error(opened.why);
      const { provider, prepared } = opened.bed;
      const why = await prepared;
      if (why !== null) throw new Error(why);
      const settle = (): void => {
        const endMs = performance.now() + SETTLE_MS;
        while (!isSettled(provider)) {
          if (performance.now() > endMs) throw new Error("machines do not settle");
          Bun.sleepSync(20);
        }
      };
      return {
        provider,
        step(ms) {
          nowMs += ms;
          settle();
        },
        setFaults: (faults) => provider.setFaults(faults),
        reality() {
          settle();
          return provider.reality();
        },
        async close() {
          await provider.close();
          const failed = await clearBed(stateDir);
          if (failed !== null) throw new Error(failed);
        },
      };
    },
    ["name"],
  );
}

describe.skipIf(isMissing)("openBed()", () => {
  test("boots ten at once, each reachable, and leaves nothing", async () => {
    const bed = await openBed();
    try {
      const startMs = performance.now();
      const all = await bed.bootAll(10);
      await Promise.all(all.map((machine) => machine.waitSsh()));
      const bootMs = performance.now() - startMs;
      console.log(`ten machines: sshd of all after ${(bootMs / 1_000).toFixed(1)} s`);
      const names = await Promise.all(all.map(async (one) => (await one.ssh("hostname")).stdout));
      expect(names.map((name) => name.trim())).toEqual(all.map((one) => one.name));
      expect(await Promise.all(all.map((one) => one.waitRunning()))).toEqual(
        all.map(() => "running"),
      );
    } finally {
      expect(await bed.close()).toEqual([]);
    }
  }, 120_000);

  test("two beds at a time have networks of their own and do not hear each other", async () => {
    const [one, two] = await Promise.all([openBed(), openBed()]);
    try {
      expect(one.gateway).not.toBe(two.gateway);
      const [a, b] = await Promise.all([one.boot(), two.boot()]);
      await Promise.all([a.waitSsh(), b.waitSsh()]);
      const dial = `timeout 2 bash -c 'exec 3<>/dev/tcp/${b.address}/22'`;
      expect((await a.run(dial)).stderr).toContain("unreachable");
    } finally {
      expect(await Promise.all([one.close(), two.close()])).toEqual([[], []]);
    }
  }, 60_000);

  test("machines outlive the process that bought them, and the next one has them", async () => {
    const stateDir = mkdtempSync(join(tmpdir(), "navarch-bed-"));
    folders.push(stateDir);
    const buyer = Bun.spawn(
      [process.execPath, "run", join(import.meta.dir, "buyer.ts"), stateDir, "2"],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    const reader = buyer.stdout.getReader();
    expect(Buffer.from((await reader.read()).value ?? []).toString()).toContain("bought");
    // At once: the machines are on their way, and nobody else knows of them.
    buyer.kill("SIGKILL");
    await buyer.exited;
    const bed = await openBed({ stateDir });
    try {
      const machines = await Promise.all([bed.machine("m1"), bed.machine("m2")]);
      await Promise.all(machines.map((machine) => machine.waitSsh()));
      const boots = await Promise.all(machines.map((machine) => machine.bootId()));
      expect(new Set(boots).size).toBe(2);
    } finally {
      expect(await bed.close()).toEqual([]);
    }
  }, 60_000);
});
