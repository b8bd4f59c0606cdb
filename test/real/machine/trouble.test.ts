/**
 * What keeps and ends real machines is itself killed, at many instants: machines go on or end, and
 * in the end nothing of them is left on this computer.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { HOST_ENV } from "../../fixture/machine/command.ts";
import type { Ready } from "../../fixture/machine/nspawn.ts";
import { until } from "../../fixture/plane/plane.ts";
import { findLeft, openBed, type Bed } from "./bed.ts";
import { missesBed } from "./gate.ts";
import { WAIT_MS, type Machine } from "./machine.ts";

const isMissing = await missesBed("machines in trouble");

/** The process that keeps a machine up; ended by its own id, and only while that is really it. */
function killSupervisor(machine: Machine): void {
  const pid = Number(readFileSync(join(machine.folder, "supervisor.pid"), "utf8"));
  const words = readFileSync(`/proc/${pid}/cmdline`, "utf8");
  if (!words.includes(machine.folder)) throw new Error(`${pid} is somebody else`);
  process.kill(pid, "SIGKILL");
}

describe.skipIf(isMissing)("a machine", () => {
  let bed: Bed;
  beforeAll(async () => {
    bed = await openBed({ disk: "ext4:64m" });
  }, 180_000);
  afterAll(async () => expect((await bed?.close()) ?? []).toEqual([]), 60_000);

  test("on a disk of its own keeps it through a power cut, full or not", async () => {
    const machine = await bed.boot();
    await machine.waitSsh();
    await machine.must("echo kept >/var/kept; sync");
    await machine.fillDisk();
    expect((await machine.run("head -c 64K /dev/zero >/var/more")).stderr).toContain(
      "No space left",
    );
    await machine.cut();
    await machine.start();
    await machine.waitSsh();
    expect(await machine.must("cat /var/kept")).toBe("kept");
    await machine.emptyDisk();
    await machine.must("echo more >/var/more");
    await bed.terminate(machine);
  });

  test("goes on without its supervisor, and comes back when it is restarted", async () => {
    const machine = await bed.boot();
    await machine.waitSsh();
    killSupervisor(machine);
    expect(machine.state).toBe("up");
    expect((await machine.ssh("hostname")).stdout.trim()).toBe(machine.name);
    await machine.run("systemctl --no-block reboot");
    // Nobody starts it again: to its owner it is a machine without power.
    await until("it is off", WAIT_MS, async () => {
      const answer = await bed.provider.list();
      const all = answer.kind === "ok" ? answer.instances : [];
      return all.find((one) => one.id === machine.id)?.state === "stopped" ? true : null;
    });
    await machine.start();
    await machine.waitSsh();
    await bed.terminate(machine);
  });

  test("boots although its supervisor was killed at any instant of the boot before", async () => {
    const machine = await bed.boot();
    for (const delayMs of [5, 20, 40, 60, 80, 110, 150]) {
      await machine.cut();
      const boot = Bun.spawn(["/bin/sh", join(machine.folder, "boot.sh")], {
        env: { ...HOST_ENV },
        stdio: ["ignore", "ignore", "ignore"],
        detached: true,
      });
      await Bun.sleep(delayMs);
      boot.kill("SIGKILL");
      await boot.exited;
      await machine.start();
      await machine.waitSsh();
    }
    await bed.terminate(machine);
  }, 60_000);

  test("ends although its end was killed at many instants", async () => {
    for (const stepMs of [7, 23]) {
      const machine = await bed.boot();
      await machine.waitSsh();
      const script = join(machine.folder, "end.sh");
      for (let delayMs = stepMs; !existsSync(join(machine.folder, "ended")); delayMs += stepMs) {
        const end = Bun.spawn(["/bin/sh", script, "5"], {
          env: { ...HOST_ENV },
          stdio: ["ignore", "ignore", "ignore"],
        });
        await Promise.race([end.exited, Bun.sleep(delayMs)]);
        end.kill("SIGKILL");
        await end.exited;
      }
      const left = (await bed.left()).filter((line) => line.includes(machine.spotName));
      expect(left).toEqual([]);
      expect(existsSync(machine.root)).toBe(false);
    }
  }, 60_000);
});

describe.skipIf(isMissing)("a bed", () => {
  test("is taken away when the process that opened it is killed", async () => {
    const holder = Bun.spawn([process.execPath, "run", join(import.meta.dir, "holder.ts"), "2"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const { value } = await holder.stdout.getReader().read();
    const told = JSON.parse(Buffer.from(value ?? []).toString()) as {
      stateDir: string;
      ready: Ready;
    };
    expect(await findLeft(told.stateDir, told.ready)).not.toEqual([]);
    holder.kill("SIGKILL");
    await holder.exited;
    await until("nothing is left", WAIT_MS, async () =>
      (await findLeft(told.stateDir, told.ready)).length === 0 ? true : null,
    );
  }, 60_000);
});
